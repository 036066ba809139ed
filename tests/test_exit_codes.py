"""Bad input: the right exit code, the file and line, what to do, and not a byte changed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from laterctl.cli.app import app
from tests import memory
from tests.shapes import Shape, copy, git, shape_named

RUNNER = CliRunner()
MAIN = (
    'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/")\ndef root() -> dict[str, str]:\n    return {}\n'
)
FLAT = {"main.py": MAIN, "requirements.txt": "fastapi>=0.115\npydantic>=2\n"}


def project(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write a project and commit it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    git(folder, "init", "--quiet", "--initial-branch=main", "--template=")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message=The project")
    return folder


def laterctl(folder: Path, *arguments: str) -> Result:
    """Run the command line in a folder, without a terminal."""
    result = RUNNER.invoke(app, ["-C", str(folder), *arguments], env={"COLUMNS": "200"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return bytes and mode of every file outside of git's own folder."""
    return {path: (data, (folder / path).stat().st_mode) for path, data in memory.read(folder).items()}


BAD: Mapping[str, tuple[Mapping[str, str | bytes], str, str]] = {
    "no app": ({**FLAT, "main.py": "print('no app')\n"}, "no-app", ""),
    "syntax error": ({**FLAT, "main.py": MAIN + "def broken(:\n"}, "app-unreadable", "main.py:9"),
    "not UTF-8": ({**FLAT, "main.py": MAIN.encode() + b"# caf\xe9\n"}, "app-unreadable", "main.py:9"),
    "broken TOML": ({"main.py": MAIN, "pyproject.toml": "[project\nname = 1\n"}, "toml", "pyproject.toml:1"),
    "file in the way": (
        {**FLAT, "core/__init__.py": "", "core/cors.py": "mine = 1\n", "core/app_cors.py": "mine = 2\n"},
        "file-exists",
        "core/cors.py:1",
    ),
    "name clash": ({**FLAT, "main.py": "CorsMiddleware = 1\n" + MAIN}, "name-clash", "main.py:1"),
    "FastAPI below the floor": ({**FLAT, "requirements.txt": "fastapi<0.100\n"}, "below-floor", "requirements.txt:1"),
    "pydantic below the floor": (
        {**FLAT, "requirements.txt": "fastapi>=0.115\npydantic<2\n"},
        "below-floor",
        "requirements.txt:2",
    ),
    "conflict markers in the ledger": (
        {**FLAT, ".laterctl/feature-cors.json": "{\n<<<<<<< HEAD\n"},
        "ledger-conflict",
        ".laterctl/feature-cors.json:2",
    ),
    "ledger of a newer version": (
        {**FLAT, ".laterctl/feature-jwt.json": json.dumps({"format": 99, "laterctl": "9.0"})},
        "ledger-newer",
        ".laterctl/feature-jwt.json:1",
    ),
    "created file that git ignores": ({**FLAT, ".gitignore": "core/\n"}, "ignored-by-git", "core/cors.py"),
    "done by hand": (
        {
            **FLAT,
            "main.py": MAIN.replace("\n\napp", "\nfrom fastapi.middleware.cors import CORSMiddleware\n\napp", 1)
            + "\n\napp.add_middleware(CORSMiddleware)\n",
        },
        "already-by-hand",
        "main.py:12",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_its_place_and_nothing_is_changed(case: str, tmp_path: Path) -> None:
    files, code, place = BAD[case]
    folder = project(tmp_path, files)
    before = state(folder)
    shown = laterctl(folder, "add", "cors", "--yes", "--no-install")
    assert shown.exit_code == 3, shown.output
    assert code in shown.output
    assert place in shown.output
    assert "Nothing was written." in shown.output
    told = laterctl(folder, "add", "cors", "--yes", "--no-install", "--json")
    assert told.exit_code == 3
    refusals = json.loads(told.stdout)["refusals"]
    assert code in {item["code"] for item in refusals}
    assert all(item["message"] for item in refusals)
    assert state(folder) == before


def test_a_link_out_of_the_project_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text(MAIN)
    (tmp_path / "project").mkdir()
    folder = project(tmp_path / "project", {"requirements.txt": FLAT["requirements.txt"]})
    os.symlink("../outside.py", folder / "main.py")
    result = laterctl(folder, "--app", "main:app", "add", "cors", "--yes", "--no-install")
    assert result.exit_code == 3
    assert "main.py" in result.output
    assert outside.read_text() == MAIN
    assert (folder / "main.py").is_symlink()


USAGE: Mapping[str, tuple[str, ...]] = {
    "unknown feature": ("add", "crs", "--yes"),
    "unknown option": ("add", "cors", "--set", "cors.colour=red", "--yes"),
    "malformed option": ("add", "cors", "--set", "colour", "--yes"),
    "unknown command": ("frobnicate",),
    "hidden capability": ("add", "errors", "--yes"),
    "feature without a secret": ("secret", "cors"),
    "unknown rule": ("explain", "NOPE001"),
    "nothing to explain": ("info",),
}


@pytest.mark.parametrize("case", USAGE)
def test_usage_errors_exit_with_2(case: str, tmp_path: Path) -> None:
    folder = project(tmp_path, FLAT)
    before = state(folder)
    result = laterctl(folder, *USAGE[case])
    assert result.exit_code == 2, result.output
    assert result.output.strip()
    assert state(folder) == before


def test_an_unknown_feature_gets_a_suggestion(tmp_path: Path) -> None:
    assert "did you mean cors" in laterctl(project(tmp_path, FLAT), "add", "crs", "--yes").output


def test_without_a_terminal_and_without_yes_it_lists_what_is_unanswered(tmp_path: Path) -> None:
    folder = project(tmp_path, FLAT)
    before = state(folder)
    result = laterctl(folder, "add", "cors")
    assert result.exit_code == 6
    assert "--yes" in result.output
    assert state(folder) == before


def test_a_dirty_file_that_the_run_edits_stops_it(tmp_path: Path) -> None:
    folder = project(tmp_path, {**FLAT, "notes.txt": "old\n"})
    (folder / "notes.txt").write_text("changed, and none of this run's business\n")
    assert laterctl(folder, "add", "coverage", "--yes", "--no-install").exit_code == 0
    assert laterctl(folder, "add", "metrics", "--yes", "--no-install").exit_code == 0, "own last write is not dirty"
    (folder / "main.py").write_text((folder / "main.py").read_text() + "# mine\n")
    before = state(folder)
    result = laterctl(folder, "add", "cors", "--yes", "--no-install")
    assert result.exit_code == 6
    assert "main.py" in result.output
    assert state(folder) == before
    assert laterctl(folder, "add", "cors", "--yes", "--no-install", "--allow-dirty").exit_code == 0


def test_check_exits_with_1_while_something_would_change(tmp_path: Path) -> None:
    folder = project(tmp_path, FLAT)
    before = state(folder)
    assert laterctl(folder, "add", "cors", "--check").exit_code == 1
    assert state(folder) == before
    assert laterctl(folder, "add", "cors", "--yes", "--no-install").exit_code == 0
    assert laterctl(folder, "add", "cors", "--check").exit_code == 0


def test_undo_takes_the_last_run_back_and_refuses_after_an_edit(tmp_path: Path) -> None:
    folder = project(tmp_path, FLAT)
    before = state(folder)
    laterctl(folder, "add", "jwt", "--yes", "--no-install")
    assert laterctl(folder, "undo", "--yes").exit_code == 0
    assert state(folder) == before
    laterctl(folder, "add", "jwt", "--yes", "--no-install")
    (folder / "main.py").write_text((folder / "main.py").read_text() + "# mine\n")
    edited = state(folder)
    result = laterctl(folder, "undo", "--yes")
    assert result.exit_code == 3
    assert "main.py" in result.output
    assert state(folder) == edited


def test_remove_refuses_what_the_users_code_still_needs(tmp_path: Path) -> None:
    shape = shape_named("deps_module")
    folder = copy(shape, tmp_path)
    assert laterctl(folder, *_app(shape), "add", "jwt", "--yes", "--no-install").exit_code == 0
    route = folder / shape.facts.path
    deps = next(path for path in folder.rglob("deps.py") if "CurrentUser" in path.read_text())
    module = ".".join(deps.relative_to(folder).with_suffix("").parts)
    text = f"\n\nfrom {module} import CurrentUser\n\n\ndef whoami(user: CurrentUser) -> str:\n    return user.subject\n"
    route.write_text(route.read_text() + text)
    before = state(folder)
    result = laterctl(folder, *_app(shape), "remove", "jwt", "--yes", "--no-install")
    assert result.exit_code == 3
    assert "CurrentUser" in result.output
    assert f"{shape.facts.path}:" in result.output
    assert state(folder) == before


def _app(shape: Shape) -> list[str]:
    return ["--app", shape.app_flag] if shape.app_flag else []


def _wiring(folder: Path, old: str, new: str) -> None:
    path = folder / "main.py"
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))


EDITED_WIRING: Mapping[str, tuple[str, str]] = {
    "another argument": ("=CorsSettings())", "=CorsSettings(), more=None)"),
    "a comment": ("=CorsSettings())\n", "=CorsSettings())  # mine\n"),
    "several lines": ("(CorsMiddleware, settings=CorsSettings())", "(\n    CorsMiddleware,\n    settings=None,\n)"),
}


@pytest.mark.parametrize("case", EDITED_WIRING)
@pytest.mark.parametrize("flags", [(), ("--delete-edited",)])
def test_wiring_that_the_user_edited_refuses_with_its_line(case: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    folder = project(tmp_path, FLAT)
    laterctl(folder, "add", "cors", "--yes", "--no-install")
    wired = "app.add_middleware(CorsMiddleware, settings=CorsSettings())"
    line = (folder / "main.py").read_text().splitlines().index(wired) + 1
    _wiring(folder, *EDITED_WIRING[case])
    before = state(folder)
    result = laterctl(folder, "remove", "cors", "--yes", "--no-install", "--allow-dirty", *flags)
    assert result.exit_code == 3, result.output
    assert f"main.py:{line}" in result.output
    assert "(edited)" in result.output
    assert state(folder) == before
    _wiring(folder, *reversed(EDITED_WIRING[case]))
    assert laterctl(folder, "remove", "cors", "--yes", "--no-install", "--allow-dirty").exit_code == 0
    assert memory.read(folder) == {name: data.encode() for name, data in FLAT.items()}


def test_a_file_that_the_user_edited_is_left_over_until_it_is_deleted(tmp_path: Path) -> None:
    folder = project(tmp_path, FLAT)
    laterctl(folder, "add", "cors", "--yes", "--no-install")
    path = folder / "core/cors.py"
    path.write_text(path.read_text() + "\nMINE = 1\n")
    assert laterctl(folder, "doctor").exit_code == 0
    result = laterctl(folder, "remove", "cors", "--yes", "--no-install", "--allow-dirty")
    assert result.exit_code == 0, result.output
    assert "core/cors.py stayed: edited" in result.output
    assert "laterctl remove cors --delete-edited" in result.output
    assert (folder / "main.py").read_text() == FLAT["main.py"], "the wiring is gone"
    assert (folder / "core/feature_settings.py").exists(), "what it binds to stays, too"
    for look in ("list", "doctor"):
        told = laterctl(folder, look)
        assert told.exit_code == 0, told.output
        assert "left over of cors: core/cors.py (yours)" in told.output
    assert "core/cors.py: the whole file (left over)" in laterctl(folder, "info", "cors").output
    left = json.loads(laterctl(folder, "list", "--json").stdout)
    assert left["left"] == [{"feature": "cors", "paths": ["core/cors.py"]}]
    assert {item["installed"] for item in left["features"]} == {""}
    kept = state(folder)
    again = laterctl(folder, "remove", "cors", "--yes")
    assert again.exit_code == 0
    assert "Nothing to do: cors is left over." in again.output
    assert laterctl(folder, "doctor", "--fix", "--yes").exit_code == 0
    assert laterctl(folder, "update", "--yes").exit_code == 0
    assert laterctl(folder, "remove", "cors", "--check").exit_code == 0
    assert laterctl(folder, "remove", "cors", "--check", "--delete-edited").exit_code == 1
    assert state(folder) == kept
    shown = laterctl(folder, "remove", "cors", "--delete-edited", "--diff")
    assert "-MINE = 1" in shown.output
    assert laterctl(folder, "remove", "cors", "--delete-edited", "--yes").exit_code == 6, "nobody else has these bytes"
    gone = laterctl(folder, "remove", "cors", "--delete-edited", "--yes", "--allow-dirty", "--json")
    assert gone.exit_code == 0
    assert "cors" in json.loads(gone.stdout)["removed"]
    assert "--delete-edited" in json.loads(gone.stdout)["command"]
    assert memory.read(folder) == {name: data.encode() for name, data in FLAT.items()}
    assert laterctl(folder, "undo", "--yes").exit_code == 0
    assert state(folder) == kept


def test_doctor_reports_what_is_gone_and_fix_puts_wiring_back(tmp_path: Path) -> None:
    folder = project(tmp_path, FLAT)
    laterctl(folder, "add", "cors", "--yes", "--no-install")
    whole = (folder / "main.py").read_text()
    (folder / "main.py").write_text(whole.replace("app.add_middleware(CorsMiddleware, settings=CorsSettings())\n", ""))
    result = laterctl(folder, "doctor")
    assert result.exit_code == 1
    assert "CorsMiddleware" in result.output
    assert laterctl(folder, "doctor", "--fix", "--yes", "--allow-dirty").exit_code == 0
    assert (folder / "main.py").read_text() == whole


def test_a_lost_ledger_is_rebuilt_from_the_code(tmp_path: Path) -> None:
    folder = project(tmp_path, FLAT)
    laterctl(folder, "add", "cors", "--yes", "--no-install")
    after = {path: data for path, data in memory.read(folder).items() if not path.startswith(".laterctl/")}
    shutil.rmtree(folder / ".laterctl")
    assert laterctl(folder, "add", "cors", "--yes", "--no-install").exit_code == 0
    assert {path: data for path, data in memory.read(folder).items() if not path.startswith(".laterctl/")} == after
    assert (folder / ".laterctl/feature-cors.json").exists()


def test_without_git_it_says_that_undo_is_the_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "project"
    folder.mkdir()
    for name, content in FLAT.items():
        (folder / name).write_text(content)
    before = state(folder)
    assert laterctl(folder, "add", "cors", "--yes", "--no-install").exit_code == 0
    assert laterctl(folder, "undo", "--yes").exit_code == 0
    assert state(folder) == before
