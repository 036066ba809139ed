"""Secrets by name: from the settings, or followed in Vault or OpenBao while the application runs."""

from collections.abc import Iterator

from laterctl.edits.alias import DependencyAlias
from laterctl.edits.app_statements import StartupCall
from laterctl.edits.beside import Beside
from laterctl.edits.chosen import Chosen
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.database import without_database
from laterctl.edits.dropped_test import FLOORS, DroppedTest
from laterctl.edits.file import File, engine, http_client
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.open_file import Listed, Step
from laterctl.edits.provider import Provider
from laterctl.edits.setting import Setting, variable
from laterctl.feature import ExistingSigns, Feature, Group, Option, Stage
from laterctl.refusal import Refusal

LIFESPAN = "core.lifespan:open_resources"


def client(context: FeatureContext) -> Iterator[Edit]:
    """Depend on the HTTP client library that the project uses, to ask Vault, and say how that is prepared."""
    if context.options["provider"] == "vault":
        context.notice(f"let the application in, as vault-policy.hcl says, and set {variable('vault_addr', context)}")
        yield DependencyFloor(FLOORS[http_client(context)])
    elif context.options["database"] == "yes":
        context.choice("the database is entered as before: only Vault changes its password")


def database_is_followed(context: FeatureContext) -> Refusal | None:
    """Refuse to follow the password of an engine that a new module cannot import."""
    if context.options["database"] == "no" or context.options["provider"] != "vault":
        return None
    database = context.project.database
    if database is None:
        return without_database(context)
    if engine(context) is None:
        return Refusal(
            "engine-not-importable",
            "a new module cannot import the engine",
            database.place,
            remedy="make it in a module of its own, or --set secrets.database=no",
            feature=context.feature,
        )
    return None


feature = Feature(
    name="secrets",
    group=Group.SECURITY,
    aliases=("vault", "openbao"),
    summary="secrets by name, from the settings or followed in Vault or OpenBao",
    requires=("settings",),
    floors={"python": "3.11", "fastapi": "0.112.2", "pydantic": "2"},
    options=(
        Option(
            "provider",
            "where secrets are: env are the settings of the project, vault is Vault or OpenBao",
            default="env",
            choices=("env", "vault"),
            requires={"vault": ("lifespan",)},
        ),
        Option(
            "login",
            "how the application signs in at Vault",
            default="approle",
            choices=("approle", "kubernetes"),
        ),
        Option(
            "database",
            "whether the database is entered with the password of a static role, which Vault changes: with provider=vault",
            default="no",
            choices=("no", "yes"),
        ),
    ),
    edits=(
        File("core/secret_provider.py", "secrets/core/secret_provider.py.jinja"),
        File("core/env_secrets.py", "secrets/core/env_secrets.py.jinja"),
        Chosen(
            "provider",
            ("env",),
            (
                File("core/secret_source.py", "secrets/core/secret_source.env.py.jinja"),
                Provider("secret_provider", "core.secret_source:get_secret_provider"),
            ),
        ),
        Chosen(
            "provider",
            ("vault",),
            (
                Setting("vault_addr", "str", "", help="where Vault or OpenBao is: https://vault.example.com:8200"),
                Setting(
                    "vault_token",
                    "SecretStr | None",
                    None,
                    secret=True,
                    help="a fixed token, for development alone",
                ),
                Chosen(
                    "login",
                    ("approle",),
                    (
                        Setting("vault_auth_mount", "str", "approle", help="where AppRole is mounted in Vault"),
                        Setting("vault_role_id", "str", "", help="the role id of the AppRole"),
                        Setting(
                            "vault_secret_id",
                            "SecretStr | None",
                            None,
                            secret=True,
                            help="the secret id of the AppRole, or the path of a file that has it: /run/secrets/...",
                        ),
                    ),
                ),
                Chosen(
                    "login",
                    ("kubernetes",),
                    (
                        Setting("vault_auth_mount", "str", "kubernetes", help="where Kubernetes is mounted in Vault"),
                        Setting("vault_role", "str", "", help="the role that service accounts sign in with"),
                        Setting(
                            "vault_jwt_path", "str", "", help="path of the service account's token, if not the usual"
                        ),
                    ),
                ),
                Setting("vault_kv_mount", "str", "secret", help="where the KV engine (version 2) is mounted"),
                Setting(
                    "vault_kv_path", "str", "", help="the KV secret whose fields are named like settings; none if empty"
                ),
                Chosen(
                    "database",
                    ("yes",),
                    (
                        Setting("vault_db_role", "str", "", help="the static role of the database; none if empty"),
                        File("core/database_secret.py", "secrets/core/database_secret.py.jinja"),
                        StartupCall("core.database_secret:follow_database"),
                        # The application is not the only process: there are workers, and migrations.
                        Step("follow_database()", LIFESPAN, ("core.database_secret:follow_database",), 7),
                        Beside(
                            "migrations",
                            (
                                Step(
                                    "follow_database()",
                                    "core.migrations:prepare",
                                    ("core.database_secret:follow_database",),
                                ),
                            ),
                        ),
                        Beside(
                            "replicas",
                            (
                                File("core/replica_secret.py", "secrets/core/replica_secret.py.jinja"),
                                Step("follow_replica()", LIFESPAN, ("core.replica_secret:follow_replica",), 17),
                            ),
                        ),
                    ),
                ),
                Setting(
                    "vault_poll_seconds",
                    "PositiveFloat",
                    60.0,
                    help="time until all processes have a change",
                ),
                Setting(
                    "vault_startup_timeout_seconds",
                    "NonNegativeFloat",
                    10.0,
                    help="wait for Vault at startup",
                ),
                Setting(
                    "vault_grace_seconds",
                    "NonNegativeFloat",
                    3600.0,
                    help="secrets hold so long without Vault",
                ),
                File("core/secret_source.py", "secrets/core/secret_source.vault.py.jinja", open=True),
                Provider(
                    "secret_provider",
                    "core.secret_source:build_secret_provider",
                    closed_by="aclose",
                    rank=5,
                    started_by="start",
                ),
                Step(
                    "if secret := FOLLOWED.get(name):\n    return secret.value.get_secret_value()",
                    "core.feature_settings:value_of",
                    ("core.secret_provider:FOLLOWED",),
                ),
                Beside(
                    "jwt",
                    (
                        File("core/vault_jwt.py", "secrets/core/vault_jwt.py.jinja"),
                        Listed("core.vault_jwt:follow_keys", into="core.secret_source:FOLLOWERS"),
                    ),
                ),
                Beside(
                    "health",
                    (
                        File("core/health_vault.py", "secrets/core/health_vault.py.jinja"),
                        Listed(
                            "core.health:Check",
                            into="core.health:CHECKS",
                            arguments='"vault", check_vault, critical=False',
                            imports=("core.health_vault:check_vault",),
                            rank=30,
                        ),
                    ),
                ),
                File("vault-policy.hcl", "secrets/root/vault-policy.hcl.jinja", root=True),
            ),
        ),
        File("api/secret_provider.py", "secrets/api/secret_provider.py.jinja"),
        DependencyAlias(
            "SecretsDep",
            "Annotated[SecretProvider, Depends(secret_provider)]",
            (
                *("typing:Annotated", "fastapi:Depends"),
                *("core.secret_provider:SecretProvider", "api.secret_provider:secret_provider"),
            ),
        ),
        DroppedTest("test_secrets.py", "secrets/tests/test_secrets.py.jinja", client=False),
    ),
    edits_for=client,
    check=database_is_followed,
    by_hand=ExistingSigns(
        imports=("hvac", "async_hvac"),
        names=("SecretProvider", "SecretManager"),
        dependencies=("hvac", "async-hvac"),
    ),
    stage=Stage.MORE,
    why="when secrets change while the application runs, and no release is to follow",
    notes=(
        "use it: secrets.get('name').value, by the name of a setting, with secrets: SecretsDep from {api.secret_provider}",
        "secrets that change while the application runs: laterctl add secrets --set secrets.provider=vault",
    ),
)
