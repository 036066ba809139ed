"""Providers: a dependency-injector container, or cached functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from laterctl.dialects.providers.base import Providers, ProviderSpec
from laterctl.dialects.providers.container import ContainerProviders
from laterctl.dialects.providers.functions import FunctionProviders

if TYPE_CHECKING:
    from laterctl.project.discover import Project

__all__ = ["ProviderSpec", "Providers", "providers_of"]


def providers_of(project: Project) -> Providers:
    """Return how a project provides objects: by its container where that can be edited and its instance imported."""
    container = project.container
    if container is not None and container.editable and container.access is not None:
        return ContainerProviders(container, container.access)
    return FunctionProviders(container)
