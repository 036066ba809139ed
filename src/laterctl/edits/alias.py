"""A dependency alias in the project's own module of dependencies, where it has one."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from msgspec import Struct

from laterctl.edits.context import FeatureContext
from laterctl.project.bindings import bound_to
from laterctl.refusal import Refusal, Refused
from laterctl.targets.base import Anchor
from laterctl.targets.resolved import Resolved
from laterctl.targets.statement import Statement


class DependencyAlias(Struct, frozen=True):
    """`name = expression` in `api/deps.py`, with the imports the expression needs (`module:Name`).

    A project without such a module gets nothing: the feature's own file has the same alias.
    """

    name: str
    expression: str
    imports: tuple[str, ...]

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        path = context.path("api/deps.py")
        if context.project.tree.read(path) is None:
            return
        code = f"{self.name} = {self.expression}"
        target = Statement(path, "", code, (10, self.name))
        place, _ = bound_to(context.project, path, self.name)
        known = context.is_recorded(target) or context.gives_up(path, self.name)
        if place is not None and not known and not context.is_present(target):
            raise Refused(
                Refusal(
                    "name-clash",
                    f"{path} already defines {self.name}",
                    place,
                    seen=self.name,
                    expected=f"`{code}`",
                    snippet=code,
                    remedy=f"rename your {self.name}",
                    feature=context.feature,
                )
            )
        for source in self.imports:
            yield context.imported(path, source)[0]
        yield Resolved(target, Anchor((), _after_aliases(context, path)))


def _after_aliases(context: FeatureContext, path: str) -> int:
    """Return the last top-level assignment, or else the last statement, of the module."""
    own = context.spots(path)
    last = -1
    assigned = -1
    for ordinal, node in enumerate(context.project.tree.python(path).tree.body):
        if ((), ordinal) in own:
            continue
        last = ordinal
        if isinstance(node, ast.Assign | ast.AnnAssign):
            assigned = ordinal
    return assigned if assigned >= 0 else last
