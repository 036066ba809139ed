"""Settings classes of pydantic 1, which are read as they are and not extended."""

from __future__ import annotations

from typing import ClassVar

from laterctl.dialects.settings.base import IN_PROCESS, Settings


class PydanticV1(Settings, frozen=True, kw_only=True):
    """A settings class of pydantic 1. Features need pydantic 2, and read the process's variables themselves."""

    kind: str = "pydantic-v1"
    title: ClassVar[str] = "pydantic 1"

    def instead(self) -> str:
        """Say that the class stays as it is."""
        return f"{self.class_name} is of pydantic 1, which is not extended: {IN_PROCESS}"
