"""The static proof: run in process before every write, on the tree as it would be."""

from __future__ import annotations

import ast
import builtins
import difflib
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from laterctl.codemods import newer
from laterctl.codemods.requirements import oldest_python
from laterctl.codemods.statements import split_lines
from laterctl.edits.context import layout_of
from laterctl.engine.ledger import load, records_of
from laterctl.project.installed import FOLDER
from laterctl.project.names import imports_of
from laterctl.project.places import Place
from laterctl.project.source import Source, may_be_newer
from laterctl.project.statements import bound_names
from laterctl.proof.survival import differences
from laterctl.targets.base import Record, State, Target
from laterctl.targets.converge import without_others
from laterctl.targets.document import Document, inspect

if TYPE_CHECKING:
    from laterctl.changeset import Change
    from laterctl.engine.plan import Plan
    from laterctl.project.discover import Project

FRAMEWORK = ("fastapi", "starlette", "pydantic", "anyio", "typing_extensions")
"""The modules that come with FastAPI."""
BROUGHT: Mapping[str, tuple[str, ...]] = {"sqlmodel": ("sqlalchemy", "pydantic")}
"""Modules that are there with a distribution that is a layer above them, and meant to be imported beside it."""


class Failure(Struct, frozen=True):
    """What the proof found wrong: which check, where, what was seen, and the features that the run was about."""

    check: str
    message: str
    place: Place | None = None
    feature: str = ""


def prove(project: Project, plan: Plan) -> list[Failure]:
    """Check a plan's result.

    Every changed Python file parses, with the syntax of the project's oldest Python; every name in code of ours is
    bound; every import of ours resolves; the user's lines survive in order; every target is there.

    Args:
        project: the facts before the change.
        plan: what would be done.

    Returns:
        The failures; none means checked.
    """
    after = project.with_overlay({path: change.after for path, change in plan.changeset.items()})
    installed = load(project.tree)
    records = records_of(plan.entries.values())
    recorded = records_of(installed.values())
    documents: dict[str, Document] = {}
    result = _Result(project, after, documents, records)
    failures = list(_law_three(project, plan, (recorded, records)))
    version = _oldest(project)
    for path, change in plan.changeset.items():
        if not path.endswith(".py") or change.after is None or path in plan.conflicts:
            continue
        document = Document(path, change.after)
        try:
            _parse(document, change, version)
            documents[path] = document
        except SyntaxError as error:
            failures.append(Failure("parses", f"{path} would not parse: {error.msg}", Place(path, error.lineno or 1)))
    failures.extend(_dangling(project, plan, documents))
    by_path: dict[str, list[Record]] = {}
    for record in records:
        by_path.setdefault(record.target.path, []).append(record)
    whole = [record.target for record in recorded if record.target.whole_file]
    for record in plan.fresh(installed):
        path = record.target.path
        if path in documents and record.ours:
            document = documents[path]
            failures.extend(_bound(record.target, document))
            for item in record.target.imports(document):
                failures.extend(_import(path, item.line, item.module, item.name, result))
        state = inspect(record.target, after.tree.read(path), by_path[path]).state
        # What a file of ours was, at this path or another, is merged with what the user made of it.
        edited = record.ledger_lost or any(path == old.path or record.target.succeeds(old) for old in whole)
        if state is not State.PRESENT and not edited:
            failures.append(Failure("present", f"{record.target.describe()} would be {state.value}", Place(path, 1)))
    return list(dict.fromkeys(failures))


def _parse(document: Document, change: Change, version: tuple[int, int]) -> None:
    """Raise `SyntaxError` when a changed file does not parse as the oldest Python of the project.

    Where the user's own code was too new for this interpreter already, LibCST is asked too, and the rest is judged.
    """
    if change.before is None and version == sys.version_info[:2] and not may_be_newer(document.plain):
        document.text  # noqa: B018 - parses
        return
    try:
        ast.parse(document.data, feature_version=version)
    except SyntaxError:
        if change.before is None or _is_legible(change.before):
            raise
        legible = newer.repaired(Source(document.path, document.data).text)
        if legible is None:
            raise
        ast.parse(legible, feature_version=version)


def _is_legible(data: bytes) -> bool:
    try:
        ast.parse(data)
    except SyntaxError:
        return False
    return True


def _oldest(project: Project) -> tuple[int, int]:
    """Return the oldest Python that the project declares, within what this interpreter can judge."""
    declared = project.manifest.requires_python if project.manifest else ""
    oldest = oldest_python(declared) if declared else None
    return min(max(oldest or sys.version_info[:2], (3, 7)), sys.version_info[:2])


def _dangling(project: Project, plan: Plan, documents: Mapping[str, Document]) -> Iterator[Failure]:
    """Changed files that would still import a module that goes."""
    changes = plan.changeset.items()
    gone = {project.module_of(path) for path, change in changes if path.endswith(".py") and change.after is None}
    for path, document in documents.items() if gone else ():
        names = imports_of(document.text.tree, project.module_of(path), path.endswith("__init__.py"))
        for dotted in names.values():
            if module := next(iter(gone & {dotted, dotted.rpartition(".")[0]}), ""):
                yield Failure("imports", f"{path} would still import {module}, which goes", Place(path, 1))


class _Result:
    """The project as it would be, as far as imports are concerned: what its own modules bind, what is declared."""

    def __init__(
        self, before: Project, after: Project, documents: Mapping[str, Document], records: Sequence[Record]
    ) -> None:
        self.after = after
        self._records = records
        self._documents = documents
        # The application stays in its file; to discover it once more would cost more than the rest of the proof.
        self._near = before.app.path if before.app is not None else ""

    def file_of(self, module: str) -> str | None:
        return self.after.file_of(module, near=self._near)

    @cache  # noqa: B019 - lives as long as one proof
    def names_in(self, path: str) -> frozenset[str]:
        document = self._documents.get(path)
        tree = document.text.tree if document is not None else self.after.tree.python(path).tree
        return frozenset(bound_names(tree))

    @cached_property
    def provided(self) -> frozenset[str] | None:
        """The modules that declared dependencies provide, `None` when none are declared anywhere."""
        if self.after.manifest is None:
            return None
        declared = [item.name for item in self.after.manifest.requirements]
        names = {*FRAMEWORK, *(name.replace("-", "_") for name in declared)}
        names.update(*(BROUGHT.get(name, ()) for name in declared))
        for record in self._records:
            for binding in record.target.bindings():
                names.update(binding.modules)
        return frozenset(names)

    @cache  # noqa: B019 - lives as long as one proof
    def is_imported(self, module: str) -> bool:
        """Whether the user's own code imports a module, declared or not: something brings it."""
        pattern = re.compile(rf"^[ \t]*(?:import|from) {re.escape(module)}\b".encode(), re.MULTILINE)
        own = {record.target.path for record in self._records if record.target.whole_file}
        paths = (path for path in self.after.tree.files_containing(module.encode()) if path not in own)
        return any(pattern.search(self.after.tree.read(path) or b"") for path in paths)


def _bound(target: Target, document: Document) -> Iterator[Failure]:
    used = target.uses(document)
    for name in sorted(used - document.names.bound - set(dir(builtins)) - {"__file__", "__name__"}):
        yield Failure("bound", f"{target.path} would use {name}, which nothing binds", Place(target.path, 1))


def _import(path: str, line: int, module: str, name: str, result: _Result) -> Iterator[Failure]:
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return
    file = result.file_of(module)
    if file is not None:
        if name and name not in result.names_in(file) and name != "*" and result.file_of(f"{module}.{name}") is None:
            message = f"{path} would import {name} from {module}, which has no such name"
            yield Failure("imports", message, Place(path, line))
        return
    if name and result.file_of(f"{module}.{name}") is not None:
        return  # a module in a folder without `__init__.py`
    if result.file_of(top) is not None:
        yield Failure("imports", f"{path} would import {module}, which is no module of the project", Place(path, line))
        return
    if result.provided is not None and top not in result.provided and not result.is_imported(top):
        message = f"{path} would import {module}, which no declared dependency provides"
        yield Failure("imports", message, Place(path, line))


def _law_three(project: Project, plan: Plan, sides: tuple[list[Record], list[Record]]) -> Iterator[Failure]:
    """Law 3: what is the user's is as it was, in every file that is not ours from end to end.

    `sides` are the records as the ledger has them and as the plan leaves them.
    """
    before, after = ({record.target: record for record in side if record.ours} for side in sides)
    whole = {target.path for target in [*before, *after] if target.whole_file}
    for path, change in plan.changeset.items():
        if change.before is None or change.after is None or path.startswith(f"{FOLDER}/") or path in whole:
            continue
        known = {**before, **after}
        records = [record for target, record in known.items() if target.path == path]
        if path.endswith(".py"):
            yield from _survives(path, change, records, plan.deleted)
        elif not plan.removed:
            spare = Counter(line.strip() for item in records for line in (item.replaced or "").splitlines())
            failures = list(_lines_survive(path, change.before, change.after, spare))
            if failures:  # was it a line of ours that is another one now?
                layout = layout_of(project)
                old = without_others(path, change.before, _in_file(path, before.values()), layout)
                new = without_others(path, change.after, _in_file(path, after.values()), layout)
                failures = list(_lines_survive(path, old, new, spare))
            yield from failures


def _in_file(path: str, records: Iterable[Record]) -> list[Record]:
    return [record for record in records if record.target.path == path]


def _survives(path: str, change: Change, records: Sequence[Record], deleted: Collection[Target]) -> Iterator[Failure]:
    try:
        old, new = (Document(path, data or b"") for data in (change.before, change.after))
        for message, line in differences(old, new, records, deleted):
            yield Failure("lines", f"{path} {message}", Place(path, line))
    except SyntaxError:
        return  # said by the check that it parses


def _lines_survive(path: str, before: bytes, after: bytes, rewritten: Counter[str]) -> Iterator[Failure]:
    old, new = (
        [line.rstrip("\r\n") for line in split_lines(data.decode("utf-8", errors="surrogateescape"))]
        for data in (before, after)
    )
    spare = Counter(rewritten)
    for tag, start, stop, begin, end in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if tag not in {"delete", "replace"} or _is_within("".join(old[start:stop]), "".join(new[begin:end])):
            continue
        for number in range(start, stop):
            text = old[number].strip()
            if spare[text] > 0:
                spare[text] -= 1
            elif not _is_within(text, "".join(new[begin:end])):
                yield Failure("lines", f"{path} would lose the line: {text}", Place(path, number + 1))


def _is_within(old: str, new: str) -> bool:
    """Tell whether all of `old` but its white space is in `new`, in order."""
    rest = iter(new)
    return all(character in rest for character in old if not character.isspace())
