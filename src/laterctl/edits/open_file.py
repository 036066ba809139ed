"""What a feature puts into an open file of another one: entries of its lists, statements of its functions."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

from msgspec import Struct

from laterctl.edits.context import FeatureContext
from laterctl.project.places import Place
from laterctl.project.statements import Function, Position
from laterctl.refusal import Refusal, Refused
from laterctl.render import Import
from laterctl.targets.base import Anchor
from laterctl.targets.list_entry import AT_END, ListEntry, list_of
from laterctl.targets.python_text import Text, read_text
from laterctl.targets.resolved import Resolved
from laterctl.targets.statement import Statement


class Listed(Struct, frozen=True):
    """`source` (`core.health_redis:check_redis`) as an entry of the list `into` (`core.health:CHECKS`).

    With `arguments` it is a call, which needs the `imports` too, those of an expression as they are. A `source` in quotes is a text, and needs no import; nor
    does what the open file itself defines. Entries of ours stand behind the others, sorted by `rank`, then by name.
    """

    source: str
    into: str
    arguments: str | None = None
    imports: tuple[str | Import, ...] = ()
    rank: int = 50

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        path, name = _place(context, self.into)
        module, _, local = self.source.rpartition(":")
        needed = [
            context.imported_from(path, item.module, item.name)[0]
            if isinstance(item, Import)
            else context.imported(path, item)[0]
            for item in self.imports
        ]
        if self.source[0] == '"':
            local = self.source
        elif module != self.into.partition(":")[0]:
            wanted, local = context.imported(path, self.source)
            needed.append(wanted)
        written = local if self.arguments is None else f"{local}({self.arguments})"
        code = context.quoted(written)
        target = ListEntry(path, "", name, code, "", AT_END, (self.rank, written))
        if all(list_of(text, target) is None for text, _ in _versions(context, path, code)):
            raise Refused(_missing(context, path, name, code))
        yield from needed
        yield Resolved(target)


class Step(Struct, frozen=True):
    """The statement `code` in the function `into` (`core.lifespan:managed_resources`), with the `imports` it needs.

    It stands in front of the function's `yield`, else of its last `return`, else at its end; ours are sorted by `rank`.
    """

    code: str
    into: str
    imports: tuple[str, ...] = ()
    rank: int = 50

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        path, name = _place(context, self.into)
        code = context.quoted(self.code)
        found = (_end_of(text, name, own) for text, own in _versions(context, path, code))
        anchor = next(filter(None, found), None)
        if anchor is None:
            raise Refused(_missing(context, path, name, code))
        for source in self.imports:
            yield context.imported(path, source)[0]
        yield Resolved(Statement(path, name, code, (self.rank, code)), anchor)


def _end_of(text: Text, function: str, own: Collection[Position]) -> Anchor | None:
    """Return the place behind what a function does, `None` when there is no such function."""
    outside, _, name = function.rpartition(".")
    defined = (item for item in text.in_scope(outside) if getattr(item.node, "name", "") == name)
    item = next((item for item in defined if isinstance(item.node, Function)), None)
    if item is None:
        return None
    body = [inner for inner in text.in_scope(function) if inner.position not in own]
    for inner in body:
        if isinstance(getattr(inner.node, "value", None), ast.Yield | ast.YieldFrom):
            return Anchor(inner.body, inner.index - 1)
    outer = [inner for inner in body if inner.body == item.inner]
    after = outer[-1].index if outer else -1
    return Anchor(item.inner, after - 1 if outer and isinstance(outer[-1].node, ast.Return) else after)


def _place(context: FeatureContext, into: str) -> tuple[str, str]:
    place, _, name = into.partition(":")
    return context.path(f"{place.replace('.', '/')}.py"), name


def _versions(context: FeatureContext, path: str, code: str) -> Iterator[tuple[Text, Collection[Position]]]:
    """Yield an open file as it is, with the statements of ours in it, and then as an update of it will be."""
    if context.project.tree.read(path) is None:
        raise Refused(_missing(context, path, "", code))
    yield read_text(context.project.tree.python(path).text), context.spots(path)
    had = {record.target.created() for record in context.installed if record.target.path == path}
    for target in (record.target for record in reversed(context.records)):
        if target.whole_file and target.path == path and target.created() not in had:
            yield read_text((target.created() or b"").decode()), ()


def _missing(context: FeatureContext, path: str, name: str, code: str) -> Refusal:
    return Refusal(
        "no-place",
        f"{path} has no {name}" if name else f"{path} is not there",
        Place(path, 1),
        expected=f"the place for `{code}`, as laterctl wrote it",
        snippet=code,
        remedy="restore the file from version control",
        feature=context.feature,
    )
