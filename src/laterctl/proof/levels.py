"""How far a proof goes."""

from __future__ import annotations

from enum import StrEnum


class Level(StrEnum):
    """What runs before and after a change, in scratch copies: nothing, the app, or the app and the project's tests."""

    NONE = "none"
    APP = "app"
    TESTS = "tests"
