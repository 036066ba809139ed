# From laterctl: jwt.
"""Tokens: what is refused, how keys change, how refresh tokens rotate."""

import asyncio
import secrets
import time
from collections.abc import Collection, Mapping

import jwt
import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response

from order_service.api.auth import router, user_authenticator
from order_service.api.current_user import CurrentUser, refresh_store, token_service
from order_service.core.auth.config import AuthConfig
from order_service.core.auth.keys import KeyRing
from order_service.core.auth.refresh import GRACE_SECONDS, MemoryRefreshStore
from order_service.core.auth.tokens import REQUIRED, TokenService

KEY = secrets.token_bytes(64)
OLD_KEY = secrets.token_bytes(64)
CONFIG = AuthConfig(issuer='issuer', audience='audience')
TOKENS = TokenService(KeyRing({'new': KEY, 'old': OLD_KEY}), CONFIG)
FORM = {'username': 'ada', 'password': 'right'}


class _Users:
    async def authenticate(self, username: str, password: str) -> str | None:
        known = (username, password) == (FORM['username'], FORM['password'])
        return username if known else None

    async def scopes(self, subject: str) -> Collection[str] | None:
        return ('read',) if subject == FORM['username'] else None


class _Site:
    """A small application with the routes, and a clock to turn."""

    def __init__(self, tokens: TokenService = TOKENS) -> None:
        self.now = 0.0
        store = MemoryRefreshStore(CONFIG.refresh_ttl, lambda: self.now)
        self.app = FastAPI()
        self.app.include_router(router)
        self.app.add_api_route('/me', _me)
        self.app.dependency_overrides = {
            token_service: lambda: tokens,
            refresh_store: lambda: store,
            user_authenticator: _Users,
        }

    def client(self) -> AsyncClient:
        transport = ASGITransport(app=self.app)
        return AsyncClient(transport=transport, base_url='http://test')

    def me(self, authorization: str = '') -> Response:
        async def call() -> Response:
            header = authorization.encode()
            headers = {b'Authorization': header} if header else {}
            async with self.client() as client:
                return await client.get('/me', headers=headers)

        return asyncio.run(call())

    def sign_in(self, **changes: str) -> Response:
        async def call() -> Response:
            async with self.client() as client:
                return await client.post('/auth/token', data=FORM | changes)

        return asyncio.run(call())

    def post(self, path: str, token: str, times: int = 1) -> list[Response]:
        async def call() -> list[Response]:
            body = {'refresh_token': token}
            async with self.client() as client:
                calls = (client.post(path, json=body) for _ in range(times))
                return await asyncio.gather(*calls)

        return asyncio.run(call())


async def _me(user: CurrentUser) -> dict[str, str]:
    return {'subject': user.subject, 'scopes': ' '.join(user.scopes)}


def _forged(
    changes: Mapping[str, object],
    header: Mapping[str, object] | None = None,
    algorithm: str = 'HS256',
) -> str:
    now = int(time.time())
    claims = {
        'iss': CONFIG.issuer,
        'aud': CONFIG.audience,
        'sub': 'ada',
        'iat': now,
        'nbf': now,
        'exp': now + 60,
        'jti': 'id',
        **changes,
    }
    claims = {name: value for name, value in claims.items() if value != ''}
    headers = {'kid': 'new', 'typ': 'at+jwt', **(header or {})}
    return jwt.encode(claims, KEY, algorithm, headers)


def _bad_tokens() -> dict[str, str]:
    now = int(time.time())
    head, payload, signature = _forged({}).split('.')
    bad = {
        'empty': '',
        'text': 'x',
        'three parts': 'a.b.c',
        'not ASCII': 'é.è.ê',
        'tampered': f'{head}.{payload}.{signature[::-1]}',
        'payload is a list': f'{head}.W10.{signature}',
        'kid is a list': f'eyJhbGciOiJIUzI1NiIsImtpZCI6W119.{payload}.',
        'no algorithm': f'eyJhbGciOiJub25lIiwia2lkIjoibmV3In0.{payload}.',
        'other algorithm': _forged({}, algorithm='HS512'),
        'unknown kid': _forged({}, {'kid': 'other'}),
        'kid of another key': _forged({}, {'kid': 'old'}),
        'refresh token': _forged({}, {'typ': 'rt+jwt'}),
        'expired': _forged({'exp': now - 60}),
        'not yet valid': _forged({'nbf': now + 60}),
        'lives too long': _forged({'exp': now + CONFIG.max_ttl + 60}),
        'other audience': _forged({'aud': 'other'}),
        'other issuer': _forged({'iss': 'other'}),
        'subject is a number': _forged({'sub': 1}),
        'scope is a list': _forged({'scope': ['read']}),
    }
    return bad | {f'no {name}': _forged({name: ''}) for name in REQUIRED}


@pytest.mark.parametrize('cause', list(_bad_tokens()))
def test_bad_token_is_refused(cause: str) -> None:
    """The answer does not tell what is wrong with the token."""
    # Made now: a token that is not valid yet may be once all tests are found.
    token = _bad_tokens()[cause]
    response = _Site().me(f'Bearer {token}')
    assert response.status_code == 401
    challenge = response.headers['WWW-Authenticate']
    assert challenge == 'Bearer error="invalid_token"'
    assert response.json() == {'detail': 'Could not validate credentials'}


@pytest.mark.parametrize('header', ['', 'Basic YTpi'])
def test_no_token_is_challenged(header: str) -> None:
    """Who sends no token made no error."""
    response = _Site().me(header)
    assert response.status_code == 401
    assert response.headers['WWW-Authenticate'] == 'Bearer'


def test_keys_rotate() -> None:
    """The first key signs; the others verify while they are listed."""
    old = TokenService(KeyRing({'old': OLD_KEY}), CONFIG).mint('ada', ['read'])
    new = TOKENS.mint('ada')
    assert jwt.get_unverified_header(new)['kid'] == 'new'
    response = _Site().me(f'Bearer {old}')
    assert response.json() == {'subject': 'ada', 'scopes': 'read'}
    alone = _Site(TokenService(KeyRing({'new': KEY}), CONFIG))
    assert alone.me(f'Bearer {new}').status_code == 200
    assert alone.me(f'Bearer {old}').status_code == 401


def test_sign_in() -> None:
    """A wrong user and a wrong password get the same answer."""
    site = _Site()
    response = site.sign_in()
    assert response.headers['Cache-Control'] == 'no-store'
    assert response.json()['expires_in'] == CONFIG.access_ttl
    access = response.json()['access_token']
    assert site.me(f'Bearer {access}').status_code == 200
    nobody, mistyped = site.sign_in(username='bob'), site.sign_in(password='x')
    assert nobody.status_code == mistyped.status_code == 401
    assert nobody.content == mistyped.content


def test_refresh_token_rotates_once() -> None:
    """Refreshes at once share a successor; a copy used later ends it all."""
    site = _Site()
    first = site.sign_in().json()['refresh_token']
    answers = site.post('/auth/refresh', first, times=20)
    assert {answer.status_code for answer in answers} == {200}
    (second,) = {answer.json()['refresh_token'] for answer in answers}
    assert second != first
    site.now += GRACE_SECONDS
    for token in (first, second):
        (answer,) = site.post('/auth/refresh', token)
        assert answer.status_code == 401


def test_logout_ends_the_family() -> None:
    """A second logout is fine."""
    site = _Site()
    token = site.sign_in().json()['refresh_token']
    for _ in range(2):
        (answer,) = site.post('/auth/logout', token)
        assert answer.status_code == 204
    (answer,) = site.post('/auth/refresh', token)
    assert answer.status_code == 401
