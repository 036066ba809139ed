"""What users do next: they reformat, edit, move and delete; they lose ledgers; they run it twice at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.command import (
    COMMAND,
    TIMEOUT,
    YES,
    append,
    commit,
    contents,
    done,
    environment,
    project,
    replace,
    run,
    tree,
)
from tests.shapes import git

PYTHON = f'[tool.laterctl]\npython = "{sys.executable}"\n'


def imports(folder: Path, module: str, root: str = ".") -> None:
    """Import a module of a project in a process of its own; it has to work."""
    env = environment() | {"PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", f"import {module}"]
    ran = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    assert ran.returncode == 0, ran.stderr


def verdicts(folder: Path) -> set[tuple[str, str]]:
    """Rule and verdict of what doctor finds about targets of features."""
    found = run(folder, "doctor", "--json", "--only", "LTR").document["findings"]
    return {(item["rule"], item["verdict"]) for item in found}


WHOLE = {("LTR003", "ok")}

# They reformat

LONG = 'line-length = 100\n[lint]\nselect = ["I", "COM", "Q", "UP", "RUF022"]\n[format]\nquote-style = "double"\n'
SHORT = 'line-length = 50\n[lint]\nselect = ["I"]\n[format]\nquote-style = "single"\n'


def reformatted(folder: Path, config: str) -> None:
    """Sort the imports and format everything, as ruff does with this configuration and no other."""
    file = folder.parent / "ruff-of-the-test.toml"
    file.write_text(config)
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check", "--fix-only"], ["format"]):
        flags = ["--quiet", "--no-cache", "--isolated", "--config", str(file), "."]
        flags.remove("--isolated")
        subprocess.run([*ruff, *command, *flags], cwd=folder, check=True, capture_output=True, timeout=TIMEOUT)


@pytest.mark.parametrize("config", [LONG, SHORT], ids=["long", "short"])
@pytest.mark.parametrize(
    ("shape", "features"),
    [
        ("foundation", ("jwt", "metrics", "cors", "security-headers")),
        ("flat", ("metrics", "resources")),
        ("own_lifespan", ("jwt",)),
        ("factory", ("resources", "cors")),
        ("crlf", ("metrics",)),
        ("tabs", ("resources",)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_everything_is_reformatted(shape: str, features: tuple[str, ...], config: str, tmp_path: Path) -> None:
    folder = project(tmp_path, shape)
    reformatted(folder, config)
    commit(folder)
    before = contents(folder)
    done(folder, "add", *features, *YES)
    reformatted(folder, config)
    commit(folder)

    assert verdicts(folder) == WHOLE
    after = tree(folder)
    ran = done(folder, "add", *features, *YES)
    assert ran.out.startswith("Nothing to do: ")
    assert tree(folder) == after

    ran = done(folder, "remove", *features, *YES)
    assert "stayed" not in ran.out
    reformatted(folder, config)
    assert contents(folder) == before


# They edit


@pytest.mark.parametrize(
    ("line", "edited"),
    [
        ("app.add_middleware(MetricsMiddleware)", "app.add_middleware(MetricsMiddleware, metrics=None)"),
        ("app.include_router(metrics_router)", 'app.include_router(metrics_router, prefix="/internal")'),
        ("app.include_router(metrics_router)", "app.include_router(metrics_router)  # internal"),
    ],
    ids=["middleware", "router", "comment"],
)
def test_wiring_is_edited(line: str, edited: str, tmp_path: Path) -> None:
    folder = project(tmp_path)
    before = contents(folder)
    done(folder, "add", "metrics", *YES)
    replace(folder / "main.py", line, edited)
    commit(folder)
    assert verdicts(folder) == {*WHOLE, ("LTR006", "ok")}
    assert done(folder, "add", "metrics", *YES).out.startswith("Nothing to do")
    ran = done(folder, "doctor", "--fix", "--yes")
    assert ran.out.startswith("nothing that --fix may put back: ")
    assert git(folder, "status", "--porcelain") == "", "what is edited is the user's"

    ran = run(folder, "remove", "metrics", *YES)
    number = (folder / "main.py").read_text().splitlines().index(edited) + 1
    assert ran.code == 3
    assert f"refused main.py:{number}: you edited what metrics has in main.py, and it would stay at work" in ran.err
    assert git(folder, "status", "--porcelain") == ""
    replace(folder / "main.py", f"{edited}\n", "")
    commit(folder)
    done(folder, "remove", "metrics", *YES)
    assert contents(folder) == before


def test_an_owned_file_is_edited(tmp_path: Path) -> None:
    folder = project(tmp_path, "foundation")
    before = contents(folder)
    done(folder, "add", "metrics", "cors", *YES)
    metrics = folder / "src/order_service/core/metrics.py"
    append(metrics, "\nMINE = 1\n")
    commit(folder)
    edited = metrics.read_bytes()
    assert verdicts(folder) == {*WHOLE, ("LTR006", "ok")}
    assert done(folder, "add", "metrics", *YES).out.startswith("Nothing to do")

    installed = contents(folder)
    ran = done(folder, "remove", "metrics", *YES)
    assert "! src/order_service/core/metrics.py stayed: edited" in ran.out
    assert "dependency prometheus-client>=0.22 stayed: needed by what you edited" in ran.out
    assert metrics.read_bytes() == edited
    assert not (folder / "src/order_service/api/metrics.py").exists()
    imports(folder, "order_service.main, order_service.core.metrics", "src")
    assert verdicts(folder) == {*WHOLE, ("LTR006", "ok")}
    commit(folder)
    left = contents(folder)
    # It can be added again, with what the user made of it, and it is not in the way of anything else.
    done(folder, "add", "metrics", *YES)
    assert contents(folder) == installed
    commit(folder)
    done(folder, "remove", "metrics", *YES)
    commit(folder)
    done(folder, "remove", "cors", *YES)
    commit(folder)
    assert metrics.read_bytes() == edited
    done(folder, "remove", "metrics", "--delete-edited", *YES)
    assert contents(folder) == before
    done(folder, "undo", "--yes")
    assert metrics.read_bytes() == edited
    assert left.keys() > contents(folder).keys()


def test_an_owned_file_is_deleted(tmp_path: Path) -> None:
    folder = project(tmp_path, "foundation")
    before = contents(folder)
    done(folder, "add", "metrics", *YES)
    whole = contents(folder)
    (folder / "src/order_service/core/metrics.py").unlink()
    commit(folder)
    ran = run(folder, "doctor")
    assert ran.code == 1
    assert "LTR005 src/order_service/core/metrics.py:1 the file is gone" in ran.out
    assert "put it back: laterctl doctor --fix; or take the rest out: laterctl remove metrics" in ran.out
    assert done(folder, "add", "metrics", *YES).out.startswith("Nothing to do"), (
        "never recreated behind the user's back"
    )
    done(folder, "doctor", "--fix", "--yes")
    assert contents(folder) == whole
    commit(folder)
    done(folder, "remove", "metrics", *YES)
    assert contents(folder) == before


def test_an_owned_file_is_moved(tmp_path: Path) -> None:
    folder = project(tmp_path, "foundation")
    done(folder, "add", "metrics", *YES)
    package = folder / "src/order_service"
    (package / "core/metrics.py").rename(package / "core/measuring.py")
    for path in [*package.rglob("*.py"), *folder.glob("tests/**/*.py")]:
        text = path.read_text()
        path.write_text(text.replace("order_service.core.metrics import", "order_service.core.measuring import"))
    commit(folder)
    imports(folder, "order_service.main", "src")
    ran = run(folder, "doctor", "--only", "LTR")
    assert "src/order_service/core/metrics.py was moved to src/order_service/core/measuring.py (yours)" in ran.out
    assert "LTR004" not in ran.out
    before = tree(folder)
    assert done(folder, "add", "metrics", *YES).out.startswith("Nothing to do")
    done(folder, "doctor", "--fix", "--yes")
    assert tree(folder) == before
    ran = run(folder, "remove", "metrics", *YES)
    assert ran.code == 3
    assert "src/order_service/core/measuring.py imports prometheus_client" in ran.err, "it is the user's code now"


# They use it

USES = {
    "imported": ("from order_service.api.deps import ", "from order_service.api.deps import CurrentUser, ", "CurrentUser"),
    "through_the_module": ("from order_service.api.deps import ", "from order_service.api import deps\nfrom order_service.api.deps import ", "deps.CurrentUser"),
    "renamed": ("from order_service.api.deps import ", "from order_service.api.deps import CurrentUser as Me, ", "Me"),
    "relative": ("from order_service.api.deps import ", "from .deps import CurrentUser\nfrom order_service.api.deps import ", "CurrentUser"),
}  # fmt: skip


@pytest.mark.parametrize("style", USES)
def test_what_is_used_is_not_removed(style: str, tmp_path: Path) -> None:
    folder = project(tmp_path, "foundation")
    done(folder, "add", "jwt", *YES)
    old, new, name = USES[style]
    routes = folder / "src/order_service/api/routes.py"
    replace(routes, old, new)
    append(routes, f"\n\n@router.get('/me')\nasync def me(user: {name}) -> str:\n    return user.subject\n")
    commit(folder)
    imports(folder, "order_service.main", "src")
    before = tree(folder)
    for preview in ((), ("--diff",), ("--check",)):
        ran = run(folder, "remove", "jwt", *(preview or YES))
        assert ran.code == 3, ran.screen
        assert "(still-used)" in ran.err
        lines = {int(line.split(":")[1]) for line in ran.err.splitlines() if "api/routes.py:" in line}
        text = routes.read_text().splitlines()
        assert lines
        assert all("CurrentUser" in text[line - 1] for line in lines), ran.err
        assert "take the use out first" in ran.err
    assert tree(folder) == before
    replace(routes, f"\n\n@router.get('/me')\nasync def me(user: {name}) -> str:\n    return user.subject\n", "")
    replace(routes, new, old)
    commit(folder)
    done(folder, "remove", "jwt", *YES)


@pytest.mark.parametrize(
    ("shape", "feature", "path", "use", "says"),
    [
        ("flat", "jwt", "main.py", "\nfrom core.auth.tokens import CurrentUser\n", "main.py imports core.auth.tokens"),
        ("flat", "jwt", "main.py", "\nimport core.auth.tokens\n", "main.py imports core.auth.tokens"),
        ("flat", "jwt", "main.py", "\n\ndef later():\n    from core.auth import tokens\n", "main.py imports core.auth.tokens"),
        ("flat", "metrics", "main.py", "\nimport prometheus_client\n", "imports prometheus_client"),
        ("factory", "cors", "app/routes.py", "\nfrom app.config import settings\nprint(settings.cors_origins)\n", "Settings.cors_origins"),
        ("foundation", "resources", "src/order_service/api/deps.py", "\n\ndef client() -> None:\n    container.http_client()\n", "Container.http_client"),
    ],
    ids=["from_import", "import", "inside_a_function", "dependency", "setting", "provider"],
)  # fmt: skip
def test_other_uses(shape: str, feature: str, path: str, use: str, says: str, tmp_path: Path) -> None:
    folder = project(tmp_path, shape)
    done(folder, "add", feature, *YES)
    append(folder / path, use)
    commit(folder)
    before = tree(folder)
    ran = run(folder, "remove", feature, *YES)
    assert tree(folder) == before
    assert ran.code == 3, ran.screen
    assert f"refused {path}:" in ran.err
    assert says in ran.err


def test_a_feature_that_another_one_needs_is_kept(tmp_path: Path) -> None:
    folder = project(tmp_path)
    done(folder, "add", "jwt", "--set", "jwt.refresh=redis", *YES)
    alone = contents(folder)
    commit(folder)
    done(folder, "add", "resources", *YES)
    commit(folder)
    ran = done(folder, "remove", "resources", *YES)
    assert "Removed resources:" in ran.out, "what jwt needs, too, is still there"
    assert contents(folder) == alone


# They lose the ledger


@pytest.mark.parametrize(
    ("shape", "feature", "module"),
    [
        ("flat", "metrics", "main"),
        ("flat", "resources", "main"),
        ("foundation", "jwt", "order_service.main"),
        ("own_lifespan", "resources", "office.main"),
        ("on_event", "jwt", "app.main"),
        ("middleware_list", "cors", "service.app"),
    ],
    ids=lambda value: value,
)
def test_the_ledger_is_lost(shape: str, feature: str, module: str, tmp_path: Path) -> None:
    folder = project(tmp_path, shape)
    done(folder, "add", feature, *YES)
    kept = contents(folder)
    shutil.rmtree(folder / ".laterctl")
    commit(folder)
    ran = run(folder, "doctor", "--only", "LTR")
    assert ran.code == 1
    assert "was added by laterctl, but no ledger knows it" in ran.out
    assert "restore .laterctl/ from version control, or: laterctl add " in ran.out

    ran = done(folder, "add", feature, *YES)
    assert verdicts(folder) == WHOLE
    after = contents(folder)
    assert after.keys() == kept.keys()
    assert {path for path in kept if after[path] != kept[path] and not path.startswith(".laterctl/")} == set()
    assert done(folder, "add", feature, *YES).out.startswith("Nothing to do")

    commit(folder)
    done(folder, "remove", feature, *YES)
    assert not (folder / ".laterctl").exists()
    imports(folder, module, "src" if shape == "foundation" else ".")
    ran = run(folder, "doctor", "--only", "LTR")
    left = [path for path, content in contents(folder).items() if content.startswith(b"# From laterctl: ")]
    assert [path for path in left if not path.endswith("core/settings.py")] == [], "adopted settings stay"


def test_the_ledger_is_lost_and_a_file_was_edited(tmp_path: Path) -> None:
    folder = project(tmp_path)
    done(folder, "add", "metrics", *YES)
    shutil.rmtree(folder / ".laterctl")
    append(folder / "core/metrics.py", "\nMINE = 1\n")
    commit(folder)
    before = tree(folder)
    ran = run(folder, "add", "metrics", *YES)
    assert tree(folder) == before
    assert ran.code == 3
    assert ran.err.startswith("refused core/metrics.py:1: ")


# Where they run it


def test_from_a_folder_inside(tmp_path: Path) -> None:
    folder = project(tmp_path, "subfolder")
    before = contents(tmp_path / "repository")
    inside = folder / "app/api"
    ran = done(inside, "add", "metrics", *YES)
    assert (folder / ".laterctl/feature-metrics.json").is_file()
    assert not (tmp_path / "repository/.laterctl").exists()
    assert "take it back: laterctl undo --yes" in ran.out
    assert done(inside, "list", "--json").document["features"] == done(folder, "list", "--json").document["features"]
    done(inside, "doctor", "--only", "LTR")
    done(inside, "undo", "--yes")
    assert contents(tmp_path / "repository") == before


def test_from_elsewhere(tmp_path: Path) -> None:
    folder = project(tmp_path)
    before = contents(folder)
    ran = done(tmp_path, "-C", "repository", "add", "metrics", *YES)
    assert "again: laterctl -C repository add metrics --yes --no-install\n" in ran.out
    (undo,) = [line for line in ran.out.splitlines() if line.startswith("take it back: ")]
    assert undo == "take it back: laterctl -C repository undo --yes"
    done(tmp_path, *undo.split()[4:])
    assert contents(folder) == before


def test_without_git(tmp_path: Path) -> None:
    folder = project(tmp_path)
    shutil.rmtree(folder / ".git")
    before = contents(folder)
    done(folder, "add", "metrics", *YES)
    alone = contents(folder)
    done(folder, "add", "cors", *YES)
    done(folder, "doctor")
    done(folder, "remove", "cors", *YES)
    assert contents(folder) == alone
    done(folder, "undo", "--yes")
    done(folder, "remove", "cors", "metrics", *YES)
    assert contents(folder) == before
    done(folder, "undo", "--yes")
    assert run(folder, "undo", "--yes").code == 3
    assert (folder / ".laterctl/feature-metrics.json").exists()


def test_undo_refuses_when_the_user_went_on(tmp_path: Path) -> None:
    folder = project(tmp_path)
    done(folder, "add", "metrics", *YES)
    append(folder / "main.py", "# mine\n")
    before = tree(folder)
    ran = run(folder, "undo", "--yes")
    assert tree(folder) == before
    assert ran.code == 3
    assert "main.py changed since `laterctl add metrics --yes --no-install`" in ran.err
    assert "laterctl remove" in ran.err
    done(folder, "remove", "metrics", *YES, "--allow-dirty")
    assert (folder / "main.py").read_text().endswith("# mine\n")


# Two at once


def test_two_runs_at_once(tmp_path: Path) -> None:
    """The app's import waits in the proof of the first run, until the second one has come and gone."""
    folder = project(tmp_path)
    started, released = tmp_path / "started", tmp_path / "released"
    append(
        folder / "main.py",
        f"""
import pathlib
import time
if app.user_middleware:
    pathlib.Path({str(started)!r}).touch()
    until = time.monotonic() + 50
    while not pathlib.Path({str(released)!r}).exists() and time.monotonic() < until:
        time.sleep(0.05)
""",
    )
    append(folder / "pyproject.toml", PYTHON)
    commit(folder)
    command = [*COMMAND, "add", "security-headers", *YES, "--prove"]
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as first:
        deadline = time.monotonic() + TIMEOUT
        while not started.exists() and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert first.poll() is None
        written = tree(folder)
        second = run(folder, "add", "cors", *YES)
        assert second.code == 3, second.screen
        assert f"another laterctl run is changing this project (process {first.pid})" in second.err
        assert "run this again when it is done" in second.err
        undo = run(folder, "undo", "--yes", "--json")
        assert (undo.code, undo.document["code"]) == (3, "busy")
        looked = run(folder, "list")
        assert looked.code == 0
        assert "is changing this project just now" in looked.err
        assert tree(folder) == written
        released.touch()
        assert first.communicate(timeout=TIMEOUT)[0]
    assert first.returncode == 0
    assert tree(folder) == written
    done(folder, "add", "cors", *YES)


def test_many_at_once(tmp_path: Path) -> None:
    """Whoever comes too late says so and changes nothing; nothing is half done."""
    folder = project(tmp_path)
    features = ("metrics", "cors", "security-headers")
    runs = [
        subprocess.Popen([*COMMAND, "add", feature, *YES], cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for feature in features
    ]  # fmt: skip
    errors = {feature: process.communicate(timeout=TIMEOUT)[1] for feature, process in zip(features, runs, strict=True)}
    codes = {feature: process.returncode for feature, process in zip(features, runs, strict=True)}
    assert set(codes.values()) <= {0, 3}, errors
    assert 0 in codes.values(), errors
    assert all(
        "another laterctl run" in errors[name] or "while laterctl was at work" in errors[name]
        for name in codes
        if codes[name]
    )
    listed = done(folder, "list", "--json").document["features"]
    assert {item["name"] for item in listed if item["installed"]} == {name for name, code in codes.items() if not code}
    assert verdicts(folder) == WHOLE
    assert not [path for path in contents(folder) if os.path.basename(path).startswith(".laterctl-")]
    done(folder, "add", *features, *YES)
    imports(folder, "main")
