"""The lifespan ladder: how the managed resources get into the app's start and stop."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from msgspec import Struct

from laterctl.edits.app_statements import after_routers
from laterctl.edits.context import FeatureContext, Resolved
from laterctl.project.facts import App, Lifespan
from laterctl.refusal import Refusal, Refused
from laterctl.targets.argument import Argument
from laterctl.targets.base import Anchor
from laterctl.targets.block import Block
from laterctl.targets.statement import Statement


class ManagedLifespan(Struct, frozen=True):
    """Enter the async context manager `source` while the app runs.

    `lifespan=` silently disables `on_event` handlers, so it is given only where there are none: an own lifespan gets
    the context around its `yield`; handlers, or a lifespan that cannot be edited, get a router with a lifespan, which
    FastAPI merges from 0.112.2 on.
    """

    source: str

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        name = self.source.partition(":")[2]
        app = context.app(f"app = FastAPI(lifespan={name})")
        kind = app.lifespan.kind
        if kind == "function" and app.lifespan.place is not None:
            yield from self._wrap(context, app.lifespan)
        elif self._is_free(app) or context.is_present(Argument(app.path, app.scope, app.holder, "lifespan", name)):
            wanted, local = context.imported(app.path, self.source)
            yield wanted
            yield Resolved(Argument(app.path, app.scope, app.holder, "lifespan", local))
        else:
            yield from self._router(context, app)

    def _is_free(self, app: App) -> bool:
        return app.lifespan.kind == "none" and not app.open_keywords and "lifespan" not in app.keywords

    def _wrap(self, context: FeatureContext, lifespan: Lifespan) -> Iterator[Resolved]:
        assert lifespan.place is not None
        path = lifespan.place.path
        function = _function(context, path, lifespan)
        parameters = [*function.args.posonlyargs, *function.args.args]
        if not parameters:
            raise Refused(
                Refusal(
                    "lifespan-no-app",
                    f"{function.name}() takes no application",
                    lifespan.place,
                    snippet=f"async with {self.source.partition(':')[2]}(app):\n    yield",
                    remedy="give it the parameter `app: FastAPI`",
                    feature=context.feature,
                )
            )
        wanted, local = context.imported(path, self.source)
        yield wanted
        yield Resolved(Block(path, lifespan.name, f"async with {local}({parameters[-1].arg}):"))

    def _router(self, context: FeatureContext, app: App) -> Iterator[Resolved]:
        wanted, local = context.imported(app.path, self.source)
        router, router_name = context.imported(app.path, "fastapi:APIRouter")
        code = f"{app.name}.include_router({router_name}(lifespan={local}))"
        yield wanted
        yield router
        reason = (
            "its on_event handlers would be disabled by lifespan="
            if app.lifespan.kind == "on_event"
            else (app.lifespan.reason or "the app's own lifespan is left as it is")
        )
        context.notice(f"resources are managed by a router's lifespan: {reason}", app.lifespan.place)
        yield Resolved(
            Statement(app.path, app.scope, code, (110, local)), Anchor(app.body, after_routers(context, app, code))
        )


def _function(context: FeatureContext, path: str, lifespan: Lifespan) -> ast.AsyncFunctionDef | ast.FunctionDef:
    tree = context.project.tree.python(path).tree
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef) and node.name == lifespan.name.rpartition(".")[2]:
            return node
    raise Refused(
        Refusal(
            "lifespan-lost",
            f"the lifespan {lifespan.name} was not found again",
            lifespan.place,
            feature=context.feature,
        )
    )
