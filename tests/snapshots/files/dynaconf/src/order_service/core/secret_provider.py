# From laterctl: secrets.
"""What a secret is, and what gives secrets."""

from typing import NamedTuple, Protocol

from pydantic import SecretStr


class Secret(NamedTuple):
    """A secret, which no message shows.

    Versions count up, from 0 where there are none. After ``expires_at``, in
    seconds as ``time.time()`` has them, there may be another value.
    """

    value: SecretStr
    version: int = 0
    expires_at: float | None = None


class SecretProvider(Protocol):
    """What gives secrets."""

    def get(self, name: str) -> Secret:
        """Return the secret called like a setting, as it is now.

        LookupError names the setting when there is none. This neither waits
        nor connects: ask again for each use, and keep nothing.
        """
        ...
