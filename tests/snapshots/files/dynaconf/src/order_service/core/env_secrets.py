# From laterctl: secrets.
"""Secrets from the settings of the project."""

from pydantic import SecretStr

from order_service.core.feature_settings import EMPTY, value_of, variable
from order_service.core.secret_provider import Secret


class EnvSecretProvider:
    """Secrets that do not change while the application runs."""

    def get(self, name: str) -> Secret:
        """Return the secret of a setting; LookupError names one not set."""
        try:
            value = value_of(name)
        except (AttributeError, KeyError):
            value = None
        if value in EMPTY:
            message = f'{variable(name)} is not set'
            raise LookupError(message)
        if not isinstance(value, SecretStr):
            value = SecretStr(str(value))
        return Secret(value)
