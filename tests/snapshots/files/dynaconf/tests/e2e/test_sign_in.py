# From laterctl: e2e.
"""Somebody registers, signs in, and signs out."""

from uuid import uuid4

from httpx2 import Client


def test_who_registers_may_sign_in_and_out(client: Client) -> None:
    paths = client.get('/openapi.json').json()['paths']
    sign_in = next(path for path in paths if path.endswith('/token'))
    email, password = f'{uuid4().hex}@example.com', uuid4().hex
    form = {'username': email, 'password': password}
    assert client.post(sign_in, data=form).status_code == 401

    account = {'email': email, 'password': password}
    assert client.post('/api/users', json=account).status_code == 201
    token = client.post(sign_in, data=form).json()
    assert token['access_token']
    if 'refresh_token' in token:
        body = {'refresh_token': token['refresh_token']}
        headers = {'Authorization': f'Bearer {token["access_token"]}'}
        sign_out = sign_in.removesuffix('token') + 'logout'
        ended = client.post(sign_out, json=body, headers=headers)
        assert ended.status_code == 204
        refresh = sign_in.removesuffix('token') + 'refresh'
        assert client.post(refresh, json=body).status_code == 401
