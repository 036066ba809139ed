"""What cannot be done safely is refused: the right exit code, the place, what to do, and not a byte changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import pytest

from tests.cli.command import YES, append, commit, done, project, replace, run, tree, unprivileged

Spoil = Callable[[Path], object]
METRICS = ("add", "metrics", *YES)
RESOURCES = ("add", "resources", *YES)
APP = "from fastapi import FastAPI\n\napp = FastAPI()\n"


@dataclass(frozen=True)
class Case:
    """A project that is spoiled, and what the command has to say about it.

    `place` is where the refusal points, `says` are words of the reason and of what to do about it.
    """

    name: str
    spoil: Spoil
    code: str
    place: str
    says: tuple[str, ...]
    shape: str = "flat"
    arguments: tuple[str, ...] = METRICS


def more(path: str, text: str | bytes) -> Spoil:
    return lambda folder: append(folder / path, text)


def instead(path: str, text: str | bytes, *more: str) -> Spoil:
    def spoil(folder: Path) -> None:
        for place in (path, *more):
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(text if isinstance(text, bytes) else text.encode())

    return spoil


def swapped(path: str, old: str, new: str) -> Spoil:
    return lambda folder: replace(folder / path, old, new)


def linked_out(path: str) -> Spoil:
    """Put a link to outside of the repository in the place of a file or folder."""

    def spoil(folder: Path) -> None:
        outside = folder.parent / "outside" / Path(path).name
        outside.parent.mkdir()
        if (folder / path).exists():
            shutil.move(folder / path, outside)
        else:
            outside.mkdir()
        (folder / path).symlink_to(outside)

    return spoil


def both(*spoils: Spoil) -> Spoil:
    def spoil(folder: Path) -> None:
        for each in spoils:
            each(folder)

    return spoil


def brought(listed: str) -> Spoil:
    """Have FastAPI come with another project of the repository, which lists these."""
    other = f'[project]\nname = "shared"\nversion = "1"\ndependencies = [{listed}]\n'
    return both(instead("requirements.txt", "-e ./shared\n"), instead("shared/pyproject.toml", other))


def as_utf_16(path: str) -> Spoil:
    return lambda folder: (folder / path).write_bytes((folder / path).read_text().encode("utf-16"))


def untracked_settings(folder: Path) -> None:
    (folder / "settings.toml").rename(folder / "kept.toml")
    append(folder / ".gitignore", "settings.toml\n")
    commit(folder)
    (folder / "kept.toml").rename(folder / "settings.toml")


SYNTAX = "\ndef broken(:\n    pass\n"
LATIN_1 = b"\n# caf\xe9\n"

CASES = [
    # No application
    Case("no_app", instead("main.py", "x = 1\n"), "no-app", "", ("no FastAPI application was found", "--app MODULE:ATTR")),
    Case("no_python", lambda folder: (folder / "main.py").unlink(), "no-app", "", ("no FastAPI application", "-C DIR")),
    Case("a_name_that_only_looks_so", instead("main.py", "class FastAPI: ...\n\n\napp = FastAPI()\n"), "no-app", "", ()),
    Case("only_in_tests", lambda folder: (folder / "main.py").rename(folder / "test_main.py"), "app-aside",
         "test_main.py:5", ("tests", "--app MODULE:ATTR")),
    Case("two_apps", lambda _: None, "several-apps", "patients/main.py:7",
         ("patients.main:app, staff.main:app", "also at staff/main.py:7", "--app MODULE:ATTR"), shape="two_apps"),
    Case("no_such_app", lambda _: None, "app-not-found", "patients/main.py:7", ("no application other:app", "found: patients"),
         shape="two_apps", arguments=("--app", "other:app", *METRICS)),
    # Files that cannot be read
    Case("syntax_error", more("main.py", SYNTAX), "app-unreadable", "main.py:32",
         ("main.py cannot be read: invalid syntax", "correct the syntax error")),
    Case("not_utf_8", more("main.py", LATIN_1), "app-unreadable", "main.py:32",
         ("main.py cannot be read: the file is not valid UTF-8", "save the file as UTF-8")),
    Case("utf_16", as_utf_16("main.py"), "app-unreadable", "main.py:1", ("UTF-16", "save the file as UTF-8")),
    Case("nul", more("main.py", "\n#\0\n"), "app-unreadable", "main.py:32", ("NUL",)),
    Case("settings_with_a_syntax_error", more("app/config.py", SYNTAX), "syntax-error", "app/config.py:16",
         ("app/config.py cannot be read: invalid syntax", "correct the syntax error"), shape="factory"),
    Case("settings_not_utf_8", more("app/config.py", LATIN_1), "encoding", "app/config.py:16",
         ("save the file as UTF-8",), shape="factory"),
    Case("settings_with_broken_toml", more("settings.toml", "\n[x\n"), "toml", "settings.toml:14",
         ("settings.toml cannot be read: not valid TOML", "correct the file"), shape="foundation"),
    Case("container_with_a_syntax_error", more("src/order_service/core/container.py", SYNTAX), "syntax-error",
         "src/order_service/core/container.py:29", ("correct the syntax error",), shape="foundation", arguments=RESOURCES),
    Case("broken_toml", more("pyproject.toml", "\n[tool\n"), "toml", "pyproject.toml:21",
         ("pyproject.toml cannot be read: not valid TOML", "correct the file first"), shape="factory"),
    Case("requirements_not_utf_8", more("requirements.txt", LATIN_1), "encoding", "requirements.txt:7",
         ("requirements.txt cannot be read", "save the file as UTF-8")),
    Case("example_not_utf_8", more(".env.example", LATIN_1), "encoding", ".env.example:4",
         (".env.example cannot be read", "save the file as UTF-8"), shape="factory"),
    # Links that leave the project
    Case("app_linked_out", linked_out("main.py"), "app-unreadable", "main.py:1",
         ("main.py leads out of the project", "symbolic link")),
    Case("folder_linked_out", linked_out("core"), "outside", "core:1", ("core leads out of the project", "symbolic link")),
    Case("manifest_linked_out", linked_out("requirements.txt"), "outside", "requirements.txt:1",
         ("requirements.txt leads out of the project", "symbolic link")),
    Case("ledger_linked_out", linked_out(".laterctl"), "outside", ".laterctl:1", ("leads out of the project",)),
    # The user's own code
    Case("files_in_the_way", instead("core/metrics.py", "x = 1\n", "core/app_metrics.py"), "file-exists",
         "core/metrics.py:1", ("core/metrics.py exists already", "core/app_metrics.py", "or choose other folders")),
    Case("file_where_a_folder_would_go", instead("core", "notes\n"), "file-exists", "core:1",
         ("core is a file", "move it away")),
    Case("module_that_would_be_hidden", instead("core.py", "x = 1\n", "app_core.py"), "module-in-the-way",
         "app_core.py:1", ("app_core.py and app_core/ would be one name", "choose other folders")),
    Case("package_that_would_hide_a_new_module", instead("core/metrics/__init__.py", "", "core/app_metrics.py"),
         "module-in-the-way", "core/metrics/__init__.py:1", ("core/metrics.py and core/metrics/ would be one name",)),
    Case("name_clash", swapped("main.py", "notes: dict", "metrics_router = app_metrics_router = 3\nnotes: dict"),
         "name-clash", "main.py:7",
         ("main.py already binds the name app_metrics_router", "rename app_metrics_router in main.py")),
    Case("provider_clash", swapped("src/order_service/core/container.py", "    config = providers.Configuration()\n",
                                   "    config = providers.Configuration()\n    http_client = providers.Object(None)\n"),
         "name-clash", "src/order_service/core/container.py:15",
         ("Container already has a provider http_client", "rename the provider http_client"), shape="foundation",
         arguments=RESOURCES),
    Case("setting_in_another_form", swapped("app/config.py", "    environment: str", "    metrics_token: int = 3\n    environment: str"),
         "already-different", "app/config.py:11", ("metrics_token: int = 3", "metrics_token: SecretStr | None = None"),
         shape="factory"),
    Case("done_by_hand", more("main.py", '\n\n@app.get("/metrics")\ndef metrics():\n    return {}\n'), "already-by-hand",
         "main.py:33", ("does the job of metrics already (route)", "keep yours, or take it out")),
    Case("tool_configured_by_hand", more("pyproject.toml", "\n[tool.coverage.run]\nsource = ['app']\nbranch = false\n"),
         "already-by-hand", "pyproject.toml:23",
         ("configures coverage already, in another way", "branch = False", "branch = True", "keep yours"),
         shape="factory", arguments=("add", "coverage", "--dry-run")),
    # Versions
    Case("fastapi_below_the_floor", swapped("requirements.txt", "fastapi>=0.115", "fastapi<0.100"), "below-floor",
         "requirements.txt:2", ("fastapi<0.100 excludes fastapi 0.112.2", "raise it yourself")),
    Case("pydantic_below_the_floor", swapped("requirements.txt", "pydantic>=2.9", "pydantic~=1.10"), "below-floor",
         "requirements.txt:3", ("pydantic~=1.10 excludes pydantic 2", "raise it yourself")),
    Case("locked_below_the_floor", instead("uv.lock", 'version = 1\n\n[[package]]\nname = "fastapi"\nversion = "0.100.0"\n'),
         "below-floor", "uv.lock:4", ("uv.lock locks fastapi 0.100.0", "fastapi>=0.112.2"), shape="factory"),
    Case("python_below_the_floor", swapped("pyproject.toml", ">=3.11", ">=3.8"), "below-floor", "pyproject.toml:5",
         ("Python 3.8", "requires-python >= 3.10"), shape="factory"),
    Case("library_capped", more("requirements.txt", "prometheus-client<0.20\n"), "version-cap", "requirements.txt:6",
         ("prometheus-client<0.20, which excludes prometheus-client>=0.22", "raise the cap yourself")),
    Case("fastapi_not_declared", instead("requirements.txt", "uvicorn\n"), "fastapi-undeclared", "requirements.txt:1",
         ("requirements.txt does not declare fastapi", "fastapi>=0.112.2", "declare fastapi there, or run it with -C")),
    Case("pyproject_without_fastapi", instead("pyproject.toml", '[project]\nname = "x"\nversion = "1"\ndependencies = []\n'),
         "fastapi-undeclared", "pyproject.toml:1", ("pyproject.toml does not declare fastapi",), shape="factory"),
    Case("fastapi_of_a_sibling_below_the_floor", brought('"fastapi<0.100"'), "below-floor", "shared/pyproject.toml:4",
         ("fastapi<0.100 excludes fastapi 0.112.2", "raise it yourself")),
    Case("library_capped_by_a_sibling", brought('"fastapi", "prometheus-client<0.20"'), "version-cap",
         "shared/pyproject.toml:4", ("shared/pyproject.toml holds prometheus-client<0.20",)),
    Case("no_manifest", lambda folder: (folder / "requirements.txt").unlink(), "no-manifest", "",
         ("no file that declares dependencies was found", "prometheus-client>=0.22", "create a pyproject.toml")),
    # Git
    Case("new_code_ignored", instead(".gitignore", "*.log\ncore/\n"), "ignored-by-git", "core/__init__.py:1",
         ("git would ignore", ".gitignore:2:core/", "change that rule, or choose other folders")),
    Case("ledger_ignored", instead(".gitignore", ".laterctl\n"), "ignored-by-git", ".laterctl/feature-metrics.json:1",
         (".gitignore:1:.laterctl",)),
    Case("edited_file_ignored", untracked_settings, "ignored-by-git", "settings.toml:1",
         ("git ignores settings.toml", "cors_credentials = false", "put these lines in yourself"), shape="foundation",
         arguments=("add", "cors", *YES)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=attrgetter("name"))
def test_it_is_refused_and_nothing_changes(case: Case, tmp_path: Path) -> None:
    folder = project(tmp_path, case.shape)
    case.spoil(folder)
    before = tree(tmp_path)
    ran = run(folder, *case.arguments)
    assert tree(tmp_path) == before
    assert ran.code == 3, ran.screen
    assert ran.out == ""
    first = ran.err.splitlines()[0]
    assert first.startswith(f"refused {case.place}: " if case.place else "refused "), ran.err
    assert f"({case.code})" in first, ran.err
    assert [word for word in case.says if word not in ran.err] == [], ran.err
    assert ran.err.endswith("Nothing was written.\n")
    reasons = [line for line in ran.err.splitlines() if line.startswith("refused ")]
    assert len(reasons) == len(set(reasons)), "each reason is given once"


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("main.py", "flat"),
        ("requirements.txt", "flat"),
        ("app/config.py", "factory"),
        ("src/order_service/core/container.py", "foundation"),
        ("pyproject.toml", "factory"),
    ],
)
def test_a_file_that_may_not_be_read(path: str, shape: str, tmp_path: Path) -> None:
    child = unprivileged()
    folder = project(tmp_path, shape)
    (folder / path).chmod(0)
    before = tree(tmp_path)
    ran = run(folder, *(RESOURCES if path.endswith("container.py") else METRICS), preexec_fn=child)
    assert tree(tmp_path) == before
    assert ran.code == 3, ran.screen
    assert ran.err.startswith(f"refused {path}:1: ")
    assert f"{path} cannot be read: Permission denied" in ran.err
    assert "make the file readable" in ran.err


@pytest.mark.parametrize(("path", "mode"), [("main.py", 0o444), (".", 0o555)])
def test_what_may_not_be_written(path: str, mode: int, tmp_path: Path) -> None:
    child = unprivileged()
    folder = project(tmp_path)
    (folder / path).chmod(mode)
    before = tree(folder)
    ran = run(folder, *METRICS, preexec_fn=child)
    assert tree(folder) == before
    (folder / path).chmod(0o755)
    assert ran.code == 3, ran.screen
    assert ran.err.startswith("error cannot write ")
    assert ran.err.endswith("; every file is as it was\n")


# The ledger

CONFLICT = "<<<<<<< HEAD\n{}=======\n{}>>>>>>> other\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository into which metrics has been added."""
    folder = project(tmp_path_factory.mktemp("installed"))
    done(folder, *METRICS)
    commit(folder)
    return folder


@pytest.mark.parametrize("command", [("add", "cors"), ("remove", "metrics"), ("doctor", "--fix")], ids=" ".join)
@pytest.mark.parametrize(
    ("spoil", "code", "line", "says"),
    [
        (lambda text: CONFLICT.format(text, text), "ledger-conflict", 1, ("conflict markers", "resolve the merge")),
        (lambda text: text.replace('"format": 2', '"format": 3').replace('"laterctl": "', '"laterctl": "9'), "ledger-newer", 1,
         ("newer than this one", "run that version or a newer one")),
        (lambda text: text.replace('"format": 2,', '"format": 2'), "ledger-broken", 1, ("cannot be read", "restore it from")),
        (lambda text: text.replace('"kind": "import"', '"kind": "hope"', 1), "ledger-broken", 2, ("cannot be read",)),
    ],
    ids=["conflict", "newer", "broken", "unknown_kind"],
)  # fmt: skip
def test_a_ledger_that_cannot_be_used(
    spoil: Callable[[str], str],
    code: str,
    line: int,
    says: tuple[str, ...],
    command: tuple[str, ...],
    installed: Path,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(installed, folder, symlinks=True)
    ledger = folder / ".laterctl/feature-metrics.json"
    ledger.write_text(spoil(ledger.read_text()))
    before = tree(folder)
    ran = run(folder, *command, "--yes")
    assert tree(folder) == before
    assert ran.code == 3, ran.screen
    assert ran.err.startswith(f"refused .laterctl/feature-metrics.json:{line}: ")
    assert f"({code})" in ran.err
    assert [word for word in says if word not in ran.err] == [], ran.err


def test_undo_of_a_ledger_that_was_changed(tmp_path: Path) -> None:
    folder = project(tmp_path)
    done(folder, *METRICS)
    append(folder / ".laterctl/feature-metrics.json", "\n")
    before = tree(folder)
    ran = run(folder, "undo", "--yes")
    assert tree(folder) == before
    assert ran.code == 3
    assert ".laterctl/feature-metrics.json changed since `laterctl add metrics" in ran.err
    assert "laterctl remove" in ran.err


# Usage


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", "metrix", "--yes"), ("there is no feature metrix; did you mean metrics?",)),
        (("remove", "jtw", "--yes"), ("there is no feature jtw; did you mean jwt?",)),
        (("add", "zzzzz", "--yes"), ("there is no feature zzzzz", "laterctl list")),
        (("add", "redis", "--yes"), ("redis comes by itself with what needs it: cache, jwt",)),
        (("info", "metrix"), ("did you mean metrics?",)),
        (("add",), ("name at least one feature", "laterctl list")),
        (
            ("add", "jwt", "--yes", "--set", "jwt.colour=red"),
            ("jwt.colour is not an option here", "jwt has jwt.refresh, jwt.prefix, jwt.denylist"),
        ),
        (("add", "jwt", "--yes", "--set", "colour"), ("'colour' is not FEATURE.NAME=VALUE",)),
        (("add", "jwt", "--yes", "--set", "cors.x=1"), ("cors.x is not an option here",)),
        (("add", "jwt", "--yes", "--set", "metric.x=1"), ("did you mean metrics?",)),
        (("add", "jwt", "--yes", "--install", "conda"), ("conda is none of uv, poetry, pdm, pip",)),
        (("-C", "nowhere", "list"), ("nowhere is not a folder", "-C")),
        (("-C", "main.py", "list"), ("main.py is not a folder",)),
        (("remove",), ("name at least one feature",)),
        (("add", "jwt", "--no-such-option"), ("No such option", "--no-such-option")),
        (("explain", "QQ999"), ("there is no rule QQ999", "laterctl explain")),
        (("explain", "JTW001"), ("there is no rule JTW001; did you mean JWT001 or",)),
        (("doctor", "--only", "JTW001"), ("--only: there is no rule JTW001; did you mean JWT001 or",)),
        (("doctor", "--skip", "LTR,crs"), ("--skip: there is no rule crs; did you mean CORS",)),
        (("doctor", "--only", ""), ("--only: there is no rule without a name",)),
        (("secret", "cors"), ("cors has no secret that can be made",)),
        (("info",), ("name a feature, or give --project",)),
        (("new", "class"), ("'class'", "keyword")),
        (("new", "shop", "--settings", "yaml"), ("yaml", "dynaconf, pydantic")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage(arguments: tuple[str, ...], says: tuple[str, ...], tmp_path: Path) -> None:
    folder = project(tmp_path)
    before = tree(tmp_path)
    ran = run(folder, *arguments)
    assert tree(tmp_path) == before
    assert ran.code == 2, ran.screen
    assert ran.out == ""
    assert [word for word in says if word not in ran.err] == [], ran.err


# Things that look bad and are not


def test_an_old_encoding_that_the_file_declares_is_kept(tmp_path: Path) -> None:
    folder = project(tmp_path)
    main = folder / "main.py"
    main.write_bytes(b"# -*- coding: latin-1 -*-\n# caf\xe9\n" + main.read_bytes())
    commit(folder)
    before = main.read_bytes()
    done(folder, *METRICS)
    assert b"# caf\xe9\n" in main.read_bytes()
    assert b"app.add_middleware(MetricsMiddleware)" in main.read_bytes()
    done(folder, "doctor")
    done(folder, "remove", "metrics", *YES)
    assert main.read_bytes() == before


def test_a_broken_file_that_nothing_depends_on_is_left_alone(tmp_path: Path) -> None:
    folder = project(tmp_path, "factory")
    append(folder / "app/experiment.py", SYNTAX)
    commit(folder)
    done(folder, *METRICS)
    assert (folder / "app/experiment.py").read_text() == SYNTAX


def test_a_link_inside_of_the_project_is_followed(tmp_path: Path) -> None:
    folder = project(tmp_path)
    (folder / "main.py").rename(folder / "real.py")
    (folder / "main.py").symlink_to("real.py")
    commit(folder)
    ran = run(folder, *METRICS)
    assert ran.code in {0, 3}, ran.screen
    if ran.code == 0:
        assert os.readlink(folder / "main.py") == "real.py"
        done(folder, "undo", "--yes")
    assert os.readlink(folder / "main.py") == "real.py"
    assert "Middleware" not in (folder / "real.py").read_text()
