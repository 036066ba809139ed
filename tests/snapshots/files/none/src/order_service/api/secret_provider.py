# From laterctl: secrets.
"""The application's secrets as a dependency of path operations."""

from typing import Annotated

from fastapi import Depends

from order_service.core.secret_provider import SecretProvider
from order_service.core.secret_source import get_secret_provider


async def secret_provider() -> SecretProvider:
    """Return what gives secrets."""
    return get_secret_provider()


SecretsDep = Annotated[SecretProvider, Depends(secret_provider)]
