"""A dependency alias in the project's own module of dependencies, where it has one."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from msgspec import Struct

from laterctl.edits.pieces import Anchor, Statement
from laterctl.edits.relative import bound_to
from laterctl.edits.site import Site, Wanted
from laterctl.outcome import Refusal, Refused


class DependencyAlias(Struct, frozen=True):
    """`name = expression` in `api/deps.py`, with the imports the expression needs (`module:Name`).

    A project without such a module gets nothing: the feature's own file has the same alias.
    """

    name: str
    expression: str
    imports: tuple[str, ...]

    def resolve(self, site: Site) -> Iterator[Wanted]:
        path = site.path("api/deps.py")
        if site.project.tree.read(path) is None:
            return
        code = f"{self.name} = {self.expression}"
        piece = Statement(path, "", code, (10, self.name))
        place, _ = bound_to(site.project, path, self.name)
        known = any(record.piece == piece for record in site.records)
        if place is not None and not known and not site.stands(piece):
            raise Refused(
                Refusal(
                    "name-clash",
                    f"{path} already defines {self.name}",
                    place,
                    seen=self.name,
                    expected=f"`{code}`",
                    snippet=code,
                    remedy=f"rename your {self.name}",
                    feature=site.feature,
                )
            )
        for source in self.imports:
            yield site.imported(path, source)[0]
        yield Wanted(piece, Anchor((), _after_aliases(site, path)))


def _after_aliases(site: Site, path: str) -> int:
    """Return the last top-level assignment, or else the last statement, of the module."""
    own = site.spots(path)
    last = -1
    assigned = -1
    for ordinal, node in enumerate(site.project.tree.python(path).tree.body):
        if ((), ordinal) in own:
            continue
        last = ordinal
        if isinstance(node, ast.Assign | ast.AnnAssign):
            assigned = ordinal
    return assigned if assigned >= 0 else last
