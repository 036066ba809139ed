"""Doctor rules of `secrets`: clients of Vault that stall the application, trust anybody, or write."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from laterctl.doctor.code import Visit, constant
from laterctl.doctor.rule import Found, Rule, Severity
from laterctl.project.names import dotted_path
from laterctl.project.statements import nodes

_CLIENTS = frozenset({"hvac.Client", "hvac.v1.Client"})
_WRITES = frozenset({"create_or_update_secret", "patch", "delete_metadata_and_all_versions", "destroy_secret_versions"})
_ENGINES = frozenset({"secrets", "auth", "sys"})


def _steps(call: Visit[ast.Call]) -> list[str]:
    """Return the names in the path of a call upon a client of hvac (`client.secrets.kv.v2.patch`), none of another."""
    steps = dotted_path(call.node.func).split(".")
    return steps if len(steps) > 2 and not _ENGINES.isdisjoint(steps[1:-1]) else []


def stalling_call(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for calls of hvac in coroutines, but in what these hand on to a thread."""
    scope = call.spot.scope
    if _steps(call) and scope and isinstance(scope[-1], ast.AsyncFunctionDef):
        handed = (node for node in nodes(call.spot.node) if isinstance(node, ast.Lambda))
        if not any(inner is call.node for each in handed for inner in nodes(each)):
            yield Found(call.line, f"{scope[-1].name} stands still, and every other request, until Vault has answered")


def unchecked_certificate(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for clients that do not check the certificate of Vault."""
    verify = call.keyword("verify")
    if call.target in _CLIENTS and verify is not None and constant(verify) is False:
        yield Found(call.line, "whoever is in between reads the token, and every secret")


def written_secret(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for secrets that the application writes."""
    steps = _steps(call)
    if "kv" in steps and steps[-1] in _WRITES:
        yield Found(call.line, f"{steps[-1]} needs a token that may write, in every process that answers requests")


_CLIENT = "import asyncio\n\nimport hvac\nfrom fastapi import FastAPI\n\napp = FastAPI()\nvault = hvac.Client()\n\n\n"
_READ = """\
@app.get("/")
async def root():
    return vault.secrets.kv.v2.read_secret_version(path="app", raise_on_deleted_version=True)  # SEC003
"""

SEC003 = Rule(
    id="SEC003",
    title="A coroutine waits for Vault with hvac, which blocks",
    why="hvac asks over requests, in the thread of the event loop: while Vault is slow, no request is answered. "
    "https://fastapi.tiangolo.com/async/",
    fix="await asyncio.to_thread(...), or read secrets at the start and follow them: laterctl add secrets",
    severity=Severity.ERROR,
    needles=(b"hvac",),
    checks={ast.Call: stalling_call},
    bad=(_CLIENT + _READ,),
    good=(
        _CLIENT + _READ.replace("async ", "").replace("  # SEC003", ""),
        f'{_CLIENT}@app.get("/")\nasync def root():\n'
        '    return await asyncio.to_thread(vault.secrets.kv.v2.read_secret_version, path="app")\n',
    ),
)
SEC004 = Rule(
    id="SEC004",
    title="A client of Vault does not check whom it talks to",
    why="Without a check of the certificate anybody on the way can be Vault: the token and all that it opens are theirs. "
    "https://developer.hashicorp.com/vault/docs/concepts/production-hardening",
    fix="hvac.Client(verify='/path/of/the/ca.pem')",
    severity=Severity.ERROR,
    needles=(b"hvac",),
    scripts=True,
    checks={ast.Call: unchecked_certificate},
    bad=("import hvac\n\nclient = hvac.Client(url=URL, verify=False)  # SEC004\n",),
    good=("import hvac\n\nclient = hvac.Client(url=URL, verify='/etc/ssl/ca.pem')\n",),
)
SEC005 = Rule(
    id="SEC005",
    title="The application writes secrets into Vault",
    why="What answers requests then has a token that may write. create_or_update_secret replaces all fields of a secret, "
    "and a password that is written before the database has it locks out whoever starts next. "
    "https://developer.hashicorp.com/vault/docs/secrets/databases#static-roles",
    fix="let a static role of the database engine change passwords, and follow it: laterctl add secrets",
    needles=(b"hvac",),
    checks={ast.Call: written_secret},
    bad=(
        f"{_CLIENT}@app.post('/rotate')\ndef rotate(password: str) -> None:\n    vault.secrets.kv.v2.create_or_update_secret(  # SEC005\n"
        '        path="app", secret={"password": password}\n    )\n',
    ),
    good=(
        f"{_CLIENT}@app.get('/password')\ndef password() -> str:\n"
        '    return vault.secrets.kv.v2.read_secret_version(path="app")["data"]["data"]["password"]\n',
    ),
)
