# From laterctl: jwt.
"""The settings of token authentication, checked when they are read."""

from dataclasses import dataclass
from functools import cache

from order_service.core.config import get_settings
from order_service.core.startup import as_text, is_production

MINIMUM_KEY_BYTES = {'HS256': 32, 'HS384': 48, 'HS512': 64}
"""Algorithms that may sign, with their shortest key (RFC 7518, 3.2)."""

DENYLISTS = ('off', 'fail_open', 'fail_closed')


class AuthSettingError(ValueError):
    """A setting is missing or wrong; the text names it, never its value."""


@dataclass(frozen=True)
class AuthConfig:
    """What tokens say and how long they live, in seconds.

    ``max_ttl`` is the longest life of an access token that is believed,
    whoever minted it. ``denylist`` says whether an access token can be
    revoked at logout (a look-up in the refresh store for each request), and
    what happens while that store cannot be reached.
    """

    issuer: str
    audience: str
    algorithm: str = 'HS256'
    access_ttl: int = 900
    refresh_ttl: int = 1209600
    max_ttl: int = 3600
    denylist: str = 'off'

    def __post_init__(self) -> None:
        """Raise AuthSettingError for values that cannot work."""
        problems = (
            ('APP_JWT_ISSUER', not self.issuer, 'must not be empty'),
            ('APP_JWT_AUDIENCE', not self.audience, 'must not be empty'),
            (
                'APP_JWT_ALGORITHM',
                self.algorithm not in MINIMUM_KEY_BYTES,
                f'must be one of {", ".join(MINIMUM_KEY_BYTES)}',
            ),
            (
                'APP_JWT_DENYLIST',
                self.denylist not in DENYLISTS,
                f'must be one of {", ".join(DENYLISTS)}',
            ),
            (
                'APP_JWT_ACCESS_TTL',
                self.access_ttl > self.max_ttl,
                'must not be above APP_JWT_MAX_TTL',
            ),
        )
        for name, found, reason in problems:
            if found:
                message = f'{name} {reason}'
                raise AuthSettingError(message)


@cache
def auth_config() -> AuthConfig:
    """Return the settings; AuthSettingError when one of them is wrong."""
    return AuthConfig(
        issuer=as_text(get_settings().jwt_issuer),
        audience=as_text(get_settings().jwt_audience),
        algorithm=as_text(get_settings().jwt_algorithm),
        access_ttl=_seconds(
            'APP_JWT_ACCESS_TTL',
            get_settings().jwt_access_ttl,
        ),
        refresh_ttl=_seconds(
            'APP_JWT_REFRESH_TTL',
            get_settings().jwt_refresh_ttl,
        ),
        max_ttl=_seconds(
            'APP_JWT_MAX_TTL',
            get_settings().jwt_max_ttl,
        ),
        # A bare `off` may arrive as false.
        denylist=as_text(get_settings().jwt_denylist or 'off').lower(),
    )


def in_production() -> bool:
    """Tell whether the application runs where people depend on it."""
    return is_production(str(get_settings().env))


def _seconds(name: str, value: object) -> int:
    try:
        seconds = int(str(value))
    except ValueError:
        seconds = 0
    if seconds <= 0:
        message = f'{name} must be a whole number of seconds above 0'
        raise AuthSettingError(message)
    return seconds
