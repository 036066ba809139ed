"""Calls of the user's that go to what a function of ours makes of theirs, with all their arguments."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Iterator
from itertools import count

from msgspec import Struct
from msgspec.structs import replace

from laterctl.edits.context import FeatureContext
from laterctl.project.names import canonical
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.statements import Position, StatementRef, expressions, is_compound, wrapped_function
from laterctl.project.tree import Outside
from laterctl.refusal import Refusal, Refused
from laterctl.targets.call_name import CallName
from laterctl.targets.python_target import own_statements
from laterctl.targets.python_text import Text, holder_of, read_text
from laterctl.targets.resolved import Resolved


class _Rewritten(Struct, frozen=True):
    """The user's code calls `ours(theirs)`, `source` being `core.module:ours`, where it calls `theirs`."""

    source: str

    @abstractmethod
    def _paths(self, context: FeatureContext) -> set[str]:
        """Return the files that may name the function."""

    @abstractmethod
    def _names(self, context: FeatureContext, path: str, item: StatementRef) -> dict[str, None]:
        """Return how a statement itself names the function."""

    def _left(self, context: FeatureContext, path: str, text: Text) -> set[Position]:
        """Return the places of statements that stay as they are: ours."""
        return context.spots(path)

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        paths = self._paths(context)
        paths |= {target.path for target in CallName.among(context.records, self.source.partition(":")[2])}
        for path in sorted(paths):
            if not is_test_or_docs(path) and not context.own_file(path):
                yield from self._in_file(context, path)

    def _in_file(self, context: FeatureContext, path: str) -> Iterator[Resolved]:
        try:
            text = read_text(context.project.tree.python(path).text)
        except (SyntaxError, Unreadable, Outside, FileNotFoundError):
            return
        new = self.source.partition(":")[2]
        known = [target for target in CallName.among(context.records, new) if target.path == path]
        targets = dict.fromkeys([*known, *self._targets(context, path, text, new)])
        if targets:
            yield context.imported(path, self.source)[0]
        for target in targets:
            yield Resolved(target)

    def _targets(self, context: FeatureContext, path: str, text: Text, new: str) -> Iterator[CallName]:
        ours, own = context.spots(path), self._left(context, path, text)
        for item in text.statements:
            names = {} if item.position in own else self._names(context, path, item)
            if not names:
                continue
            if is_compound(item.node) or len(names) > 1:
                raise Refused(self._refusal(context, Place(path, item.node.lineno), new, min(names)))
            place = item.qualname, holder_of(item.node)
            numbered = (CallName(path, *place, min(names), new, number) for number in count())
            yield next(target for target in numbered if target.statement_in(text, ours) in {item, None})

    def _refusal(self, context: FeatureContext, place: Place, new: str, old: str) -> Refusal:
        return Refusal(
            "call-not-editable",
            f"{old} is used in a way that cannot be rewritten",
            place,
            expected="calls in simple statements, which name the function in one way",
            snippet=f"{new}({old})(...)",
            remedy=f"write `x = {old}(...)` on a line of its own",
            feature=context.feature,
        )


class RewrittenCall(_Rewritten, frozen=True):
    """The user's code calls `pooled(create_engine)` where it calls `create_engine`, `source` being `core.pool:pooled`.

    `functions` are dotted names of what is called so; `source` takes a function and returns one that is called like it.
    Every use in the application's code is meant, also where the function is handed on (`Singleton(create_engine, url)`).
    All of them can be rewritten, or the feature is refused. A project that never calls it gets nothing.
    """

    functions: tuple[str, ...]

    def _paths(self, context: FeatureContext) -> set[str]:
        names = {function.rpartition(".")[2].encode() for function in self.functions}
        every = set(context.project.tree.files_containing_any(names))
        return {path for path in every if context.project.runs(path)} or every

    def _names(self, context: FeatureContext, path: str, item: StatementRef) -> dict[str, None]:
        if isinstance(item.node, ast.Import | ast.ImportFrom):
            return {}
        wanted = {canonical(function) for function in self.functions}
        nodes = (node for node in expressions(item.node) if isinstance(node, ast.Name | ast.Attribute))
        names = context.project.names
        found = (node for node in nodes if canonical(names.resolve(node, path, item.scope)) in wanted)
        return dict.fromkeys(ast.unparse(node) for node in found if isinstance(node.ctx, ast.Load))


class RewrittenInclude(_Rewritten, frozen=True):
    """The user's code calls `versioned(app.include_router)` where it puts a router on the application.

    All of them can be rewritten, or the feature is refused. What features put there, or a person pasted, stays as it is.
    """

    def _paths(self, context: FeatureContext) -> set[str]:
        app = context.project.app
        return {item.place.path for item in app.routers} if app is not None else set()

    def _left(self, context: FeatureContext, path: str, text: Text) -> set[Position]:
        adopted = (replace(record, ours=True) for record in context.records if record.target.path == path)
        return own_statements(text, [*adopted])

    def _names(self, context: FeatureContext, path: str, item: StatementRef) -> dict[str, None]:
        app = context.project.app
        lines = {each.place.line for each in app.routers if each.place.path == path} if app is not None else set()
        calls = (node for node in expressions(item.node) if isinstance(node, ast.Call) and node.lineno in lines)
        functions = (wrapped_function(call.func) for call in calls)
        return dict.fromkeys(ast.unparse(node) for node in functions if getattr(node, "attr", "") == "include_router")
