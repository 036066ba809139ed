"""The doctor rules of `secrets`: what they find, and what they leave alone."""

from __future__ import annotations

import pytest

from tests.ruling import code

HEAD = """
import asyncio, hvac
from hvac import Client as Vault
from fastapi import FastAPI
app = FastAPI()
client = Vault()
"""


def route(kind: str, line: str) -> str:
    return f'{HEAD}@app.get("/")\n{kind} root():\n    {line}\n'


@pytest.mark.parametrize(
    "line",
    [
        "client.secrets.kv.v2.read_secret_version(path='app')",
        "client.auth.approle.login(role_id=ROLE)",
        "found = app.state.vault.secrets.database.get_static_credentials(name='app')",
    ],
)
def test_sec003_in_coroutines_alone(line: str) -> None:
    assert code("SEC003", route("async def", line)) == [line]
    assert code("SEC003", route("def", line)) == []


@pytest.mark.parametrize(
    "line",
    [
        "await asyncio.to_thread(lambda: client.secrets.kv.v2.read_secret_version(path='app'))",
        "await asyncio.to_thread(client.secrets.kv.v2.read_secret_version, path='app')",
        "secrets.token_hex(8)",
        "client.is_authenticated()",
    ],
)
def test_sec003_leaves_threads_alone(line: str) -> None:
    assert code("SEC003", route("async def", line)) == []


@pytest.mark.parametrize(("given", "is_found"), [("verify=False", True), ("verify=CHECK", False), ("", False)])
def test_sec004_asks_for_a_plain_no(given: str, is_found: bool) -> None:
    line = f"other = Vault({given})"
    assert code("SEC004", f"{HEAD}{line}\n") == [line] * is_found


@pytest.mark.parametrize("method", ["create_or_update_secret", "patch"])
def test_sec005_in_both_forms(method: str) -> None:
    line = f"client.secrets.kv.v2.{method}(path='app', secret=VALUES)"
    assert code("SEC005", route("def", line)) == [line]
    assert code("SEC005", route("def", "http.secrets.patch('/app')")) == []
