# From laterctl: jwt.
"""Access and refresh tokens: signed here, believed only when all fits."""

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt

from order_service.core.auth.config import AuthConfig, auth_config
from order_service.core.auth.errors import TokenError
from order_service.core.auth.keys import KeyRing, get_key_ring
from order_service.core.auth.refresh import RefreshToken

ACCESS = 'at+jwt'
REFRESH = 'rt+jwt'
"""The header ``typ`` tells the two apart (RFC 9068, 2.1; RFC 8725, 3.11)."""

LEEWAY_SECONDS = 10
REQUIRED = ['iss', 'aud', 'sub', 'iat', 'nbf', 'exp', 'jti']

UNREADABLE = (
    jwt.PyJWTError,
    ArithmeticError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What the content of a hostile token may raise on its way through."""


@dataclass(frozen=True)
class Principal:
    """Who makes the request, as their token says."""

    subject: str
    scopes: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(
        default_factory=dict[str, Any],
        compare=False,
        repr=False,
    )


class TokenService:
    """Mints and verifies tokens with the keys of a ring."""

    def __init__(self, keys: KeyRing, config: AuthConfig) -> None:
        """Use ``keys`` as they are: a change needs a new service."""
        self.config = config
        self._keys = keys
        self._jwt = jwt.PyJWT(options={'enforce_minimum_key_length': True})

    def ensure_ready(self) -> None:
        """Raise AuthUnavailableError when there are no keys."""
        self._keys.signing()

    def mint(self, subject: str, scopes: Iterable[str] = ()) -> str:
        """Return an access token; AuthUnavailableError without keys."""
        claims = {
            'jti': uuid.uuid4().hex,
            'scope': ' '.join(sorted(scopes)),
        }
        now = int(time.time())
        return self._sign(ACCESS, subject, now, self.config.access_ttl, claims)

    def mint_refresh(self, subject: str, token: RefreshToken) -> str:
        """Return the refresh token that the store knows as ``token``.

        The same text each time, whichever process mints it.
        """
        claims = {'jti': token.token_id, 'sid': token.family}
        ttl = self.config.refresh_ttl
        return self._sign(REFRESH, subject, token.issued_at, ttl, claims)

    def verify(self, token: str) -> Principal:
        """Return whom an access token stands for; TokenError otherwise."""
        return self._verify(token, ACCESS, self.config.max_ttl)

    def verify_refresh(self, token: str) -> tuple[str, RefreshToken]:
        """Return subject and identity of a refresh token, or TokenError.

        Whether it is still the live one of its family is the store's to say.
        """
        principal = self._verify(token, REFRESH, self.config.refresh_ttl)
        claims = principal.claims
        return principal.subject, RefreshToken(
            family=str(claims.get('sid')),
            token_id=claims['jti'],
            issued_at=int(claims['iat']),
        )

    def _sign(
        self,
        kind: str,
        subject: str,
        issued_at: int,
        ttl: int,
        claims: Mapping[str, str],
    ) -> str:
        key_id, key = self._keys.signing()
        payload = {
            'iss': self.config.issuer,
            'aud': self.config.audience,
            'sub': subject,
            'iat': issued_at,
            'nbf': issued_at,
            'exp': issued_at + ttl,
            **claims,
        }
        return self._jwt.encode(
            payload,
            key,
            self.config.algorithm,
            {'kid': key_id, 'typ': kind},
        )

    def _verify(self, token: str, kind: str, max_ttl: int) -> Principal:
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.verifying(header.get('kid'))
            if key is None or header.get('typ') != kind:
                raise TokenError
            claims = self._jwt.decode(
                token,
                key,
                algorithms=[self.config.algorithm],
                issuer=self.config.issuer,
                audience=self.config.audience,
                leeway=LEEWAY_SECONDS,
                options={'require': REQUIRED},
            )
        except UNREADABLE as error:
            raise TokenError from error
        return _principal(claims, max_ttl)


@cache
def get_token_service() -> TokenService:
    """Return the application's one token service."""
    return TokenService(get_key_ring(), auth_config())


def _principal(claims: Mapping[str, Any], max_ttl: int) -> Principal:
    texts = (claims['sub'], claims['jti'], claims.get('scope', ''))
    times = (claims['iat'], claims['nbf'], claims['exp'])
    if (
        not all(isinstance(text, str) for text in texts)
        or not all(type(moment) in {int, float} for moment in times)
        or not claims['sub']
        or claims['exp'] - claims['iat'] > max_ttl
    ):
        raise TokenError
    scopes = frozenset(claims.get('scope', '').split())
    return Principal(claims['sub'], scopes, dict(claims))
