"""The static proof: run in process before every write, on the tree as it would be."""

from __future__ import annotations

import ast
import builtins
import difflib
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from laterctl.codemods.statements import split_lines
from laterctl.edits import converge
from laterctl.edits.pieces import Argument, Block, ImportName, ListEntry, OwnedFile, Piece, State, Statement
from laterctl.ledger import FOLDER, records_of
from laterctl.project.facts import Place

if TYPE_CHECKING:
    from laterctl.plan import Plan
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


@dataclass(frozen=True)
class Failure:
    """What the proof found wrong: which check, where, and what was seen."""

    check: str
    message: str
    place: Place | None = None


def prove(project: Project, plan: Plan) -> list[Failure]:
    """Check a plan's result.

    Every changed Python file parses, with the syntax of the project's oldest Python; every name in code of ours is
    bound; every import of ours resolves; the user's lines survive in order; every piece is there.

    Args:
        project: the facts before the change.
        plan: what would be done.

    Returns:
        The failures; none means statically proved.
    """
    result = project.with_overlay({path: change.after for path, change in plan.changeset.items()})
    records = records_of(plan.entries.values())
    failures = [*_lines(plan), *_taken_out(project, plan)]
    trees: dict[str, ast.Module] = {}
    version = _oldest(project)
    for path, change in plan.changeset.items():
        if not path.endswith(".py") or change.after is None:
            continue
        try:
            trees[path] = ast.parse(change.after, feature_version=version)
        except SyntaxError as error:
            failures.append(Failure("parses", f"{path} would not parse: {error.msg}", Place(path, error.lineno or 1)))
    added = [record.piece for name in plan.added for record in plan.entries[name].records if record.ours]
    for piece in added:
        if piece.path in trees:
            failures.extend(_bound(piece, trees[piece.path]))
            failures.extend(_imports(piece, trees[piece.path], result))
    for name in plan.added:
        for record in plan.entries[name].records:
            state = converge.inspect(record.piece, result.tree.read(record.piece.path), records).state
            if state is not State.PRESENT:
                place = Place(record.piece.path, 1)
                failures.append(Failure("present", f"{record.piece.describe()} would be {state.value}", place))
    return list(dict.fromkeys(failures))


def _oldest(project: Project) -> tuple[int, int]:
    """Return the oldest Python that the project declares, within what this interpreter can judge."""
    declared = project.manifest.requires_python if project.manifest else ""
    if declared:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        try:
            specifiers = SpecifierSet(declared)
        except InvalidSpecifier:
            return sys.version_info[:2]
        for minor in range(7, sys.version_info.minor + 1):
            if specifiers.contains(f"3.{minor}.99", prereleases=True):
                return 3, minor
    return sys.version_info[:2]


def _bound(piece: Piece, tree: ast.Module) -> Iterator[Failure]:
    if isinstance(piece, Statement | ListEntry | Argument | Block):
        if isinstance(piece, Block):
            code = f"async def _():\n {piece.header}\n  pass"
        else:
            code = piece.value if isinstance(piece, Argument) else piece.code
        used = _loads(ast.parse(code))
    elif isinstance(piece, OwnedFile):
        used = _loads(tree)
    else:
        return
    for name in sorted(used - _bindings(tree) - set(dir(builtins)) - {"__file__", "__name__"}):
        yield Failure("bound", f"{piece.path} would use {name}, which nothing binds", Place(piece.path, 1))


def _loads(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _bindings(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            names.add(node.name)
    return names


def _imports(piece: Piece, tree: ast.Module, result: Project) -> Iterator[Failure]:
    if isinstance(piece, ImportName):
        module, _, name = piece.source.rpartition(".")
        yield from _import(piece.path, 1, module, name, result)
    elif isinstance(piece, OwnedFile):
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from _import(piece.path, node.lineno, alias.name, "", result)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    yield from _import(piece.path, node.lineno, node.module or "", alias.name, result)


def _import(path: str, line: int, module: str, name: str, result: Project) -> Iterator[Failure]:
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in OPTIONAL:
        return
    file = result.file_of(module)
    if file is not None:
        from laterctl.project.bodies import bound_names

        known = bound_names(result.tree.python(file).tree)
        if name and name not in known and name != "*" and result.file_of(f"{module}.{name}") is None:
            yield Failure(
                "imports", f"{path} would import {name} from {module}, which has no such name", Place(path, line)
            )
        return
    if name and result.file_of(f"{module}.{name}") is not None:
        return  # a module in a folder without `__init__.py`
    if result.manifest is None:
        return
    if top not in _provided(result):
        yield Failure(
            "imports", f"{path} would import {module}, which no declared dependency provides", Place(path, line)
        )


def _provided(result: Project) -> set[str]:
    names: set[str] = {"fastapi", *BROUGHT["fastapi"]}
    assert result.manifest is not None
    for item in result.manifest.requirements:
        names.update(BROUGHT.get(item.name, ()))
        names.add(item.name.replace("-", "_"))
    return names


def _lines(plan: Plan) -> Iterator[Failure]:
    """Law 3: every line of the user's is still there, in order, unless a piece says by name that it rewrote it.

    A line that a piece extended (an import, a list, a call) counts as there when nothing was taken out of it.
    """
    rewritten: dict[str, Counter[str]] = {}
    for entry in plan.entries.values():
        for record in entry.records:
            if record.replaced is not None:
                lines = rewritten.setdefault(record.piece.path, Counter())
                lines.update(line.strip() for line in record.replaced.splitlines())
    for path, change in plan.changeset.items():
        if change.before is None or change.after is None or path.startswith(f"{FOLDER}/") or plan.removed:
            continue
        yield from _survive(path, change.before, change.after, rewritten.get(path, Counter()))


def _taken_out(project: Project, plan: Plan) -> Iterator[Failure]:
    """Law 3 when features go: only code of ours leaves the user's Python files."""
    if not plan.removed:
        return
    from laterctl.ledger import load

    own: dict[str, str] = {}
    for entry in load(project.tree).values():
        for record in entry.records:
            own[record.piece.path] = own.get(record.piece.path, "") + _spellings(record.piece)
    for path, change in plan.changeset.items():
        if path.endswith(".py") and change.before is not None and change.after is not None:
            yield from _only_ours_left(path, change.before, change.after, own.get(path, ""))


def _spellings(piece: Piece) -> str:
    """Return the forms that a piece of ours may have in a file, without white space."""
    if isinstance(piece, ImportName):
        alias = f" as {piece.asname}" if piece.asname else ""
        forms = [f"from {piece.module} import (", f"from {piece.module} import", f"{piece.name}{alias},", ")"]
    elif isinstance(piece, Argument):
        forms = [f"{piece.keyword}={piece.value},"]
    elif isinstance(piece, ListEntry):
        forms = [f"{piece.code},", f"{piece.code.rstrip(')')},),"]
    elif isinstance(piece, Block):
        forms = [piece.header]
    else:
        forms = [piece.describe(), f"{piece.describe().rstrip(')')},)"]
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
