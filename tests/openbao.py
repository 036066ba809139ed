"""The operator of an OpenBao server: what the application may read there, and the passwords of a PostgreSQL it changes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from tests.servers import LOOPBACK, Server

HBA = (
    "host all app 127.0.0.1/32 scram-sha-256",
    "host all all 127.0.0.1/32 trust",
    "host replication all 127.0.0.1/32 trust",
)
"""Who may enter a PostgreSQL: the application by its password alone."""


class Bao(httpx.Client):
    """A client with the token of root; `kept` is the version of the application's secret."""

    def __init__(self, server: Server) -> None:
        super().__init__(base_url=f"{server.url}/v1/", headers={"X-Vault-Token": "root"}, timeout=20)
        self.address = server.url
        self.kept = 0

    def tell(self, path: str, **body: object) -> Any:
        """Write to a path, and return what that answers."""
        answer = self.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def allow(self, policy: str) -> None:
        """Say what the application may do."""
        self.put("sys/policies/acl/app", json={"policy": policy}).raise_for_status()

    def let_in(self, **tokens: str) -> None:
        """Let the application sign in by AppRole; `tokens` say how long its tokens live."""
        self.tell("sys/auth/approle", type="approle")
        self.tell("auth/approle/role/app", token_policies="app", **tokens)

    def keep(self, **values: str) -> None:
        """Replace the application's secret."""
        self.kept = self.tell("secret/data/app", data=values)["data"]["version"]

    def change_passwords(self, postgres: Server) -> None:
        """Give a PostgreSQL the role `app`, whose password is known here alone from now on."""

        async def run() -> None:
            connection = await asyncpg.connect(postgres.url)
            try:
                file = await connection.fetchval("SHOW hba_file")
                lines = ", ".join(f"('{line}')" for line in HBA)
                await connection.execute(
                    f"CREATE ROLE app LOGIN PASSWORD 'first';COPY (VALUES {lines}) TO '{file}'; SELECT pg_reload_conf()"
                )
            finally:
                await connection.close()

        asyncio.run(run())
        self.tell("sys/mounts/database", type="database")
        self.tell(
            "database/config/app",
            plugin_name="postgresql-database-plugin",
            allowed_roles="app",
            connection_url=f"postgresql://{{{{username}}}}@{LOOPBACK}:{postgres.port}/postgres?sslmode=disable",
            username="tester",
            password="",
        )
        self.tell("database/static-roles/app", db_name="app", username="app", rotation_period="1h")

    def rotate(self) -> str:
        """Change the password of the role, and return the new one."""
        self.tell("database/rotate-role/app")
        password: str = self.get("database/static-creds/app").json()["data"]["password"]
        return password

    def settings(self, folder: Path) -> dict[str, str]:
        """Return the application's settings; the id that it signs in with is in a file of the folder."""
        file = folder / "secret-id"
        file.write_text(self.tell("auth/approle/role/app/secret-id")["data"]["secret_id"] + "\n")
        return {
            "VAULT_ADDR": self.address,
            "VAULT_ROLE_ID": self.get("auth/approle/role/app/role-id").json()["data"]["role_id"],
            "VAULT_SECRET_ID": str(file),
            "VAULT_KV_PATH": "app",
            "VAULT_DB_ROLE": "app",
        }
