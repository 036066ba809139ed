"""Providers: objects that request code gets from the container, or from a plain function where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from laterctl.dialects.providers import ProviderSpec, providers_of
from laterctl.edits.context import FeatureContext
from laterctl.edits.open_file import Step
from laterctl.render import Expr
from laterctl.targets.resolved import Resolved


class Provider(ProviderSpec, frozen=True):
    """An object, and where there is a container its provider, so that `container.<name>.override(...)` works.

    `given` names providers of the project's own container whose objects the function takes, in order. What is closed is
    made when the application starts, after what has a lower `rank`; `started_by` is a coroutine method of it that is
    awaited then, before anything of a higher rank is made.
    """

    given: Callable[[FeatureContext], tuple[str, ...]] | None = None
    rank: int = 50
    started_by: str = ""

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        arguments = self.given(context) if self.given else ()
        providers = providers_of(context.project)
        if instead := providers.instead():
            context.choice(*instead)
        yield from providers.declare(self, arguments, context)
        if self.closed_by:
            module = context.module(self.source.partition(":")[0])
            made, forgotten = providers.read(self, module), providers.forget(self, module)
            for item in made.imports:
                yield context.imported_from(context.path("core/lifespan.py"), item.module, item.name)[0]
            close = f"closing(stack, '{self.name}', {made.text}.{self.closed_by})"
            for code in (close, f"stack.callback({forgotten.text})"):
                yield from Step(code, "core.lifespan:open_resources", rank=self.rank).resolve(context)
            if self.started_by:  # behind the others, so that a start that fails is closed too
                code = f"await {made.text}.{self.started_by}()"
                yield from Step(code, "core.lifespan:open_resources", rank=self.rank + 1).resolve(context)


def keep(context: FeatureContext, name: str) -> Expr:
    """Return the statement that keeps what the function of provider `name` makes, for the file of that function."""
    return providers_of(context.project).keep(context.providers[name])


def read(context: FeatureContext, name: str) -> Expr:
    """Return the expression that gives provider `name`, for a template."""
    spec = context.providers.get(name) or ProviderSpec(name, "")  # the user's own in a container has no source
    return providers_of(context.project).read(spec, context.module(spec.source.partition(":")[0]))
