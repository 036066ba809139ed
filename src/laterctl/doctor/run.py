"""Doctor's rules: what they are called, what they say, and how they are run over a project."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from inspect import getdoc, signature
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING

from msgspec import Struct

from laterctl.finding import Finding, Verdict
from laterctl.project.facts import Undecided
from laterctl.project.places import Place
from laterctl.project.source import Unreadable
from laterctl.project.tree import Outside
from laterctl.project.unreadable import as_undecided

if TYPE_CHECKING:
    from laterctl.project.discover import Project

Found = tuple[str, int, str, str]
"""What a rule reports: its id, a line, the reason, the fix."""


class Rule(Struct, frozen=True):
    """A rule: its id, the feature it belongs to, and its explanation (the docstring of its check)."""

    id: str
    feature: str
    text: str


def every() -> list[Rule]:
    """Return all rules, by id."""
    rules = [rule for name, module in _modules() for rule in _declared(name, module)]
    return sorted([*rules, *BUILT_IN], key=lambda rule: rule.id)


BUILT_IN = (
    Rule("LTR001", "", "An interrupted run of laterctl is pending; the next changing command restores the files."),
    Rule("LTR002", "", "A ledger in .laterctl/ cannot be read, or was written by a newer laterctl."),
    Rule("LTR003", "", "An installed feature is whole."),
    Rule("LTR004", "", "A file says that laterctl added it, but no ledger knows it."),
    Rule("LTR005", "", "A target of an installed feature is gone."),
    Rule("LTR006", "", "A target of an installed feature was edited: it is yours, and stays as it is."),
    Rule("LTR007", "", "A target of an installed feature was moved: it is yours, and stays where it is."),
    Rule("LTR008", "", "The ledger names a feature that this laterctl does not have."),
    Rule("LTR009", "", "An installed feature lacks one that it needs."),
    Rule("LTR010", "", "A file cannot be read, so that nobody could look at it."),
    Rule("LTR011", "", "The application starts, in a scratch copy; asked for with `doctor --run`."),
    Rule("LTR012", "", "No application was found, or a file that tells about it cannot be read."),
)


def run(project: Project) -> Iterator[Finding]:
    """Run all rules over the project's production files; each file is parsed once, and only when a rule may care."""
    from laterctl.project.places import is_test_or_docs

    checks = [(name, module, list(_checks(module))) for name, module in _modules()]
    wanted: dict[str, list[tuple[str, Check]]] = {}
    for name, module, functions in checks:
        for path in _files(project, module):
            if not is_test_or_docs(path):
                wanted.setdefault(path, []).extend((name, function) for _, function in functions if _by_file(function))
    unread: dict[str, list[Undecided]] = {}
    for path, functions in sorted(wanted.items()):
        try:
            tree = project.tree.python(path).tree
        except (Unreadable, Outside) as error:
            found = as_undecided(error)
            # What is wrong with single files is said of each; that this Python is too old, once.
            unread.setdefault(found.code if found.code == "too-new" else path, []).append(found)
            continue
        for name, function in functions:
            for rule, line, reason, fix in function(path, tree):
                yield Finding(rule, Verdict.PROBLEM, reason, Place(path, line), fix, name)
    for first, *others in unread.values():
        more = f" (and {len(others)} more files, {others[0].places[0].path} the next of them)" if others else ""
        yield Finding("LTR010", Verdict.UNKNOWN, first.message + more, first.places[0], first.hint)
    for name, module, _ in checks:
        whole = getattr(module, "check_project", None)
        if whole is not None:
            for rule, place, reason, fix in whole(project):
                yield Finding(rule, Verdict.PROBLEM, reason, place, fix, name)


Check = Callable[[str, ast.Module], Iterator[Found]]
_NAME = re.compile(r"check_([a-z]+\d+)")


def _modules() -> Iterator[tuple[str, ModuleType]]:
    """Yield the rule modules with the name of the feature each belongs to."""
    from laterctl import features

    for item in iter_modules(features.__path__):
        name = f"laterctl.features.{item.name}.rules"
        if find_spec(name) is not None:
            yield item.name.replace("_", "-"), import_module(name)


def _checks(module: ModuleType) -> Iterator[tuple[str, Check]]:
    for name, value in vars(module).items():
        match = _NAME.fullmatch(name)
        if match:
            yield match[1].upper(), value


def _by_file(function: Check) -> bool:
    parameters = list(signature(function).parameters.values())
    more = [item for item in parameters[2:] if item.default is item.empty]
    return [item.name for item in parameters[:2]] == ["path", "tree"] and not more


def _declared(name: str, module: ModuleType) -> Iterator[Rule]:
    for identity, function in _checks(module):
        yield Rule(identity, name, getdoc(function) or "")
    for identity, text in getattr(module, "PROJECT_RULES", {}).items():
        yield Rule(identity, name, text)


def _files(project: Project, module: ModuleType) -> list[str]:
    """Return the files that mention what a rule module looks for (`NEEDLES`; without it, every file)."""
    needles = getattr(module, "NEEDLES", None)
    if needles is None:
        return list(project.python_files)
    return project.tree.files_containing_any(needles)
