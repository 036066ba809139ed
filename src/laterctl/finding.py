"""What `doctor` comes back with."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from laterctl.project.places import Place


class Verdict(StrEnum):
    """The three answers of a doctor rule."""

    OK = "ok"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


class Finding(Struct, frozen=True):
    """One answer of `doctor`: rule id, verdict, where, why, and how to mend it."""

    rule: str
    verdict: Verdict
    message: str
    place: Place | None = None
    fix: str = ""
    feature: str = ""
    fixable: bool = False
