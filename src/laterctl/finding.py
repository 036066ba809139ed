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


class Severity(StrEnum):
    """How bad it is what a rule reports."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Finding(Struct, frozen=True):
    """One answer of `doctor`: rule id, verdict, where, why, how to mend it, and how bad it is."""

    rule: str
    verdict: Verdict
    message: str
    place: Place | None = None
    fix: str = ""
    feature: str = ""
    fixable: bool = False
    severity: Severity = Severity.WARNING
