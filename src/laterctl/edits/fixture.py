"""Fixtures in the `conftest.py` of the project's tests."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from msgspec import Struct

from laterctl.codemods.statements import segment
from laterctl.edits.context import FeatureContext
from laterctl.edits.dropped_test import test_dependencies
from laterctl.edits.file import packages, template_context
from laterctl.project.bindings import bound_to
from laterctl.refusal import Refusal, Refused
from laterctl.targets.base import Anchor
from laterctl.targets.import_module import ImportModule
from laterctl.targets.owned_file import OwnedFile
from laterctl.targets.resolved import Resolved
from laterctl.targets.statement import Statement

NEW = '"""Fixtures that the tests share."""\n'
"""What a new `conftest.py` starts with: the same whoever needs it first, so that several features share the file."""


_ALLOWED = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef


class Fixture(Struct, frozen=True):
    """The functions of `template`, a Python file, at the end of `tests/conftest.py`, with the imports they need.

    They are sorted by name among ours. The file is made when there is none. `when` leaves them out of projects that they
    do not fit.

    Raises:
        ValueError: the template has something else in it.
    """

    template: str
    when: Callable[[FeatureContext], bool] | None = None

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        if self.when is not None and not self.when(context):
            return
        from laterctl.render import render

        path = context.path("tests/conftest.py")
        yield from test_dependencies(context, ["pytest"])
        if context.own_file(path) or context.project.tree.read(path) is None:
            yield from packages(context, path)
            yield Resolved(OwnedFile(path, NEW, open=True))
        source = render(self.template, template_context(context))
        body = ast.parse(source).body
        if strange := [node.lineno for node in body if not isinstance(node, _ALLOWED)]:
            raise ValueError(f"{self.template}:{strange[0]} is neither an import nor a function")
        for node in body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield from _imports(context, path, node)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield self._function(context, path, node.name, segment(source, node))

    def _function(self, context: FeatureContext, path: str, name: str, code: str) -> Resolved:
        indent = context.project.layout.style.indent
        code = re.sub(r"^(?: {4})+", lambda match: indent * (len(match[0]) // 4), code, flags=re.MULTILINE)
        target = Statement(path, "", code, (50, name))
        place, _ = bound_to(context.project, path, name)
        known = context.is_recorded(target) or context.gives_up(path, name)
        if place is not None and not known and not context.is_present(target):
            raise Refused(
                Refusal(
                    "name-clash",
                    f"{path} already defines {name}",
                    place,
                    seen=name,
                    expected=f"no fixture {name}, or the one of this feature",
                    snippet=code,
                    remedy=f"rename your {name}",
                    feature=context.feature,
                )
            )
        return Resolved(target, Anchor((), _last(context, path)))


def _imports(context: FeatureContext, path: str, node: ast.Import | ast.ImportFrom) -> Iterator[Resolved]:
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield Resolved(ImportModule(path, alias.name))
        elif node.module != "__future__":
            yield context.imported_from(path, node.module or "", alias.name, alias.asname or "")[0]


def _last(context: FeatureContext, path: str) -> int:
    """Return the last statement of the user's."""
    data = context.project.tree.read(path)
    if data is None:
        return len(ast.parse(NEW).body) - 1
    body = context.project.tree.python(path).tree.body
    own = context.spots(path)
    return max((ordinal for ordinal in range(len(body)) if ((), ordinal) not in own), default=-1)
