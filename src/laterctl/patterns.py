"""Regular expressions that are compiled when they are first used: a command needs few of those that it imports."""

from __future__ import annotations

import re
from typing import Any, cast


class _Pattern:
    def __init__(self, text: str, flags: int) -> None:
        self._text = text
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(self._text, self._flags), name)
        setattr(self, name, found)
        return found


def pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """Return what stands for `re.compile(text, flags)` as long as only its attributes are asked for.

    A text that is no regular expression raises `re.error` at the first use; `tests/test_patterns.py` uses all of them.
    """
    return cast("re.Pattern[str]", _Pattern(text, flags))
