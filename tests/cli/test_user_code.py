"""The user's code is read and never run outside of the proof, and what is secret stays where it is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import COMMAND, YES, append, commit, contents, done, environment, project, replace, run, tree
from tests.cli.terminal import Terminal
from tests.shapes import git

BOMB = """
import pathlib
pathlib.Path(__file__).with_name("treasure.txt").unlink()
"""
SECRETS = {
    ".env": 'JWT_KEYS="main:dG9wLXNlY3JldC1rZXk="\nAPI_PASSWORD=hunter2-in-env\n',
    ".secrets.toml": '[default]\nredis_url = "redis://:hunter2-in-toml@db/0"\njwt_keys = "main:hunter2-key"\n',
    ".secrets.production.toml": '[default]\nsession_key = "hunter2-production"\n',
    "config/.env.local": "TOKEN=hunter2-local\n",
}
SECRET = re.compile(r"hunter2|dG9wLXNlY3JldC1rZXk")


def armed(folder: Path) -> Path:
    """Make each module of the project delete a file when it is imported, and its tests and setup too."""
    for path in [*folder.rglob("*.py"), folder / "conftest.py", folder / "setup.py", folder / "sitecustomize.py"]:
        if ".git" not in path.parts:
            append(path, BOMB)
            append(path.with_name("treasure.txt"), "gold\n")
    commit(folder)
    return folder


def treasures(folder: Path) -> set[Path]:
    return set(folder.rglob("treasure.txt"))


@pytest.mark.parametrize(
    ("shape", "feature"), [("foundation", "jwt"), ("flat", "metrics"), ("own_lifespan", "resources")]
)
def test_nothing_runs_the_user_s_code(shape: str, feature: str, tmp_path: Path) -> None:
    folder = armed(project(tmp_path, shape))
    all_of_it = treasures(folder)
    assert len(all_of_it) > 1 or shape == "flat"
    for arguments in (
        ["info", "--project"],
        ["list"],
        ["doctor"],
        ["add", feature, "--dry-run"],
        ["add", feature, "--diff"],
        ["add", feature, *YES],
        ["add", feature, *YES],
        ["doctor"],
        ["info", feature],
        ["doctor", "--fix", "--yes"],
        ["remove", feature, *YES],
        ["undo", "--yes"],
        ["secret", "jwt"],
        ["--help"],
    ):
        ran = run(folder, *arguments)
        assert ran.code in {0, 1}, ran.screen
        assert treasures(folder) == all_of_it, arguments
        assert not list(folder.rglob("__pycache__")), arguments


def test_the_proof_runs_it_in_a_copy_and_only_when_asked(tmp_path: Path) -> None:
    folder = project(tmp_path)
    append(folder / "main.py", BOMB)
    append(folder / "treasure.txt", "gold\n")
    append(folder / "pyproject.toml", f'[tool.laterctl]\npython = "{sys.executable}"\n')
    commit(folder)
    before = contents(folder)
    ran = done(folder, "add", "security-headers", *YES, "--json")
    assert ran.document["proof"] is None
    done(folder, "undo", "--yes")
    ran = done(folder, "add", "security-headers", *YES, "--prove", "--json")
    assert ran.document["proof"]["ran"], "the import works, because the copy has its own treasure"
    assert (folder / "treasure.txt").exists()
    done(folder, "undo", "--yes")
    assert contents(folder) == before
    ran = done(folder, "doctor", "--run")
    assert "LTR011 the app starts" in ran.out
    assert contents(folder) == before


def test_the_proof_can_be_asked_for_in_the_configuration(tmp_path: Path) -> None:
    folder = project(tmp_path)
    append(folder / "pyproject.toml", f'[tool.laterctl]\nprove = true\npython = "{sys.executable}"\n')
    commit(folder)
    ran = done(folder, "add", "security-headers", *YES, "--json")
    assert ran.document["proof"]["ran"]
    assert "--prove" in ran.document["command"]
    done(folder, "undo", "--yes")
    assert done(folder, "add", "security-headers", *YES, "--no-prove", "--json").document["proof"] is None


# Secrets


def with_secrets(folder: Path) -> Path:
    append(folder / ".gitignore", "\n.env\n.env.local\n.secrets*\n")
    commit(folder)
    for path, text in SECRETS.items():
        (folder / path).unlink(missing_ok=True)
        append(folder / path, text)
    return folder


@pytest.mark.parametrize("shape", ["foundation", "foundation_pydantic", "factory", "flat"])
def test_secret_files_are_never_touched_and_never_shown(shape: str, tmp_path: Path) -> None:
    folder = with_secrets(project(tmp_path, shape))
    before = tree(folder)
    for arguments in (
        ["info", "--project", "--json"],
        ["doctor", "--json"],
        ["add", "jwt", "metrics", "--dry-run", "--json"],
        ["add", "jwt", "metrics", *YES],
        ["doctor"],
        ["remove", "jwt", *YES, "--json"],
        ["undo", "--yes"],
    ):
        ran = run(folder, *arguments)
        assert ran.code in {0, 1}, ran.screen
        assert not SECRET.search(ran.screen), arguments
    after = tree(folder)
    assert {path: after[path] for path in SECRETS} == {path: before[path] for path in SECRETS}
    new = {path: item for path, item in after.items() if path not in SECRETS}
    assert not [path for path, (_, _, content) in new.items() if SECRET.search(content.decode(errors="replace"))]


def test_secret_files_are_not_even_opened(tmp_path: Path) -> None:
    """What is never read cannot leak. The child writes down what it opens."""
    folder = with_secrets(project(tmp_path, "foundation"))
    log = tmp_path / "opened.json"
    script = f"""
import atexit, json, os, sys
opened = []
sys.addaudithook(lambda event, given: opened.append(str(given[0])) if event == "open" else None)
atexit.register(lambda: print(json.dumps(opened), file=os.fdopen(os.open({str(log)!r}, os.O_WRONLY | os.O_CREAT), "w")))
from laterctl.__main__ import main
sys.argv = ["laterctl", *sys.argv[1:]]
main()
"""
    for arguments in (["add", "jwt", "metrics", *YES], ["doctor"], ["remove", "jwt", *YES]):
        log.unlink(missing_ok=True)
        subprocess.run(
            [sys.executable, "-c", script, *arguments], cwd=folder, env=environment(), capture_output=True, check=False
        )
        opened = json.loads(log.read_text())
        assert any(path.endswith("main.py") for path in opened), "the hook works"
        names = {os.path.basename(path) for path in opened}
        assert not [name for name in names if name == ".env" or name.startswith(".secrets")], arguments


def test_a_new_key_is_printed_and_not_kept(tmp_path: Path) -> None:
    folder = project(tmp_path, "foundation")
    done(folder, "add", "jwt", *YES)
    before = tree(folder)
    keys = {done(folder, "secret", "jwt").out for _ in range(2)}
    assert len(keys) == 2
    lines = (
        r"# \.env, or the environment\nAPP_JWT_KEYS=({0})\n# or \.secrets\.toml, below \[default\]\njwt_keys = \"\1\"\n"
    )
    pattern = lines.format("[0-9a-f]{8}:[A-Za-z0-9+/]{86}==")
    assert all(re.fullmatch(pattern, key) for key in keys), keys
    assert tree(folder) == before


URL = "https://ada:hunter2@pypi.example.com/simple"


def test_credentials_in_urls_are_masked_on_the_screen(tmp_path: Path) -> None:
    folder = project(tmp_path)
    requirements = folder / "requirements.txt"
    private = f"--extra-index-url {URL}\nprivate @ git+https://ghp_{'a1' * 18}@git.example.com/private.git\n"
    replace(requirements, "fastapi>=0.115\n", f"fastapi>=0.115\n{private}")
    commit(folder)
    for arguments in (
        ["info", "--project"],
        ["info", "--project", "--json"],
        ["add", "metrics", "--dry-run"],
        ["add", "metrics"],
    ):
        ran = run(folder, *arguments)
        assert not re.search(r"hunter2|ghp_", ran.screen), arguments
    assert run(folder, "add", "metrics", "--dry-run", "--json").document["masked"]
    # A patch has to be exact, or it would not apply; so it comes with a warning.
    ran = done(folder, "add", "metrics", "--diff")
    assert URL in ran.out
    assert "the patch shows credentials that stand in your files" in ran.err
    done(folder, "add", "metrics", *YES)
    assert private in requirements.read_text()
    assert not [path for path in (folder / ".laterctl").rglob("*.*") if "hunter2" in path.read_text()]


def test_credentials_in_refusals_are_masked(tmp_path: Path) -> None:
    folder = project(tmp_path, "factory")
    replace(folder / "app/config.py", "    environment:", f'    metrics_token: list[str] = ["{URL}"]\n    environment:')
    commit(folder)
    for flags in ([], ["--json"]):
        ran = run(folder, "add", "metrics", *YES, *flags)
        assert ran.code == 3
        assert "metrics_token" in ran.screen
        assert "hunter2" not in ran.screen


def test_a_failing_package_manager_does_not_tell(tmp_path: Path) -> None:
    folder = project(tmp_path)
    append(folder / ".gitignore", ".venv/\n")
    tool = folder / ".venv/bin/python"
    append(folder / ".venv/pyvenv.cfg", "home = /usr\n")
    append(tool, f'#!/bin/sh\necho "could not reach {URL}"\necho "with $PIP_TOKEN" >&2\nexit 9\n')
    tool.chmod(0o755)
    commit(folder)
    before = contents(folder)
    ran = run(folder, "add", "metrics", "--yes", env={"PATH": "/usr/bin:/bin", "PIP_TOKEN": "hunter2-token"})
    assert ran.code == 5, ran.screen
    assert "could not reach https://***@pypi.example.com/simple" in ran.err
    assert "hunter2" not in ran.screen
    assert contents(folder) == before


@pytest.mark.parametrize(
    "names",
    [("secrets", "difflib", "typing", "json", "__future__"), ("typer", "click", "rich", "msgspec", "libcst", "jinja2")],
)
@pytest.mark.parametrize("how", ["-m", "PYTHONPATH=.", "PYTHONPATH=all of it"])
def test_no_module_of_the_project_stands_for_one_that_laterctl_uses(
    tmp_path: Path, names: tuple[str, ...], how: str
) -> None:
    folder = project(tmp_path)
    for name in names:
        (folder / f"{name}.py").write_text("raise SystemExit('user code ran')\n")
    entry = [sys.executable, "-c", "from laterctl.__main__ import main; main()"]
    start = [*COMMAND] if how == "-m" else [entry[0], "-P", *entry[1:]]
    paths = {"PYTHONPATH=.": ".", "PYTHONPATH=all of it": f"{folder}{os.pathsep}{folder.parent}"}
    more = {"PYTHONPATH": paths[how]} if how in paths else {}
    for arguments in (["add", "cors", *YES], ["doctor"], ["remove", "cors", *YES]):
        ran = subprocess.run(
            [*start, *arguments], cwd=folder, env=environment() | more, capture_output=True, text=True, check=False
        )
        assert "user code ran" not in ran.stdout + ran.stderr
        assert ran.returncode in {0, 1}, ran.stderr


SETTINGS = """from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    secret_key: str = "HUNTER2"


settings = Settings()
"""


def test_values_of_secret_names_are_masked_but_in_a_patch_to_apply(tmp_path: Path) -> None:
    folder = project(tmp_path)
    (folder / "config.py").write_text(SETTINGS)
    append(folder / ".env.example", "SECRET_KEY=HUNTER2\n")
    commit(folder)
    document = done(folder, "add", "cors", "--dry-run", "--json").document
    assert document["masked"]
    assert "HUNTER2" not in str(document)
    assert "+" in document["patch"]
    with Terminal(folder, "add", "cors", "--diff", term="xterm-256color") as terminal:
        assert terminal.ends() == 0
    assert "HUNTER2" not in terminal.screen
    ran = done(folder, "add", "cors", "--diff", "-o", "made.patch")
    assert "the patch shows credentials that stand in your files" in ran.err
    git(folder, "apply", "made.patch")
    assert 'secret_key: str = "HUNTER2"' in (folder / "config.py").read_text()


def test_a_patch_without_secrets_is_exact_in_json(tmp_path: Path) -> None:
    folder = project(tmp_path, "src_layout")
    document = done(folder, "add", "jwt", "cors", "metrics", "--dry-run", "--json").document
    assert not document["masked"]
    assert document["patch"] == done(folder, "add", "jwt", "cors", "metrics", "--diff").out
