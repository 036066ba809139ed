"""Providers: objects that request code gets from the container, or from a plain function where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from laterctl.dialects.providers import ProviderSpec, providers_of
from laterctl.edits.context import FeatureContext
from laterctl.render import Expr
from laterctl.targets.resolved import Resolved


class Provider(ProviderSpec, frozen=True):
    """An object, and where there is a container its provider, so that `container.<name>.override(...)` works.

    `given` names providers of the project's own container whose objects the function takes, in order.
    """

    given: Callable[[FeatureContext], tuple[str, ...]] | None = None

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        arguments = self.given(context) if self.given else ()
        providers = providers_of(context.project)
        if instead := providers.instead():
            context.choice(*instead)
        yield from providers.declare(self, arguments, context)


def read(context: FeatureContext, name: str) -> Expr:
    """Return the expression that gives provider `name`, for a template."""
    spec = ProviderSpec(name, context.providers.get(name, ""))  # one of the user's own container has no source
    return providers_of(context.project).read(spec, context.module(spec.source.partition(":")[0]))
