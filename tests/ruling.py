"""Asks doctor's rules about files in memory. A rule that raises fails the test."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from textwrap import dedent

from laterctl.doctor import rules
from laterctl.doctor.rule import MAIN, Example
from laterctl.doctor.run import look
from laterctl.finding import Finding
from tests import memory

OF_FEATURES = frozenset(rule.id for rule in rules.every()) - {rule.id for rule in rules.INSTALLED}
_MARK = re.compile(r"[ \t]*# ([A-Z]+[0-9]{3})$", re.MULTILINE)


def files_of(example: Example) -> Mapping[str, str]:
    """Return the files of an example, a single text being `app/main.py`."""
    return {MAIN: example} if isinstance(example, str) else example


def unmarked(example: Example) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return the files of an example without its marks, and what the marks announce: rule and place, sorted."""
    files = files_of(example)
    marks = [
        (mark[1], f"{path}:{number}")
        for path, text in files.items()
        for number, line in enumerate(text.splitlines(), 1)
        if (mark := _MARK.search(line))
    ]
    return {path: _MARK.sub("", text) for path, text in files.items()}, sorted(marks)


def found(example: Example, ids: Iterable[str] = OF_FEATURES) -> list[Finding]:
    """Return what some rules say about files, in the order in which they say it."""
    project = memory.project({path: text.encode() for path, text in files_of(example).items()})
    findings = list(look(project, frozenset(ids), strict=True))
    assert all(item.message and (item.fix or item.verdict == "ok") for item in findings)
    return findings


def places(example: Example, *ids: str) -> list[str]:
    """Return where some rules report something."""
    return sorted(str(item.place) for item in found(example, ids))


def lines(rule: str, source: str, path: str = MAIN) -> list[int]:
    """Return the lines of one file in which a rule reports something."""
    findings = found({path: dedent(source)}, [rule])
    assert {item.rule for item in findings} <= {rule}
    return sorted(item.place.line for item in findings if item.place is not None)


def code(rule: str, source: str, path: str = MAIN) -> list[str]:
    """Return the source lines in which a rule reports something."""
    text = dedent(source)
    return [text.splitlines()[line - 1].strip() for line in lines(rule, text, path)]
