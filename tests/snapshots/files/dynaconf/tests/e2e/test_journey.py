# From laterctl: e2e.
"""The application starts, and answers what it says that it answers."""

from typing import Any

import pytest
from httpx2 import Client


def needs_nothing(path: str, methods: dict[str, Any]) -> bool:
    """Whether a path can be asked for without parameters and credentials."""
    operation = methods.get('get', {'security': ()})
    needed = (item.get('required') for item in operation.get('parameters', ()))
    return '{' not in path and 'security' not in operation and not any(needed)


def status(client: Client, path: str) -> int:
    with client.stream('GET', path) as response:  # which may have no end
        return response.status_code


def test_what_needs_nothing_does_not_fail(client: Client) -> None:
    document = client.get('/openapi.json')
    if document.status_code == 404:
        pytest.skip('it does not show which paths it has')
    paths = document.json()['paths']
    asked = [path for path in paths if needs_nothing(path, paths[path])]
    assert [path for path in asked if status(client, path) >= 500] == []
