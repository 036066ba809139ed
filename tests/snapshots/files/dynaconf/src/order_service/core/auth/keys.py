# From laterctl: jwt.
"""The keys that sign tokens.

``APP_JWT_KEYS=kid:base64[,kid:base64]``

The first key signs, all of them verify. To replace a key put the new one in
front, and drop the old one once the last token it signed has expired.
"""

import base64
import binascii
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from order_service.core.auth.config import (
    MINIMUM_KEY_BYTES,
    AuthSettingError,
    auth_config,
    in_production,
)
from order_service.core.auth.errors import AuthUnavailableError
from order_service.core.config import settings
from order_service.core.startup import as_text

SETTING = 'APP_JWT_KEYS'

KEY_ID = re.compile(r'[A-Za-z0-9._-]{1,64}')

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeyRing:
    """Keys by their id, in order; empty when none are configured."""

    keys: Mapping[str, bytes] = field(repr=False)

    def signing(self) -> tuple[str, bytes]:
        """Return id and key of the one that signs.

        Raises AuthUnavailableError when there are no keys.
        """
        for key_id, key in self.keys.items():
            return key_id, key
        message = f'{SETTING} is not set'
        raise AuthUnavailableError(message)

    def verifying(self, key_id: object) -> bytes | None:
        """Return the key of that id, None when it is not one of ours."""
        return self.keys.get(key_id) if isinstance(key_id, str) else None


def parse_keys(text: str, minimum_bytes: int) -> KeyRing:
    """Read ``kid:base64[,kid:base64]``, standard or URL-safe.

    Raises AuthSettingError for anything else, and for a key that is too
    short; never with a key in it.
    """
    keys: dict[str, bytes] = {}
    for number, entry in enumerate(filter(None, _entries(text)), start=1):
        key_id, _, encoded = entry.partition(':')
        key = _decoded(encoded)
        if not KEY_ID.fullmatch(key_id) or key is None:
            message = f'{SETTING}: entry {number} is not kid:base64'
        elif len(key) < minimum_bytes:
            message = f'{SETTING}: entry {number} has too few bytes'
        elif key_id in keys:
            message = f'{SETTING}: entry {number} repeats a kid'
        else:
            keys[key_id] = key
            continue
        raise AuthSettingError(message)
    return KeyRing(keys)


@cache
def get_key_ring() -> KeyRing:
    """Return the configured keys; says so in the log when there are none."""
    minimum_bytes = MINIMUM_KEY_BYTES[auth_config().algorithm]
    ring = parse_keys(as_text(settings.get('JWT_KEYS', None)), minimum_bytes)
    if not ring.keys:
        logger.error('%s is not set: authentication answers 503', SETTING)
    return ring


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(',')]


def _decoded(encoded: str) -> bytes | None:
    padded = encoded.rstrip('=').translate(str.maketrans('-_', '+/'))
    padded += '=' * (-len(padded) % 4)
    try:
        return base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError):
        return None


async def check_keys() -> None:
    # Wrong keys stop any start, missing ones only that of production.
    if not get_key_ring().keys and in_production():
        message = f'{SETTING} is not set'
        raise AuthSettingError(message)
