# From laterctl: jwt.
"""Signing in to this application, and who its requests come from."""

import asyncio
import secrets
from collections.abc import Collection, Iterator
from typing import Annotated

import pytest
from fastapi.routing import APIRoute
from httpx import ASGITransport, AsyncClient, Response

from order_service.core.auth import tokens
from order_service.core.auth.authenticator import get_user_authenticator
from order_service.main import app

KEYS = {'test': secrets.token_bytes(64)}
INVALID = 'Bearer error="invalid_token"'
FORM = {'username': 'ada', 'password': 'right'}

site = app


class _Users:
    async def authenticate(self, username: str, password: str) -> str | None:
        return username if password == FORM['password'] else None

    async def scopes(self, subject: str) -> Collection[str] | None:
        return ('read',) if subject == FORM['username'] else None


async def _me(user: tokens.CurrentUser) -> str:
    return user.subject


async def _write(
    user: Annotated[tokens.Principal, tokens.require_scopes('write')],
) -> str:
    return user.subject


@pytest.fixture(autouse=True)
def _prepared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the application a key, a user and routes that ask for the caller."""
    monkeypatch.setattr(tokens, 'signing_keys', lambda: KEYS)
    routes = [APIRoute('/test-me', _me), APIRoute('/test-write', _write)]
    site.router.routes[:0] = routes
    site.dependency_overrides[get_user_authenticator] = _Users
    yield
    del site.dependency_overrides[get_user_authenticator]
    del site.router.routes[: len(routes)]


def _call(
    method: str,
    path: str,
    authorization: str = '',
    form: dict[str, str] | None = None,
    json: dict[str, str] | None = None,
) -> Response:
    async def send() -> Response:
        transport = ASGITransport(app=site)
        headers = {'Authorization': authorization} if authorization else {}
        async with AsyncClient(
            transport=transport,
            base_url='https://localhost',
            headers=headers,
        ) as client:
            return await client.request(method, path, data=form, json=json)

    return asyncio.run(send())


def _sign_in(password: str = FORM['password']) -> Response:
    form = FORM | {'password': password}
    return _call('POST', site.url_path_for('auth_sign_in'), form=form)


def test_signing_in_gives_a_token_that_names_the_caller() -> None:
    """What it may do is asked for, too."""
    response = _sign_in()
    assert response.headers['Cache-Control'] == 'no-store'
    bearer = 'Bearer ' + response.json()['access_token']
    assert _call('GET', '/test-me', bearer).json() == FORM['username']
    refused = _call('GET', '/test-write', bearer)
    assert refused.status_code == 403
    assert 'insufficient_scope' in refused.headers['WWW-Authenticate']


def test_who_gives_no_token_or_a_bad_one_is_challenged() -> None:
    """No token is no error, and a wrong password is none of a token."""
    good = 'Bearer ' + tokens.sign_access(FORM['username'])
    asked = [_call('GET', '/test-me', token) for token in ('', 'Basic YTpi')]
    for response in (*asked, _sign_in('wrong')):
        assert response.status_code == 401
        assert response.headers['WWW-Authenticate'] == 'Bearer'
    for token in ('Bearer', 'Bearer x', f'{good[:-9]}AAAAAAAAA'):
        response = _call('GET', '/test-me', token)
        assert response.status_code == 401
        assert response.headers['WWW-Authenticate'] == INVALID


def test_logout_ends_the_session() -> None:
    """Each refresh gives another token until then."""
    body = {'refresh_token': _sign_in().json()['refresh_token']}
    refreshed = _call('POST', site.url_path_for('auth_refresh'), json=body)
    assert refreshed.json()['refresh_token'] != body['refresh_token']
    ended = _call('POST', site.url_path_for('auth_sign_out'), json=body)
    assert ended.status_code == 204
    refused = _call('POST', site.url_path_for('auth_refresh'), json=body)
    assert refused.status_code == 401
