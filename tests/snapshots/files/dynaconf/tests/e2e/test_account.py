# From laterctl: e2e.
"""Somebody registers, once."""

from uuid import uuid4

from httpx2 import Client


def test_an_address_registers_once(client: Client) -> None:
    account = {'email': f'{uuid4().hex}@example.com', 'password': uuid4().hex}
    created = client.post('/api/users', json=account)
    assert created.status_code == 201
    shown = client.get(f'/api/users/{created.json()["id"]}')
    assert shown.json()['email'] == account['email']
    assert client.post('/api/users', json=account).status_code == 409
