# From laterctl: jwt.
"""Tokens: signed here, believed only when all fits; whom a request comes from.

To replace a key put the new one in front of the others, and drop the old one
when the last token that it signed has expired.
"""

import base64
import logging
import re
import time
import uuid
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple

import jwt
from fastapi import Depends, HTTPException
from fastapi.params import Security
from fastapi.requests import HTTPConnection
from fastapi.security import OAuth2PasswordBearer, SecurityScopes
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt

from order_service.core.auth.sessions import RefreshToken, Sessions
from order_service.core.feature_settings import FeatureSettings

URL_SAFE = str.maketrans('-_', '+/')
ENTRY = re.compile(r'([\w.-]{1,64}):([\w/+-]+)=*', re.ASCII)
B64 = r'([\w-]{4})*([\w-]{2}[AEIMQUYcgkosw048]|[\w-][AQgw])?'  # canonical
TOKEN = re.compile(rf'{B64}\.{B64}\.{B64}', re.ASCII)
LEEWAY_SECONDS = 10
# For ``responses=`` of routes that ask for the caller.
AUTH_RESPONSES: dict[int | str, dict[str, Any]] = {401: {}, 403: {}, 503: {}}

log_once = cache(logging.getLogger(__name__).error)


def parse_keys(value: object) -> dict[str, bytes]:
    """Read keys by their ids; ValueError tells the number of a wrong one."""
    text: str = getattr(value, 'get_secret_value', value.__str__)()
    entries = filter(None, map(str.strip, text.split(',')))
    keys: dict[str, bytes] = {}
    for number, entry in enumerate(entries, start=1):
        match = ENTRY.fullmatch(entry)
        if not match or match[1] in keys:
            message = f'entry {number} is not kid:base64 with a kid of its own'
            raise ValueError(message)
        keys[match[1]] = base64.b64decode(match[2].translate(URL_SAFE) + '==')
    return keys


Keys = Annotated[dict[str, bytes], BeforeValidator(parse_keys)]


class AuthSettings(FeatureSettings):
    """What tokens say, and how long they live: at most ``jwt_max_ttl`` seconds."""

    jwt_keys: Keys = Field(default={}, repr=False)
    jwt_algorithm: Literal['HS256', 'HS384', 'HS512'] = 'HS256'
    jwt_issuer: str = 'api'
    jwt_audience: str = 'api'
    jwt_access_ttl: PositiveInt = 900
    jwt_max_ttl: PositiveInt = 3600
    jwt_refresh_ttl: PositiveInt = 1209600

    def model_post_init(self, _context: object) -> None:
        """Refuse weak keys, and tokens that would not be believed."""
        shortest = int(self.jwt_algorithm[2:]) // 8  # RFC 7518, 3.2
        if any(len(key) < shortest for key in self.jwt_keys.values()):
            message = f'JWT_KEYS: a key has not {shortest} bytes'
            raise ValueError(message)
        if self.jwt_access_ttl > self.jwt_max_ttl:
            message = 'JWT_ACCESS_TTL is above JWT_MAX_TTL'
            raise ValueError(message)


class Claims(BaseModel):
    """What a token says; a number that is text, for one, does not pass."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    sub: str = Field(min_length=1)
    jti: str
    iat: float
    nbf: float
    exp: float
    scope: str = ''
    sid: str = ''
    ver: int = 0


class Principal(NamedTuple):
    """Whom a request comes from, as its access token says."""

    subject: str
    scopes: frozenset[str] = frozenset()


class InvalidTokenError(HTTPException):
    """The token is not ours, not for this use, or over: one 401 for all."""

    def __init__(self) -> None:
        """Say no more than that."""
        challenge = {'WWW-Authenticate': 'Bearer error="invalid_token"'}
        super().__init__(401, 'Could not validate credentials', challenge)


def refusal(code: int, detail: str, challenge: str = 'Bearer') -> HTTPException:
    """Return a 401 or 403; who gave no token made no error with it."""
    return HTTPException(code, detail, {'WWW-Authenticate': challenge})


def unavailable(reason: str) -> HTTPException:
    """Return a 503; the log has the reason, once."""
    log_once('%s: authentication answers 503', reason)
    return HTTPException(503, 'Authentication is not available')


@cache
def auth_settings() -> AuthSettings:
    """Return the settings; ValueError names one that is wrong."""
    return AuthSettings()


def signing_keys() -> dict[str, bytes]:
    """Return the keys by their ids; a 503 while there are none."""
    if keys := auth_settings().jwt_keys:
        return keys
    raise unavailable(reason='JWT_KEYS is not set')


def sign_access(subject: str, scopes: Iterable[str] = ()) -> str:
    """Return an access token."""
    settings, iat = auth_settings(), int(time.time())
    jti, scope = uuid.uuid4().hex, ' '.join(sorted(scopes))
    claims = {'sub': subject, 'jti': jti, 'scope': scope}
    return _signed('at+jwt', iat, iat + settings.jwt_access_ttl, claims)


def sign_refresh(token: RefreshToken) -> str:
    """Return the text of a refresh token, the same each time."""
    subject, session, version = token
    jti, iat = f'{session}.{version}', version // 1000
    exp = iat + auth_settings().jwt_refresh_ttl
    claims = {'sub': subject, 'jti': jti, 'sid': session, 'ver': version}
    return _signed('rt+jwt', iat, exp, claims)


def _signed(typ: str, iat: int, exp: int, claims: Mapping[str, Any]) -> str:
    settings = auth_settings()
    key_id, key = next(iter(signing_keys().items()))
    who = {'iss': settings.jwt_issuer, 'aud': settings.jwt_audience}
    payload = {**claims, **who, 'iat': iat, 'nbf': iat, 'exp': exp}
    # The type keeps tokens of one use from another (RFC 8725, 3.11).
    header = {'kid': key_id, 'typ': typ}
    return jwt.encode(payload, key, settings.jwt_algorithm, header)


def verify_access(token: str) -> Claims:
    """Return what an access token says; InvalidTokenError if it is none."""
    return _verified('at+jwt', token, auth_settings().jwt_max_ttl)


def verify_refresh(token: str) -> RefreshToken:
    """Return which refresh token a text is; InvalidTokenError if it is none.

    Whether it is the live one of its session is for the sessions to say.
    """
    claims = _verified('rt+jwt', token, auth_settings().jwt_refresh_ttl)
    return RefreshToken(claims.sub, claims.sid, claims.ver)


def _verified(typ: str, token: str, max_ttl: int) -> Claims:
    keys, settings = signing_keys(), auth_settings()
    try:
        header = jwt.get_unverified_header(token)
        payload = jwt.decode(
            token,
            keys[header['kid']],
            algorithms=[settings.jwt_algorithm],
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            leeway=LEEWAY_SECONDS,
        )
        claims = Claims.model_validate(payload)
    # A hostile token makes the library raise what it never says it does.
    except Exception as error:
        raise InvalidTokenError from error
    is_ours = TOKEN.fullmatch(token) and header.get('typ') == typ
    if not is_ours or claims.exp - claims.iat > max_ttl:
        raise InvalidTokenError
    return claims


@cache
def get_sessions() -> Sessions:
    """Return the sessions of this application.

    ``await get_sessions().end_all(subject)`` after a change of password.
    """
    return Sessions(auth_settings().jwt_refresh_ttl)


class Bearer(OAuth2PasswordBearer):
    """The token of the Authorization header, on WebSocket routes as well."""

    __globals__ = globals()  # where older FastAPI looks annotations up

    async def __call__(self, request: HTTPConnection) -> str | None:
        """Return the token, '' when it is empty, None without the header."""
        header = request.headers.get('Authorization', '')
        scheme, _, token = header.partition(' ')
        return token if scheme.lower() == 'bearer' else None


bearer = Bearer(tokenUrl='auth/token', auto_error=False)
TokenDep = Annotated[str | None, Depends(bearer)]


async def get_current_user(need: SecurityScopes, token: TokenDep) -> Principal:
    """Return the caller: 401 without a good token, 403 without a scope."""
    signing_keys()
    if token is None:
        raise refusal(401, 'Not authenticated')
    claims = verify_access(token)
    user = Principal(claims.sub, frozenset(claims.scope.split()))
    if not user.scopes.issuperset(need.scopes):
        error = f'Bearer error="insufficient_scope", scope="{need.scope_str}"'
        raise refusal(403, 'Not allowed', error)
    return user


CurrentUser = Annotated[Principal, Depends(get_current_user)]


def require_scopes(*scopes: str) -> Security:
    """Ask for a caller whose token has all of these scopes.

    ``dependencies=[require_scopes('items:write')]`` of a route or router, or
    ``user: Annotated[Principal, require_scopes('items:write')]``.
    """
    return Security(get_current_user, scopes=scopes)
