"""Cached functions: an object is what its function returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from laterctl.dialects.ground import Ground
from laterctl.dialects.providers.base import Providers, ProviderSpec
from laterctl.dialects.providers.container import Container
from laterctl.project.places import Place
from laterctl.render import Expr, Import
from laterctl.targets.resolved import Resolved


class FunctionProviders(Providers):
    """A project without a container that can be edited: the feature's own function is all there is."""

    def __init__(self, container: Container | None = None) -> None:
        self._container = container

    def has(self, name: str) -> bool:
        """No object has a name here."""
        return False

    def declare(self, spec: ProviderSpec, arguments: Sequence[str], ground: Ground) -> Iterator[Resolved]:
        """Yield nothing: the function is in the feature's own file."""
        yield from ()

    def instead(self) -> tuple[str, Place] | None:
        """Return the reason why a container that is there is left alone."""
        found = self._container
        if found is None:
            return None
        name = found.class_name or found.title
        return f"{name} gets no providers, for {found.reason}: new objects come from cached functions", found.place

    def read(self, spec: ProviderSpec, module: str) -> Expr:
        """Return the call of the function."""
        return Expr(f"{_function(spec)}()", (Import(module, _function(spec)),))

    def keep(self, spec: ProviderSpec) -> Expr:
        """Return the definition of the cached function."""
        return Expr(f"{_function(spec)} = cache({spec.source.partition(':')[2]})", (Import("functools", "cache"),))

    def forget(self, spec: ProviderSpec, module: str) -> Expr:
        """Return what empties the cache of the function."""
        return Expr(f"{_function(spec)}.cache_clear", (Import(module, _function(spec)),))


def _function(spec: ProviderSpec) -> str:
    return f"get_{spec.name}" if spec.is_kept else spec.source.partition(":")[2]
