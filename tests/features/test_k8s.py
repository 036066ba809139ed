"""Acceptance of the feature `k8s`: manifests that Kubernetes takes, and an application that does what they expect."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import kubernetes_validate
import pytest
import yaml

from laterctl.engine.plan import Request
from tests import memory
from tests.features.ops_app import TOKEN, made, write
from tests.memory import Refusing
from tests.servers import http_server
from tests.shapes import shape_named
from tests.test_laws import project_files

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = "deploy/k8s"
VERSIONS: Final = ("1.30", "1.34", "1.37")
DEPLOYMENT: Final = b"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: shop\n"

Manifests = dict[str, dict[str, Any]]


def manifests(files: Mapping[str, bytes]) -> Manifests:
    """Return what stands in the manifests, by kind."""
    texts = (data for path, data in files.items() if path.startswith(FOLDER))
    return {item["kind"]: item for text in texts for item in yaml.safe_load_all(text)}


def pod(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return what a pod is."""
    found: dict[str, Any] = manifests(files)["Deployment"]["spec"]["template"]["spec"]
    return found


def with_options(files: Mapping[str, bytes], **options: Any) -> dict[str, bytes]:
    """Add the feature with values of its options."""
    return memory.run(files, Request(add=("k8s",), options={"k8s": options}))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("probes", ["health", "tcp"])
def test_k1_kubernetes_takes_them(version: str, probes: str) -> None:
    found = manifests(with_options(project_files(shape_named("flat")), probes=probes, replicas="2"))
    del found["Kustomization"]
    assert {*found} == {"Deployment", "PodDisruptionBudget", "Service"}
    for manifest in found.values():
        assert kubernetes_validate.validate(manifest, version, strict=True) == version


def test_k1_a_misspelt_key_is_noticed() -> None:
    manifest = manifests(made("k8s"))["Deployment"]
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    container["readynessProbe"] = container.pop("readinessProbe")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, "1.30", strict=True)


def test_k1_those_of_the_documentation_too() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    found = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)]
    assert [item["kind"] for item in found] == ["Job", "HorizontalPodAutoscaler", "Kustomization"]
    for manifest in found[:2]:
        assert kubernetes_validate.validate(manifest, "1.30", strict=True)


def test_k2_k3_probes_are_answered_and_it_stops_in_time(tmp_path: Path) -> None:
    """K2, K3: started as the image starts it, asked as the manifests say, and told to stop amid requests."""
    files = made("k8s")
    assert {"Dockerfile", "depot/core/health.py", "depot/core/shutdown.py"} <= {*files}
    write(tmp_path, files)
    (container,) = pod(files)["containers"]
    command = json.loads(re.findall(rb"^CMD (.*)$", files["Dockerfile"], re.MULTILINE)[-1])
    drain = int(command[command.index("--timeout-graceful-shutdown") + 1])
    slept = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod(files)["terminationGracePeriodSeconds"] >= slept + drain + 10
    # The same command with a shorter drain: what goes on for ever is cut off after it.
    command[command.index("--timeout-graceful-shutdown") + 1] = "2"

    def on(port: int) -> list[str]:
        at = command.index("--port") + 1
        return [sys.executable, "-m", *command[:at], str(port), *command[at + 1 :]]

    with http_server(on, tmp_path, {}) as server:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container[probe]["httpGet"]
            assert asked["port"] == "http"
            assert httpx.get(server.url + asked["path"]).status_code == 200, probe
        answers: list[str] = []
        asking = threading.Thread(
            target=lambda: answers.append(httpx.get(f"{server.url}/slow?seconds=1", headers=TOKEN).text)
        )
        with httpx.stream("GET", f"{server.url}/endless", headers=TOKEN) as stream:
            assert next(stream.iter_lines()) == "tick"
            asking.start()
            time.sleep(0.3)  # until the request is there
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(20) in {-signal.SIGTERM, 0}
        asking.join()
        assert answers == ['"done"']
        assert time.monotonic() - began < 2 + 10


def test_k4_secrets_are_referred_to() -> None:
    files = made("k8s")
    (container,) = pod(files)["containers"]
    assert "env" not in container
    sources = [next(iter(item)) for item in container["envFrom"]]
    assert sources == ["configMapRef", "secretRef"]
    assert "Secret" not in manifests(files)
    assert manifests(files)["Kustomization"]["configMapGenerator"] == [{"name": "depot", "literals": []}]


def test_k5_it_is_not_root_and_writes_to_tmp_alone() -> None:
    (container,) = pod(made("k8s"))["containers"]
    assert pod(made("k8s"))["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]
    assert "cpu" not in container["resources"]["limits"]


def test_k6_kustomize_builds_them(tmp_path: Path) -> None:
    files = made("k8s")
    listed = manifests(files)["Kustomization"]["resources"]
    assert {f"{FOLDER}/{name}" for name in (*listed, "kustomization.yaml")} == {
        path for path in files if path.startswith(FOLDER)
    }
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH")
    write(tmp_path, files)
    done = subprocess.run(
        ["kubectl", "kustomize", FOLDER], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    built = {item["kind"]: item for item in yaml.safe_load_all(done.stdout)}
    (container,) = built["Deployment"]["spec"]["template"]["spec"]["containers"]
    generated = built["ConfigMap"]["metadata"]["name"]
    assert generated.startswith("depot-")
    assert container["envFrom"][0] == {"configMapRef": {"name": generated}}


@pytest.mark.parametrize(
    "files",
    [
        {"k8s/shop.yaml": DEPLOYMENT},
        {"deploy/production/all.yml": b"kind: Service\n---\nkind: StatefulSet\n"},
        {"charts/shop/templates/deployment.yaml": DEPLOYMENT.replace(b": shop", b": {{ .Release.Name }}")},
    ],
)
def test_k7_manifests_of_the_users_are_left_alone(files: dict[str, bytes]) -> None:
    with pytest.raises(Refusing) as refusing:
        memory.add(project_files(shape_named("flat")) | files, "k8s")
    (refusal,) = refusing.value.refusals
    assert (refusal.code, refusal.place and refusal.place.path) == ("already-by-hand", next(iter(files)))


@pytest.mark.parametrize("path", ["docs/deployment.yaml", "tests/data/deployment.yaml", "compose.yaml"])
def test_k7_what_is_no_manifest_of_the_application_is_no_reason(path: str) -> None:
    data = DEPLOYMENT if path != "compose.yaml" else b"services:\n  app:\n    deploy:\n      replicas: 2\n"
    assert f"{FOLDER}/deployment.yaml" in memory.add(project_files(shape_named("flat")) | {path: data}, "k8s")


def test_k8_own_probes_need_no_others() -> None:
    """K8: routes of the user's own are no reason for a second set, and a port is asked until they are named."""
    before = dict(project_files(shape_named("flat")))
    before["main.py"] += b"\n\n@app.get('/healthz')\ndef healthz() -> str:\n    return 'ok'\n"
    plan = memory.planned(before, Request(add=("k8s",)))
    assert "health" not in plan.added
    assert [note.place and note.place.path for note in plan.notes if "k8s.probes=tcp" in note.message] == ["main.py"]
    (container,) = pod(memory.applied(before, plan))["containers"]
    assert [name for name in container if name.endswith("Probe")] == ["readinessProbe"]
    assert container["readinessProbe"]["tcpSocket"] == {"port": "http"}

    (container,) = pod(with_options(before, probes="own", live="/healthz", ready="/healthz"))["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == container["readinessProbe"]["httpGet"]["path"] == "/healthz"


def test_k8_without_an_image_of_ours_and_in_either_order() -> None:
    files = {**project_files(shape_named("flat")), "Dockerfile": b"FROM python:3.13-slim\n"}
    made_alone = memory.run(files, Request(add=("k8s",), without=("docker",)))
    assert made_alone["Dockerfile"] == files["Dockerfile"]
    names = ("k8s", "docker", "health", "shutdown")
    assert made(*names) == memory.add(made("docker", "shutdown"), "k8s", "health") == memory.add(made("k8s"), *names)


@pytest.mark.parametrize("others", [("docker",), ("docker", "k8s")])
def test_k8_probes_are_where_health_serves_them_whichever_came_first(others: tuple[str, ...]) -> None:
    before = project_files(shape_named("flat"))

    def moved(files: Mapping[str, bytes], *names: str) -> dict[str, bytes]:
        return memory.run(files, Request(add=names, options={"health": {"prefix": "/probes"}}))

    first = memory.run(memory.add(before, *others), Request(add=("health",)))
    at_once = moved(before, "health", *others)
    assert moved(first, "health") == at_once
    assert memory.add(moved(before, "health"), *others) == at_once
    back = memory.run(at_once, Request(add=("health",), options={"health": {"prefix": "/health"}}))
    assert [path for path in back if back[path] != first[path]] == [".laterctl/feature-health.json"]  # what was chosen
    assert memory.add(at_once, *others) == at_once
    assert memory.planned(at_once, Request(update=("docker", "health"))).changeset == {}
    assert b"'/probes/live'" in at_once["Dockerfile"]
    assert b"/health/" not in at_once["Dockerfile"]
    if "k8s" in others:
        (container,) = pod(at_once)["containers"]
        paths = [container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")]
        assert paths == ["/probes/live", "/probes/live", "/probes/ready"]
        chosen = memory.run(at_once, Request(add=("k8s",), options={"k8s": {"live": "/alive"}}))
        assert pod(chosen)["containers"][0]["livenessProbe"]["httpGet"]["path"] == "/alive"
        assert memory.remove(at_once, "k8s") == moved(before, "health", "docker")
    else:
        assert memory.remove(at_once, "health") == memory.add(before, *others)
