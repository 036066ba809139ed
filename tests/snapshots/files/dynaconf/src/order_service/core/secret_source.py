# From laterctl: secrets.
"""Where the secrets of this application are: in its settings."""

from functools import cache

from order_service.core.env_secrets import EnvSecretProvider


@cache
def get_secret_provider() -> EnvSecretProvider:
    """Return what gives secrets."""
    return EnvSecretProvider()
