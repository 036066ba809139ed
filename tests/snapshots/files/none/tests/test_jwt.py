# From laterctl: jwt.
"""Signing in to this application, and who its requests come from."""

import asyncio
import secrets
from collections.abc import Collection

import pytest
from fastapi.routing import APIRoute
from httpx import ASGITransport, AsyncClient, Response

from order_service.core.auth import tokens
from order_service.core.auth.authenticator import get_user_authenticator
from order_service.main import app

FORM = {'username': 'ada', 'password': 'right'}

site = app
transport = ASGITransport(app=site)
client = AsyncClient(transport=transport, base_url='https://localhost')


class _Users:
    async def authenticate(self, username: str, password: str) -> str | None:
        return username if password == FORM['password'] else None

    async def scopes(self, subject: str) -> Collection[str] | None:
        return ('read',) if subject == FORM['username'] else None


@pytest.fixture(autouse=True)
def _prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the application a key, a user and a route that shows the caller."""
    keys = {'test': secrets.token_bytes(64)}
    monkeypatch.setattr(tokens, 'signing_keys', lambda: keys)
    users = {get_user_authenticator: _Users}
    monkeypatch.setattr(site, 'dependency_overrides', users)
    me = APIRoute('/test-me', tokens.get_current_user)
    monkeypatch.setattr(site.router, 'routes', [me, *site.router.routes])


def _get(**headers: str) -> Response:
    return asyncio.run(client.get('/test-me', headers=headers))


def _sign_in(form: dict[str, str]) -> Response:
    path = site.url_path_for('auth_sign_in')
    return asyncio.run(client.post(path, data=form))


def test_signing_in_gives_a_token_that_names_the_caller() -> None:
    """No cache keeps it."""
    response = _sign_in(FORM)
    assert response.headers['Cache-Control'] == 'no-store'
    bearer = 'Bearer ' + response.json()['access_token']
    assert _get(Authorization=bearer).json() == [FORM['username'], ['read']]


def test_who_gives_no_token_or_a_bad_one_is_challenged() -> None:
    """No token is no error, and a wrong password is none of a token."""
    for response in (_get(), _sign_in(FORM | {'password': 'wrong'})):
        assert response.status_code == 401
        assert response.headers['WWW-Authenticate'] == 'Bearer'
    token = tokens.sign_access(FORM['username'])[:-9] + 'AAAAAAAAA'
    response = _get(Authorization=f'Bearer {token}')
    assert response.status_code == 401
    assert 'invalid_token' in response.headers['WWW-Authenticate']


def test_logout_ends_the_session() -> None:
    """Each refresh gives another token until then."""

    def post(route: str, token: str) -> Response:
        body = {'refresh_token': token}
        return asyncio.run(client.post(site.url_path_for(route), json=body))

    token = _sign_in(FORM).json()['refresh_token']
    assert post('auth_refresh', token).json()['refresh_token'] != token
    assert post('auth_sign_out', token).status_code == 204
    assert post('auth_refresh', token).status_code == 401
