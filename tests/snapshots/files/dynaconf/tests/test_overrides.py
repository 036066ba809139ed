# From laterctl: di-testing.
"""What tests override is put back."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from dependency_injector.providers import Configuration, Container

from order_service.core.container import container

Override = Callable[..., ExitStack]

NAMES = [
    name
    for name, provider in container.providers.items()
    if not isinstance(provider, (Configuration, Container))
]


@pytest.mark.parametrize('name', NAMES)
def test_a_provider_gives_the_fake_until_the_block_ends(
    name: str,
    override_providers: Override,
) -> None:
    """Whatever it gave before, it gives again."""
    provider: Any = container.providers[name]
    before, fake = provider.overridden, object()
    with override_providers(**{name: fake}):
        assert provider() is fake
    assert provider.overridden == before


@pytest.mark.parametrize('name', NAMES)
def test_a_wrong_name_leaves_the_others_as_they_are(
    name: str,
    override_providers: Override,
) -> None:
    """It is an error."""
    provider: Any = container.providers[name]
    before = provider.overridden
    with pytest.raises(AttributeError, match='no_such_provider'):
        override_providers(**{name: object(), 'no_such_provider': object()})
    assert provider.overridden == before
