"""Acceptance of the feature `docker`: D1 to D9 of its specification, one image built and served for real."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from scripts import base_image

from laterctl.commands.change import prepare
from laterctl.commands.new import foundation
from laterctl.engine.plan import Request
from laterctl.refusal import Refused
from tests import memory
from tests.memory import Refusing
from tests.package_index import package_index
from tests.servers import LOOPBACK, free_port, missing
from tests.shapes import git, shape_named
from tests.test_laws import project_files

STORE = Path(__file__).parents[2] / ".ci/tools/images"
SECRET = "planted-secret"
SECRETS = (".env", ".env.local", ".secrets.toml", "src/order_service/.env", "key.pem", "app.db")
SLOW = """

@app.get('/slow')
async def slow() -> str:
    import asyncio

    await asyncio.sleep(1.5)
    return 'done'
"""
PEP_621 = """\
[project]
name = "shop"
version = "0.1.0"
requires-python = ">={python}"
dependencies = ["fastapi>=0.115", "uvicorn>=0.22"]

[dependency-groups]
dev = ["plum"]
"""
LOCKED = {
    "uv": PEP_621 + '\n[[tool.uv.index]]\nurl = "{index}"\ndefault = true\n',
    "pdm": PEP_621
    + '\n[tool.pdm]\ndistribution = false\n\n[[tool.pdm.source]]\nname = "pypi"\nurl = "{index}"\nverify_ssl = false\n',
    "poetry": PEP_621.replace("[dependency-groups]\ndev = [", "[tool.poetry.group.dev.dependencies]\nplum = [").replace(
        '["plum"]', '"*"'
    )
    + '\n[tool.poetry]\npackage-mode = false\n\n[[tool.poetry.source]]\nname = "here"\nurl = "{index}"\npriority = "primary"\n',
}


def need(*programs: str) -> None:
    """Skip, and fail on CI, where a program is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            missing(f"{program} is not on PATH")


def instructions(files: Mapping[str, bytes], word: str) -> list[str]:
    """Return what stands behind a word in the Dockerfile, in order."""
    found = re.findall(rf"^{word} (.*)$", files["Dockerfile"].decode(), re.MULTILINE)
    assert found
    return found


@dataclass
class Image:
    """A built image: its file system, its configuration, and what it is run with."""

    root: Path
    config: dict[str, Any]

    def command(self, words: Sequence[str]) -> list[str]:
        """Return a command that runs as the image says: its user, folder and variables."""
        variables = [*self.config["Env"], "APP_DATABASE_URL=sqlite+aiosqlite:////tmp/app.db"]
        user = self.config["User"]
        return ["chroot", f"--userspec={user}:{user}", str(self.root), "env", "-i", "-C", "/app", *variables, *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(self.command(words), capture_output=True, text=True, check=False, timeout=60)

    def files(self) -> list[str]:
        """Return the files below `/app`, but those of the environment."""
        app = self.root / "app"
        paths = (path.relative_to(app) for path in app.rglob("*") if path.is_file())
        return sorted(path.as_posix() for path in paths if path.parts[0] != ".venv")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image of the foundation, built in a clean clone in which secrets were left."""
    need("buildah", "uv", "unshare")
    if os.geteuid() or not (STORE / base_image.READY).exists():
        missing(f"no image to build upon: python scripts/base_image.py {STORE}, as root")
    folder, clone = tmp_path_factory.mktemp("image"), tmp_path_factory.mktemp("clone")
    files = foundation("order-service", python="3.11")
    files["src/order_service/main.py"] += SLOW.encode()
    write(folder, files)
    run("uv", "lock", "--quiet", cwd=folder)
    write(folder, memory.add(memory.read(folder), "docker", "health", "shutdown"))
    run("uv", "lock", "--quiet", cwd=folder)
    (folder / ".secrets.toml").unlink()
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=The project")
    git(folder, "clone", "--quiet", str(folder), str(clone))
    write(clone, {path: SECRET.encode() for path in SECRETS})
    tag = f"laterctl-{os.getpid()}"
    base_image.buildah(
        STORE,
        *("bud", "--pull=never", "--network=host", "--format=docker", "--build-arg=PYTHON_VERSION=3.11"),
        *(f"--tag={tag}", str(clone)),
    )
    container = base_image.buildah(STORE, "from", "--pull=never", tag).stdout.strip()
    try:
        described = json.loads(base_image.buildah(STORE, "inspect", "--type=image", tag).stdout)
        yield Image(Path(base_image.buildah(STORE, "mount", container).stdout.strip()), described["Docker"]["config"])
    finally:
        base_image.buildah(STORE, "rm", container)
        base_image.buildah(STORE, "rmi", "--force", tag)


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def run(*words: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command as nothing of this environment concerns it."""
    kept = {
        key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV" and not key.startswith(("UV_", "PIP_"))
    }
    done = subprocess.run(words, cwd=cwd, env=kept, capture_output=True, text=True, check=False, timeout=300)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def test_d1_d3_it_imports_the_package_wherever_it_stands(image: Image) -> None:
    code = "import importlib.metadata as m, order_service.main as o; print(o.__file__, m.version('order-service'))"
    done = image.run("env", "-C", "/", "python", "-c", code)
    assert (done.stdout.split(), done.stderr) == (["/app/src/order_service/main.py", "0.1.0"], "")


def test_d4_it_is_not_root_and_cannot_change_itself(image: Image) -> None:
    assert image.config["User"] == "10001"
    for place in ("/app/x", "/app/src/order_service/main.py", "/app/.venv/x"):
        assert "Permission denied" in image.run("touch", place).stderr
    assert image.run("id", "-u").stdout == "10001\n"


def test_d5_it_holds_no_secrets_tests_or_tools(image: Image) -> None:
    files = image.files()
    assert {"pyproject.toml", "settings.toml", "uv.lock", "src/order_service/main.py"} <= {*files}
    assert [path for path in files if path.startswith(("tests/", ".git", ".laterctl")) or path in SECRETS] == []
    assert [path for path in files if SECRET in (image.root / "app" / path).read_text(errors="replace")] == []
    assert {path.name for path in (image.root / "app/.venv/bin").iterdir()} & {"uv", "pytest", "ruff", "mypy"} == set()
    assert not (image.root / "usr/local/bin/uv").exists()


def test_d6_it_serves_and_what_is_under_way_ends_before_it_does(image: Image) -> None:
    port = str(free_port())
    url = f"http://{LOOPBACK}:{port}"
    command = image.command([*image.config["Cmd"], "--port", port])
    first = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", *command], stderr=subprocess.PIPE, text=True
    )
    try:
        until_it_answers(f"{url}/health/live", first)
        kind, *check = image.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        assert image.run(*(word.replace("8000", port) for word in check)).returncode == 0
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(httpx.get(f"{url}/slow", timeout=20)))
        asking.start()
        time.sleep(0.5)
        children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
        asking.join(20)
        assert [answer.json() for answer in answers] == ["done"]
        assert first.wait(20) == 0
        assert image.run(*(word.replace("8000", port) for word in check)).returncode != 0
    finally:
        first.kill()
        first.communicate()


def until_it_answers(url: str, process: subprocess.Popen[str]) -> None:
    """Wait for a server."""
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            assert httpx.get(url).status_code == 200
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    process.kill()
    pytest.fail(process.communicate()[1])


@pytest.mark.parametrize("manager", ["uv", "poetry", "pdm", "pip"])
def test_d1_d2_what_is_locked_is_installed_and_nothing_else(manager: str, tmp_path: Path) -> None:
    need(*({manager} if manager != "pip" else {"uv"}))
    packages = {
        "fastapi": ("0.150.0",),
        "uvicorn": ("0.40.0",),
        "plum": ("1.0",),
        "pytest": ("8.1",),
        "quince": ("3.0",),
    }
    with package_index(packages) as index:
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        files = {
            "main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n",
            "requirements.txt": f"-i {index}\nfastapi\n",
        }
        if manager != "pip":
            del files["requirements.txt"]
            text = LOCKED[manager].replace("{python}", python).replace("{index}", index)
            files |= {"pyproject.toml": text, f"{manager}.lock": ""}
        made = memory.add({path: text.encode() for path, text in files.items()}, "docker")
        made.pop(f"{manager}.lock", None)
        write(tmp_path, made)
        (variables, *_), (prepare, install, *_) = instructions(made, "ENV"), instructions(made, "RUN")
        if manager != "pip":
            run("sh", "-c", f"export {variables}\n{manager} lock", cwd=tmp_path)
        assert re.fullmatch(r'pip install --no-cache-dir "\w+>=[\d.]+,<\d+"', prepare)
        step = f"export {variables}\n{install}"
        run("sh", "-c", step, cwd=tmp_path)

        installed = {path.name.partition("-")[0] for path in (tmp_path / ".venv").rglob("*.dist-info")}
        assert {"fastapi", "uvicorn"} <= installed
        assert not installed & {"plum", "pytest"}
        if manager != "pip":
            changed = (tmp_path / "pyproject.toml").read_text().replace('"fastapi>=', '"quince>=3", "fastapi>=')
            (tmp_path / "pyproject.toml").write_text(changed)
            assert run("sh", "-c", step, cwd=tmp_path, check=False).returncode != 0


@pytest.mark.parametrize("shape", ["foundation", "factory", "poetry", "pdm", "flat", "middleware_list", "setup_cfg"])
def test_d7_a_change_of_the_code_installs_nothing_anew(shape: str) -> None:
    text = memory.add(project_files(shape_named(shape)), "docker")["Dockerfile"].decode()
    steps = [line for line in text.splitlines() if line.startswith(("COPY", "RUN"))]
    code = steps.index("COPY . .")
    assert all(re.fullmatch(r"COPY (\S+\.(?:toml|lock|txt|cfg|py) )+\./\S*", line) for line in steps[1 : code - 1])
    assert "install" in steps[code - 1] or "sync" in steps[code - 1]


def test_d8_hadolint_finds_nothing(tmp_path: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    for shape in ("foundation", "factory", "poetry", "pdm", "flat"):
        (tmp_path / "Dockerfile").write_bytes(memory.add(project_files(shape_named(shape)), "docker")["Dockerfile"])
        run(str(hadolint), "Dockerfile", cwd=tmp_path)


@pytest.mark.parametrize("path", ["Dockerfile", "Containerfile", "deploy/Dockerfile.prod", "api.Dockerfile"])
def test_d9_an_image_of_the_users_is_left_alone(path: str) -> None:
    files = project_files(shape_named("flat")) | {path: b"FROM python:3.13-slim\n"}
    with pytest.raises(Refusing) as refusing:
        memory.add(files, "docker")
    (refusal,) = refusing.value.refusals
    assert (refusal.code in {"already-by-hand", "file-exists"}, refusal.place and refusal.place.path) == (True, path)


@pytest.mark.parametrize(("copied", "is_ours"), [("./api/", True), ("api/main.py", True), ("worker/api2/", False)])
def test_d9_an_image_that_is_made_in_a_folder_above_is_one(copied: str, is_ours: bool, tmp_path: Path) -> None:
    dockerfile = f"FROM python:3.13-slim\nCOPY {copied} /app/\n"
    files = {f"api/{path}": data for path, data in project_files(shape_named("flat")).items()}
    write(tmp_path, {**files, "Dockerfile": dockerfile.encode()})
    git(tmp_path, "init", "-q")
    request = Request(add=("docker",))
    if is_ours:
        with pytest.raises(Refused) as refused:
            prepare(tmp_path / "api", request, install=False)
        assert [str(item.place) for item in refused.value.refusals] == ["../Dockerfile:1"]
    else:
        assert "Dockerfile" in prepare(tmp_path / "api", request, install=False).plan.changeset


def test_a_list_of_the_users_of_what_is_no_part_of_an_image_is_kept() -> None:
    files = project_files(shape_named("flat")) | {".dockerignore": b"*.log\n"}
    plan = memory.planned(files, Request(add=("docker",)))
    assert [(note.level, str(note.place)) for note in plan.notes if "stays" in note.message] == [
        ("choice", ".dockerignore:1")
    ]
    made = memory.applied(files, plan)
    assert made[".dockerignore"] == b"*.log\n"
    assert memory.add(made, "docker") == made
    assert memory.remove(made, "docker") == files
    lost = {
        path: data
        for path, data in memory.add(project_files(shape_named("flat")), "docker").items()
        if path[:10] != ".laterctl/"
    }
    assert memory.add(lost, "docker")[".dockerignore"] == lost[".dockerignore"]


def test_an_image_of_something_else_is_no_reason_to_refuse() -> None:
    files = project_files(shape_named("flat")) | {"front/Dockerfile": b"FROM node:22\n"}
    assert "Dockerfile" in memory.add(files, "docker")


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({".python-version": b"3.12.4\n"}, "3.12"),
        (
            {
                "pyproject.toml": b'[project]\nname = "a"\nrequires-python = ">=3.11,<3.13"\ndependencies = ["fastapi"]\n'
            },
            "3.12",
        ),
        ({}, "3.13"),
    ],
)
def test_the_python_of_the_image_is_one_that_the_project_allows(files: dict[str, bytes], version: str) -> None:
    made = memory.add(
        {"main.py": project_files(shape_named("flat"))["main.py"], "requirements.txt": b"fastapi\n"} | files, "docker"
    )
    assert instructions(made, "ARG") == [f"PYTHON_VERSION={version}"]


def test_a_factory_and_the_path_of_the_health_check() -> None:
    files = project_files(shape_named("factory_only"))
    del files["Dockerfile"]
    made = memory.run(files, Request(add=("docker",), options={"docker": {"health": "/up"}}))
    (command,) = instructions(made, "CMD")
    assert json.loads(command)[:3] == ["uvicorn", "parcels.web.application:create_app", "--factory"]
    assert "c.request('GET', '/up')" in made["Dockerfile"].decode()


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"Pipfile": b'[packages]\nfastapi = "*"\nuvicorn = "*"\n'}, "manager-not-supported"),
        (
            {
                "main.py": b"from fastapi import FastAPI\n\n\ndef make(name):\n    app = FastAPI(title=name)\n    return app\n"
            },
            "app-not-importable",
        ),
    ],
)
def test_what_no_image_can_be_made_of_is_refused(files: dict[str, bytes], code: str) -> None:
    before = {"main.py": b"from fastapi import FastAPI\n\napp = FastAPI()\n"} | files
    if "Pipfile" not in files:
        before["requirements.txt"] = b"fastapi\n"
    with pytest.raises(Refusing) as refusing:
        memory.add(before, "docker")
    assert [item.code for item in refusing.value.refusals] == [code]
