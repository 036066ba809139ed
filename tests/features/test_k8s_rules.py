"""Doctor rules of `k8s`: what they find, and what they leave alone."""

from __future__ import annotations

import pytest

from laterctl.features.k8s.rules import _POD, _SLEEPING, _made
from tests import memory
from tests.features.ops_app import made
from tests.ruling import found

RULES = ["KUB001", "KUB002", "KUB003", "KUB004"]
TOKEN = (
    "            - name: SHOP_TOKEN\n              valueFrom:\n                secretKeyRef: {name: shop, key: token}\n"
)


def reported(files: dict[str, str]) -> list[tuple[str, int | None]]:
    """Return the rules and lines that are reported."""
    return [(item.rule, item.place and item.place.line) for item in found(files, RULES)]


def secret(name: str, value: str) -> dict[str, str]:
    """Return a project whose manifest gives a variable a value."""
    return _made(_POD.replace(TOKEN, f"            - name: {name}\n              value: {value}\n"))


@pytest.mark.parametrize("name", ["DB_PASSWORD", "APP_SECRET_KEY", "OPENAI_API_KEY", '"TOKEN"'])
def test_a_written_secret(name: str) -> None:
    assert reported(secret(name, '"s3cret"')) == [("KUB004", 14)]


@pytest.mark.parametrize(
    ("name", "value"),
    [("TOKEN_URL", "x"), ("PASSWORD_MIN_LENGTH", '"8"'), ("DB_PASSWORD", "$(OTHER)"), ("TOKEN", '"{{ .Values.token }}"'), ("TOKEN", '""')],
)  # fmt: skip
def test_what_is_no_secret(name: str, value: str) -> None:
    assert reported(secret(name, value)) == []


def test_the_delay_of_the_application_counts() -> None:
    files = _made(_SLEEPING.replace("      containers:", "      terminationGracePeriodSeconds: 35\n      containers:"))
    assert reported(files) == []
    files["k8s/kustomization.yaml"] = "configMapGenerator:\n  - literals: [APP_SHUTDOWN_DRAIN_SECONDS=10]\n"
    assert reported(files) == [("KUB003", 8)]


@pytest.mark.parametrize(
    "text",
    [
        _POD.replace("image: shop:1", "image: redis:7").split("          env")[0],
        _POD.replace("kind: Deployment", "kind: Job").split("          env")[0],
        "kind: Service\nspec:\n  ports:\n    - port: 80\n",
    ],
)
def test_other_pods_are_left_alone(text: str) -> None:
    assert reported(_made(text)) == []


def test_what_the_feature_writes_is_left_alone() -> None:
    files = {path: data.decode() for path, data in made("k8s").items() if not path.startswith(".laterctl")}
    assert memory.project({path: data.encode() for path, data in files.items()}).app is not None
    assert reported(files) == []
