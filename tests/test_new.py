"""The foundation project of `laterctl new`: it runs, its tests pass, and its own checks are clean."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from laterctl.commands.new import PYTHONS, SETTINGS, foundation, package_name
from tests.servers import uvicorn_server

UNINSTALLED = {"PYTHONPATH": "src", "PYTHONDONTWRITEBYTECODE": "1"}
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("APP_")} | UNINSTALLED


def write(files: dict[str, bytes], folder: Path) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def run(folder: Path, *command: str, **variables: str) -> str:
    """Run a command in the folder, with environment variables added, and return what it printed; it has to succeed."""
    done = subprocess.run(
        command, cwd=folder, env={**ENVIRONMENT, **variables}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def ask(url: str, body: dict[str, str] | None = None) -> tuple[int, Any]:
    request = urllib.request.Request(url, headers={"Content-Type": "application/json"})
    if body is not None:
        request.data = json.dumps(body).encode()
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.fixture(scope="module", params=SETTINGS)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A foundation project as somebody gets it who clones it: without the files that git ignores.

    In the end git has to know of each file that is there.
    """
    folder = tmp_path_factory.mktemp("project")
    write(foundation("order-service", settings=request.param), folder)
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "add", "--all")
    ignored = run(folder, "git", "ls-files", "--others", "--ignored", "--exclude-standard").split()
    assert ignored == ([".secrets.toml"] if request.param == "dynaconf" else [])
    run(folder, "git", "clean", "-fdXq")
    yield folder
    changes = run(folder, "git", "status", "--porcelain").splitlines()
    assert [line for line in changes if not line.startswith("A  ")] == []


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_its_own_tests_pass(project: Path, mode: str) -> None:
    printed = run(project, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", f"asyncio_mode={mode}")

    assert " passed in " in printed
    assert "skipped" not in printed


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("settings", SETTINGS)
def test_its_own_style_is_clean(settings: str, python: str, tmp_path: Path) -> None:
    write(foundation("order-service", settings=settings, python=python), tmp_path)

    run(tmp_path, sys.executable, "-m", "ruff", "check", "--no-cache", ".")
    run(tmp_path, sys.executable, "-m", "ruff", "format", "--no-cache", "--check", ".")


# With the features, and for other versions, its types are checked by tests/test_generated_code.py.
@pytest.mark.parametrize("settings", SETTINGS)
def test_its_own_types_are_clean(settings: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    write(foundation("order-service", settings=settings), tmp_path)

    cache = tmp_path_factory.getbasetemp() / "mypy"
    printed = run(tmp_path, sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache))
    assert printed.startswith("Success: ")


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_python_version_changes_no_code(settings: str) -> None:
    default = foundation("order-service", settings=settings)
    older = foundation("order-service", settings=settings, python="3.11")

    assert {path for path in default if older[path] != default[path]} == {"README.md", "pyproject.toml", "ruff.toml"}
    assert tomllib.loads(older["pyproject.toml"].decode())["project"]["requires-python"] == ">=3.11"


def test_it_serves_with_nothing_configured(project: Path) -> None:
    account = {"email": "ada@example.com", "password": "correct horse battery staple"}
    environment = {**UNINSTALLED, "PYTHONWARNINGS": "error::DeprecationWarning"}

    (project / "app.db").unlink(missing_ok=True)  # other tests sign up, too
    with uvicorn_server("order_service.main:app", project, environment) as server:
        health = ask(f"{server.url}/api/health")
        created, user = ask(f"{server.url}/api/users", account)
        again, error = ask(f"{server.url}/api/users", account)
        read = ask(f"{server.url}/api/users/{user['id']}")
        output = server.output()

    assert health == (200, {"status": "ok"})
    assert (created, user) == (201, {"id": user["id"], "email": "ada@example.com"})
    assert (again, error["error"]) == (409, "email_taken")
    assert set(error) == {"error", "detail", "timestamp", "path", "request_id"}
    assert read == (200, user)
    assert "Traceback" not in output


def test_its_readme_is_true(project: Path) -> None:
    """Each command in it is run here or by another test, each variable is there with its default, and each file."""
    text = (project / "README.md").read_text()
    rows = dict(re.findall(r"^\| `(APP_\w+)` \| `(.+?)` \|", text, re.MULTILINE))
    example = (project / ".env.example").read_text()
    assert rows == dict(re.findall(r"^(?:# )?(APP_\w+)=(.*)$", example, re.MULTILINE))
    assert rows["APP_DATABASE_URL"] in (project / "src/order_service/core/config.py").read_text()
    for path in re.findall(r"^    (\S+) ", text.partition("```text")[2].partition("```\n")[0], re.MULTILINE):
        assert (project / "src/order_service" / path).exists(), path
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    asked = [line for line in commands if line.startswith("curl ")]
    checks = [line for line in commands if line.startswith(("pytest", "ruff ", "mypy"))]
    assert {line.split()[0] for line in {*commands} - {*asked, *checks}} == {
        *("uv", "python", ".", "pip", "uvicorn", "laterctl")
    }
    assert "uvicorn order_service.main:app --reload" in commands
    for line in checks[1:3]:
        run(project, sys.executable, "-m", *shlex.split(line), "--no-cache")
    (project / "app.db").unlink(missing_ok=True)  # other tests sign up, too
    with uvicorn_server("order_service.main:app", project, UNINSTALLED) as server:
        for line in asked:
            words = shlex.split(line.replace("http://127.0.0.1:8000", server.url))
            assert run(project, *words, "--fail", "--silent").startswith("{")


def test_workers_that_start_together_create_the_tables_once(project: Path) -> None:
    program = """
import asyncio
from order_service.core.database import build_engine, create_tables
from order_service.models.user import User

async def main():
    for number in range(10):
        engine = build_engine(f"sqlite+aiosqlite:///together-{number}.db")
        await create_tables(engine)
        await engine.dispose()

print("ready", flush=True)
input()
asyncio.run(main())
"""
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [sys.executable, "-c", program]
    workers = [subprocess.Popen(command, cwd=project, env=ENVIRONMENT, text=True, **pipes) for _ in range(4)]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()

    assert [worker.communicate(timeout=60)[1] for worker in workers] == [""] * 4


def test_the_environment_is_chosen_by_a_variable(project: Path) -> None:
    expression = "settings.current_env" if uses_dynaconf(project) else "settings.env"
    program = f"from order_service.core.config import settings; print(str({expression}).lower())"

    assert run(project, sys.executable, "-c", program) == "development\n"
    assert run(project, sys.executable, "-c", program, APP_ENV="production") == "production\n"


def test_one_setting_moves_it_to_postgresql(project: Path) -> None:
    program = "from order_service.core.container import container; print(container.config.{}())"
    name = "DATABASE_URL" if uses_dynaconf(project) else "database_url"
    url = "postgresql://localhost/orders"

    printed = run(project, sys.executable, "-c", program.format(name), APP_DATABASE_URL=url)

    assert printed == f"{url}\n"


def uses_dynaconf(project: Path) -> bool:
    return (project / "settings.toml").exists()


def test_rendering_is_pure() -> None:
    files = foundation("order-service")

    assert files == foundation("order-service")
    for path, content in files.items():
        assert "__package__" not in path
        assert b"\r" not in content
        assert not content or content.endswith(b"\n"), path
        assert not content.endswith(b"\n\n"), path


def test_it_holds_no_secret() -> None:
    lines = foundation("order-service")[".secrets.toml"].decode()

    assert not any(tomllib.loads(lines).values())


@pytest.mark.parametrize("name", ["a", "Zz.Top-" + "x" * 33])
def test_short_and_long_names_are_formatted(name: str, tmp_path: Path) -> None:
    write(foundation(name), tmp_path)

    run(tmp_path, sys.executable, "-m", "ruff", "check", "--no-cache", ".")
    run(tmp_path, sys.executable, "-m", "ruff", "format", "--no-cache", "--check", ".")


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("orders", "orders"),
        ("order-service", "order_service"),
        ("Order.Service", "order_service"),
        ("a--b_c2", "a_b_c2"),
    ],
)
def test_the_package_is_named_after_the_project(name: str, package: str) -> None:
    assert package_name(name) == package
    assert f"src/{package}/main.py" in foundation(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "-",
        "a b",
        "a/b",
        "../a",
        "-a",
        "a-",
        "a\n",
        "größe",
        "2fast",
        "class",
        "Class",
        "json",
        "tests",
        "test",
        "fastapi",
        "pydantic-settings",
        "x" * 41,
    ],
)
def test_a_name_that_cannot_work_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"use |add a word|start with a letter"):
        foundation(name)


def test_unknown_variants_are_refused() -> None:
    with pytest.raises(ValueError, match="choose one of dynaconf, pydantic"):
        foundation("orders", settings="decouple")
    with pytest.raises(ValueError, match=r"choose one of 3\.11"):
        foundation("orders", python="3.10")
