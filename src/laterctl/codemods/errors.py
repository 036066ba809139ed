"""What every codemod raises when it cannot edit cleanly."""

from __future__ import annotations


class EditRefused(Exception):
    """A document cannot be edited without touching what is not ours. `line` counts from 1."""

    def __init__(self, reason: str, line: int = 1) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
