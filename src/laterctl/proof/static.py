"""The static proof: run in process before every write, on the tree as it would be."""

from __future__ import annotations

import ast
import builtins
import difflib
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from laterctl.codemods import newer
from laterctl.codemods.requirements import oldest_python
from laterctl.codemods.statements import split_lines
from laterctl.engine.installed import FOLDER
from laterctl.engine.ledger import records_of
from laterctl.project.places import Place
from laterctl.project.source import Source
from laterctl.project.statements import bound_names, nodes
from laterctl.targets import document as converge
from laterctl.targets.base import Argument, Block, ImportName, ListEntry, OwnedFile, State, Statement, Target

if TYPE_CHECKING:
    from laterctl.changeset import Change
    from laterctl.engine.plan import Plan
    from laterctl.project.discover import Project

BROUGHT: Mapping[str, tuple[str, ...]] = {
    # What a declared distribution always brings along, or is imported as.
    "fastapi": ("fastapi", "starlette", "pydantic", "anyio", "typing_extensions"),
    "pyjwt": ("jwt",),
    "python-multipart": ("python_multipart", "multipart"),
    "pydantic-settings": ("pydantic_settings", "pydantic"),
    "prometheus-client": ("prometheus_client",),
    "dependency-injector": ("dependency_injector",),
    "pytest-cov": ("pytest_cov", "pytest"),
}
OPTIONAL = frozenset({"opentelemetry", "pytest"})
"""Modules that generated code imports only where they are there, or that tests bring."""


class Failure(Struct, frozen=True):
    """What the proof found wrong: which check, where, and what was seen."""

    check: str
    message: str
    place: Place | None = None


def prove(project: Project, plan: Plan) -> list[Failure]:
    """Check a plan's result.

    Every changed Python file parses, with the syntax of the project's oldest Python; every name in code of ours is
    bound; every import of ours resolves; the user's lines survive in order; every target is there.

    Args:
        project: the facts before the change.
        plan: what would be done.

    Returns:
        The failures; none means statically proved.
    """
    read: dict[str, _Read] = {}
    after = project.with_overlay({path: change.after for path, change in plan.changeset.items()})
    result = _Result(project, after, read)
    records = records_of(plan.entries.values())
    failures = [*_lines(plan), *_taken_out(project, plan)]
    version = _oldest(project)
    for path, change in plan.changeset.items():
        if not path.endswith(".py") or change.after is None:
            continue
        try:
            read[path] = _Read(_parsed(path, change, version))
        except SyntaxError as error:
            failures.append(Failure("parses", f"{path} would not parse: {error.msg}", Place(path, error.lineno or 1)))
    added = [record.target for name in plan.added for record in plan.entries[name].records if record.ours]
    for target in added:
        if target.path in read:
            failures.extend(_bound(target, read[target.path]))
            failures.extend(_imports(target, read[target.path], result))
    for name in plan.added:
        for record in plan.entries[name].records:
            state = converge.inspect(record.target, result.after.tree.read(record.target.path), records).state
            if state is not State.PRESENT:
                place = Place(record.target.path, 1)
                failures.append(Failure("present", f"{record.target.describe()} would be {state.value}", place))
    return list(dict.fromkeys(failures))


def _parsed(path: str, change: Change, version: tuple[int, int]) -> ast.Module:
    """Return the tree of a changed file.

    Where the user's own code was too new for this interpreter already, LibCST is asked too, and the rest is judged.
    """
    assert change.after is not None
    try:
        return ast.parse(change.after, feature_version=version)
    except SyntaxError:
        if change.before is None or _is_legible(change.before):
            raise
        legible = newer.repaired(Source(path, change.after).text)
        if legible is None:
            raise
        return ast.parse(legible, feature_version=version)


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


class _Read:
    """What the code of one file loads, binds and imports, found in one walk."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.loads: set[str] = set()
        self.bound: set[str] = set()
        self.imports: list[tuple[int, str, str]] = []  # line, module, name
        for node in nodes(tree):
            if isinstance(node, ast.Name):
                (self.loads if isinstance(node.ctx, ast.Load) else self.bound).add(node.id)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.bound.add(node.name)
            elif isinstance(node, ast.arg):
                self.bound.add(node.arg)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node)
            elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
                self.bound.add(node.name)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            self.bound.add((alias.asname or alias.name).partition(".")[0])
            if isinstance(node, ast.Import):
                self.imports.append((node.lineno, alias.name, ""))
            elif not node.level:
                self.imports.append((node.lineno, node.module or "", alias.name))


class _Result:
    """The project as it would be, as far as imports are concerned: what its own modules bind, what is declared."""

    def __init__(self, before: Project, after: Project, read: Mapping[str, _Read]) -> None:
        self.after = after
        self._read = read
        # The application stays in its file; to discover it once more would cost more than the rest of the proof.
        self._near = before.app.path if before.app is not None else ""

    def file_of(self, module: str) -> str | None:
        return self.after.file_of(module, near=self._near)

    @cache  # noqa: B019 - lives as long as one proof
    def names_in(self, path: str) -> frozenset[str]:
        read = self._read.get(path)
        return frozenset(bound_names(read.tree if read is not None else self.after.tree.python(path).tree))

    @cached_property
    def provided(self) -> frozenset[str] | None:
        """The modules that declared dependencies provide, `None` when none are declared anywhere."""
        if self.after.manifest is None:
            return None
        names = {"fastapi", *BROUGHT["fastapi"]}
        for item in self.after.manifest.requirements:
            names.update(BROUGHT.get(item.name, ()))
            names.add(item.name.replace("-", "_"))
        return frozenset(names)


def _bound(target: Target, read: _Read) -> Iterator[Failure]:
    if isinstance(target, Statement | ListEntry):
        used = _Read(ast.parse(target.code)).loads
    elif isinstance(target, Argument):
        used = _Read(ast.parse(target.value)).loads
    elif isinstance(target, Block):
        used = _Read(ast.parse(f"async def _():\n {target.header}\n  pass")).loads
    elif isinstance(target, OwnedFile):
        used = read.loads
    else:
        return
    for name in sorted(used - read.bound - set(dir(builtins)) - {"__file__", "__name__"}):
        yield Failure("bound", f"{target.path} would use {name}, which nothing binds", Place(target.path, 1))


def _imports(target: Target, read: _Read, result: _Result) -> Iterator[Failure]:
    if isinstance(target, ImportName):
        module, _, name = target.source.rpartition(".")
        yield from _import(target.path, 1, module, name, result)
    elif isinstance(target, OwnedFile):
        for line, module, name in read.imports:
            yield from _import(target.path, line, module, name, result)


def _import(path: str, line: int, module: str, name: str, result: _Result) -> Iterator[Failure]:
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in OPTIONAL:
        return
    file = result.file_of(module)
    if file is not None:
        if name and name not in result.names_in(file) and name != "*" and result.file_of(f"{module}.{name}") is None:
            message = f"{path} would import {name} from {module}, which has no such name"
            yield Failure("imports", message, Place(path, line))
        return
    if name and result.file_of(f"{module}.{name}") is not None:
        return  # a module in a folder without `__init__.py`
    if result.provided is not None and top not in result.provided:
        message = f"{path} would import {module}, which no declared dependency provides"
        yield Failure("imports", message, Place(path, line))


def _lines(plan: Plan) -> Iterator[Failure]:
    """Law 3: every line of the user's is still there, in order, unless a target says by name that it rewrote it.

    A line that a target extended (an import, a list, a call) counts as there when nothing was taken out of it.
    """
    rewritten: dict[str, Counter[str]] = {}
    for entry in plan.entries.values():
        for record in entry.records:
            if record.replaced is not None:
                lines = rewritten.setdefault(record.target.path, Counter())
                lines.update(line.strip() for line in record.replaced.splitlines())
    for path, change in plan.changeset.items():
        if change.before is None or change.after is None or path.startswith(f"{FOLDER}/") or plan.removed:
            continue
        yield from _survive(path, change.before, change.after, rewritten.get(path, Counter()))


def _taken_out(project: Project, plan: Plan) -> Iterator[Failure]:
    """Law 3 when features go: only code of ours leaves the user's Python files."""
    if not plan.removed:
        return
    from laterctl.engine.ledger import load

    own: dict[str, str] = {}
    for entry in load(project.tree).values():
        for record in entry.records:
            own[record.target.path] = own.get(record.target.path, "") + _spellings(record.target)
    for path, change in plan.changeset.items():
        if path.endswith(".py") and change.before is not None and change.after is not None:
            yield from _only_ours_left(path, change.before, change.after, own.get(path, ""))


def _spellings(target: Target) -> str:
    """Return the forms that a target of ours may have in a file, without white space."""
    if isinstance(target, ImportName):
        alias = f" as {target.asname}" if target.asname else ""
        forms = [f"from {target.module} import (", f"from {target.module} import", f"{target.name}{alias},", ")"]
    elif isinstance(target, Argument):
        forms = [f"{target.keyword}={target.value},"]
    elif isinstance(target, ListEntry):
        forms = [f"{target.code},", f"{target.code.rstrip(')')},),"]
    elif isinstance(target, Block):
        forms = [target.header]
    else:
        forms = [target.describe(), f"{target.describe().rstrip(')')},)"]
    return "\n".join("".join(form.split()) for form in forms) + "\n"


def _only_ours_left(path: str, before: bytes, after: bytes, own: str) -> Iterator[Failure]:
    old, new = (
        [line.rstrip("\r\n") for line in split_lines(data.decode("utf-8", errors="surrogateescape"))]
        for data in (before, after)
    )
    for tag, start, stop, begin, end in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if tag == "replace" and (
            _is_within("".join(new[begin:end]), "".join(old[start:stop]))
            or _is_within("".join(old[start:stop]), "".join(new[begin:end]))
        ):
            continue
        for number in range(start, stop) if tag in {"delete", "replace"} else ():
            text = "".join(old[number].split())
            if text and text not in own and not _is_import_of_ours(text, own):
                yield Failure("lines", f"{path} would lose the line: {old[number].strip()}", Place(path, number + 1))


def _is_import_of_ours(text: str, own: str) -> bool:
    head, found, names = text.partition("import")
    return bool(found) and f"{head}import\n" in own and all(f"{name}," in own for name in names.split(","))


def _survive(path: str, before: bytes, after: bytes, rewritten: Counter[str]) -> Iterator[Failure]:
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
