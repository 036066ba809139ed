"""An own lifespan with one `yield`, which the context goes around."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from laterctl.dialects.ground import Ground
from laterctl.project.facts import App, Lifespan
from laterctl.project.places import Place
from laterctl.project.statements import Function, spots
from laterctl.refusal import Refusal, Refused
from laterctl.targets.block import Block
from laterctl.targets.resolved import Resolved


def fits(source: str, app: App, ground: Ground) -> bool:
    """Whether the app has a lifespan function that can be edited, and that is not the context itself."""
    lifespan = app.lifespan
    if lifespan.kind != "function" or lifespan.place is None:
        return False
    module, _, name = source.partition(":")
    return (ground.project.names.module_name(lifespan.place.path), lifespan.name) != (ground.module(module), name)


def declare(source: str, app: App, ground: Ground, after: Callable[[str], int]) -> Iterator[Resolved]:
    """Yield the import and the block around the `yield`.

    Raises:
        Refused: the lifespan takes no application.
    """
    lifespan = app.lifespan
    assert lifespan.place is not None
    path = lifespan.place.path
    function = _function(ground, path, lifespan)
    parameters = [*function.args.posonlyargs, *function.args.args]
    if not parameters:
        raise Refused(
            Refusal(
                "lifespan-no-app",
                f"{function.name}() takes no application",
                lifespan.place,
                snippet=f"async with {source.partition(':')[2]}(app):\n    yield",
                remedy="give it the parameter `app: FastAPI`",
                feature=ground.feature,
            )
        )
    wanted, local = ground.imported(path, source)
    yield wanted
    yield Resolved(Block(path, lifespan.name, f"async with {local}({parameters[-1].arg}):"))


def _function(ground: Ground, path: str, lifespan: Lifespan) -> ast.AsyncFunctionDef | ast.FunctionDef:
    tree = ground.project.tree.python(path).tree
    for spot in spots(tree):
        if isinstance(spot.node, Function) and Place(path, spot.node.lineno) == lifespan.place:
            return spot.node
    raise Refused(
        Refusal(
            "lifespan-lost",
            f"the lifespan {lifespan.name} was not found again",
            lifespan.place,
            feature=ground.feature,
        )
    )
