"""What a rule of the doctor is: one value with its documentation, its examples and its checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct, field

from laterctl.finding import Finding, Severity, Verdict
from laterctl.project.places import Place

__all__ = ["MAIN", "Check", "Example", "Found", "Rule", "Severity"]

Example = str | Mapping[str, str]
"""The text of `app/main.py`, or texts by path. `# RULE` at the end of a line marks where that rule reports."""

MAIN = "app/main.py"


Check = Callable[[Any], Iterable["Found"]]
"""Looks at a `Visit`, a `Code` or a `Codebase`."""


class Found(Struct, frozen=True):
    """What a check reports: the line of the file that it looks at, or a place in another; why; and how to mend it.

    `fix` is only given when it says more than the rule's own.
    """

    where: int | Place
    reason: str
    fix: str = ""


class Rule(Struct, frozen=True, kw_only=True):
    """A mistake that `doctor` knows.

    Attributes:
        id: letters and three digits, such as `JWT001`; it never changes its meaning.
        title: one line, what is wrong.
        why: what happens because of it, with the source that says so.
        fix: what to do about it.
        severity: `error` when something is broken or open to strangers, `warning` when it will be, `info` otherwise.
        bad, good: code that the rule reports, in the marked lines, and code that it leaves alone.
        needles: only files that hold one of these are looked at; without any, every file.
        checks: what is looked at, and by which function. `ast.Call` and other kinds of nodes are given as `Visit`,
            `Code` is a file, `Codebase` the project. Each function yields `Found`.
        scripts: also look at code that no application reaches: what is wrong with it does not take a running one.
        feature: the feature that the rule belongs to; filled in where the rules are collected.
    """

    id: str
    title: str
    why: str
    fix: str
    severity: Severity = Severity.WARNING
    bad: tuple[Example, ...] = ()
    good: tuple[Example, ...] = ()
    needles: tuple[bytes, ...] = ()
    checks: Mapping[type, Check] = field(default_factory=dict)
    scripts: bool = False
    feature: str = ""

    def finding(
        self, verdict: Verdict, message: str, place: Place | None = None, fix: str = "", *, feature: str = ""
    ) -> Finding:
        """Return a finding of this rule, about an installed `feature` when it is none of the rule's own."""
        return Finding(self.id, verdict, message, place, fix, feature or self.feature, severity=self.severity)
