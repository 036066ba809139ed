"""What a command can come back with besides a changed tree: refusals, warnings, findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from laterctl.project.facts import Place


@dataclass(frozen=True)
class Refusal:
    """Why something was not done, as a value.

    `code` is stable and machine-readable; `seen` and `expected` say what was found and what would have worked;
    `snippet` is what to paste by hand; `remedy` names the flag or key that makes it work next time.
    """

    code: str
    message: str
    place: Place | None = None
    seen: str = ""
    expected: str = ""
    snippet: str = ""
    remedy: str = ""
    feature: str = ""


class Refused(Exception):
    """Carries refusals up to the command; nothing has been written when it is raised."""

    def __init__(self, *refusals: Refusal) -> None:
        super().__init__("; ".join(refusal.message for refusal in refusals))
        self.refusals: Sequence[Refusal] = refusals


class Verdict(StrEnum):
    """The three answers of a doctor rule."""

    OK = "ok"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One answer of `doctor`: rule id, verdict, where, why, and how to mend it."""

    rule: str
    verdict: Verdict
    message: str
    place: Place | None = None
    fix: str = ""
    feature: str = ""
    fixable: bool = False


@dataclass(frozen=True)
class Note:
    """Something worth saying that stops nothing. `level` is `warning` (beside the diff) or `notice` (after)."""

    level: str
    message: str
    place: Place | None = None
    feature: str = ""
