"""What follows from a change of the manifest: lock files and compiled requirements, by real managers and without code of
the project's own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from laterctl import install, journal
from laterctl.commands.change import InstallFailed, Prepared, RunOptions, RunResult, execute, prepare
from laterctl.dialects.manifest import named
from laterctl.edits.manifest import DependencyFloor
from laterctl.engine.plan import Request
from laterctl.feature import Feature
from laterctl.project.tree import Tree
from laterctl.refusal import Refused
from tests import extra
from tests.package_index import package_index
from tests.project.making import write
from tests.test_install import _need, own_environment  # the fixture keeps managers away from this machine

__all__ = ["own_environment"]

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
MAIN = "from fastapi import FastAPI\n\napp = FastAPI()\n"
PEP_621 = f"""\
[project]
name = "shop"
version = "1"
requires-python = ">={PYTHON}"
dependencies = ["fastapi"]
"""
MANIFESTS = {
    "uv": PEP_621 + '\n[[tool.uv.index]]\nurl = "{index}"\ndefault = true\n',
    "pdm": PEP_621
    + '\n[tool.pdm.scripts]\npre_lock = "touch RAN"\npost_install = "touch RAN"\n'
    + '\n[[tool.pdm.source]]\nname = "pypi"\nurl = "{index}"\nverify_ssl = false\n',
    "poetry": f"""\
[tool.poetry]
name = "shop"
version = "1"
description = ""
authors = []

[tool.poetry.dependencies]
python = ">={PYTHON}"
fastapi = "*"

[[tool.poetry.source]]
name = "here"
url = "{{index}}"
priority = "primary"
""",
}
LOCK = {
    "uv": ["uv", "lock"],
    "poetry": ["poetry", "lock", "--no-interaction"],
    "pdm": ["pdm", "lock", "--skip", ":all"],
}
CURRENT = {"uv": ["uv", "lock", "--check"], "poetry": ["poetry", "check", "--lock"], "pdm": ["pdm", "lock", "--check"]}
PACKAGES = {"fastapi": ("0.120.0",), "coverage": ("7.12.0",), "pytest-cov": ("7.0.0",)}


@pytest.fixture(scope="module")
def index() -> Iterator[str]:
    with package_index(PACKAGES) as url:
        yield url


@pytest.fixture(scope="module")
def poor_index() -> Iterator[str]:
    with package_index({"fastapi": ("0.120.0",)}) as url:
        yield url


def project(root: Path, manager: str, index: str, more: str = "") -> Path:
    """A project that its manager has locked."""
    _need(manager)
    write(root, {"main.py": MAIN, "pyproject.toml": MANIFESTS[manager].replace("{index}", index) + more})
    outcome = install.run(LOCK[manager], root, timeout=300)
    assert outcome.ok, outcome.output
    return root


def add(root: Path, *names: str, **options: bool) -> RunResult:
    return execute(prepare(root, Request(add=names or ("coverage",)), **options), RunOptions(**options))  # type: ignore[arg-type]


def remove(root: Path, *names: str) -> RunResult:
    return execute(prepare(root, Request(remove=names or ("coverage",))), RunOptions())


def is_current(root: Path, manager: str) -> bool:
    return install.run(CURRENT[manager], root, timeout=300).ok


# Lock files


@pytest.mark.parametrize("manager", ["uv", "poetry", "pdm"])
def test_lock_is_current_after_add_and_remove_and_given_back_by_undo(manager: str, index: str, tmp_path: Path) -> None:
    root = project(tmp_path, manager, index)
    lock = root / named(manager).lock
    before = lock.read_bytes()
    prepared = prepare(root, Request(add=("coverage",)))
    assert prepared.dependencies.derived == (lock.name,)
    assert prepared.dependencies.runs
    assert "lock" in prepared.dependencies.commands[0]

    execute(prepared, RunOptions())
    added = lock.read_bytes()
    assert b"pytest-cov" in added
    assert is_current(root, manager)

    remove(root)
    assert b"pytest-cov" not in lock.read_bytes()
    assert is_current(root, manager)
    with journal.lock(root) as held:
        journal.undo(held)
    assert lock.read_bytes() == added

    assert before != added
    assert not (root / "RAN").exists(), "hooks of the project's own do not run"


@pytest.mark.parametrize("manager", ["uv", "poetry", "pdm"])
def test_lock_is_current_after_update_and_given_back_by_undo(
    manager: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def release(*requirements: str) -> None:
        edits = tuple(map(DependencyFloor, requirements))
        extra.declare(monkeypatch, Feature(name="fruit", summary="fruit", edits=edits))

    with package_index({"fastapi": ("0.120.0",), "plum": ("1.0", "2.0"), "quince": ("3.0",)}) as url:
        root = project(tmp_path, manager, url)
        lock = root / named(manager).lock
        release("plum<2")
        add(root, "fruit")
        before = lock.read_bytes()
        release("plum>=2", "quince>=3")
        prepared = prepare(root, Request(update=("fruit",)))
        assert prepared.dependencies.derived == (lock.name,)
        execute(prepared, RunOptions())
        assert b'name = "quince"' in lock.read_bytes()
        assert is_current(root, manager)
        with journal.lock(root) as held:
            journal.undo(held)
        assert lock.read_bytes() == before
        assert is_current(root, manager)


@pytest.mark.parametrize("manager", ["uv", "poetry", "pdm"])
def test_a_failure_gives_the_lock_back(manager: str, poor_index: str, tmp_path: Path) -> None:
    root = project(tmp_path, manager, poor_index)
    before = (root / named(manager).lock).read_bytes()
    with pytest.raises(InstallFailed):
        add(root)
    assert (root / named(manager).lock).read_bytes() == before
    assert not (root / ".laterctl").exists()


def test_without_installing_the_commands_are_named(index: str, tmp_path: Path) -> None:
    root = project(tmp_path, "uv", index)
    before = (root / "uv.lock").read_bytes()
    done = add(root, install=False)
    assert done.left[0] == "uv lock"
    assert done.left[1].startswith("uv sync --frozen")
    assert done.skipped_because == "left to you by --no-install"
    assert (root / "uv.lock").read_bytes() == before


def test_remove_without_a_lock_has_nothing_to_do(tmp_path: Path) -> None:
    write(tmp_path, {"main.py": MAIN, "pyproject.toml": PEP_621})
    add(tmp_path, install=False)
    prepared = prepare(tmp_path, Request(remove=("coverage",)))
    assert (prepared.dependencies.commands, prepared.dependencies.derived) == ((), ())


def test_a_run_that_declares_nothing_leaves_the_lock_alone(index: str, tmp_path: Path) -> None:
    more = '\n[dependency-groups]\ndev = ["coverage[toml]>=7.11.1", "pytest-cov>=7"]\n'
    prepared = prepare(project(tmp_path, "uv", index, more), Request(add=("coverage",)))
    assert prepared.plan.changeset
    assert prepared.dependencies.commands == ()


def test_a_member_is_locked_where_its_workspace_is(index: str, tmp_path: Path) -> None:
    _need("uv")
    (tmp_path / ".git").mkdir()
    source = f'\n[[tool.uv.index]]\nurl = "{index}"\ndefault = true\n'
    write(
        tmp_path,
        {
            "pyproject.toml": '[tool.uv.workspace]\nmembers = ["shop"]\n' + source,
            "shop/pyproject.toml": PEP_621,
            "shop/main.py": MAIN,
        },
    )
    assert install.run(LOCK["uv"], tmp_path, timeout=300).ok
    before = (tmp_path / "uv.lock").read_bytes()
    prepared = prepare(tmp_path / "shop", Request(add=("coverage",)))
    assert prepared.dependencies.derived == ("../uv.lock",)
    execute(prepared, RunOptions())
    assert b"pytest-cov" in (tmp_path / "uv.lock").read_bytes()
    with journal.lock(tmp_path / "shop") as held:
        journal.undo(held)
    assert (tmp_path / "uv.lock").read_bytes() == before


@pytest.mark.parametrize(
    ("listed", "sibling"),
    [
        (PEP_621.replace("fastapi", "lib") + "[tool.uv.sources]\nlib = {workspace = true}\n", PEP_621),
        (MANIFESTS["poetry"].replace('fastapi = "*"', 'lib = {path = "../lib"}'), MANIFESTS["poetry"]),
    ],
)
def test_a_project_that_has_fastapi_by_another_of_the_repository(listed: str, sibling: str, tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            ".git/HEAD": "",
            "pyproject.toml": '[tool.uv.workspace]\nmembers = ["shop", "lib"]\n',
            "lib/pyproject.toml": sibling.replace('"shop"', '"lib"'),
        },
    )
    root = write(tmp_path / "shop", {"pyproject.toml": listed, "main.py": MAIN})
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    before = [path.read_bytes() for path in files]
    add(root, "metrics", install=False)
    assert b"prometheus-client" in (root / "pyproject.toml").read_bytes()
    prepared = prepare(root, Request(remove=("metrics",)), install=False)
    execute(prepared, RunOptions())
    assert [path.read_bytes() for path in files] == before
    assert [path for path in root.rglob("*") if path.is_file() and path not in files] == []


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"Pipfile": '[packages]\nfastapi = "*"\n'}, ("pipenv lock", "pipenv sync --dev")),
        (
            {"environment.yml": "dependencies:\n  - pip:\n    - fastapi\n"},
            ("conda env update --file environment.yml",),
        ),
    ],
)
def test_managers_that_solve_everything_anew_are_left_to_the_user(
    files: Mapping[str, str], left: tuple[str, ...], tmp_path: Path
) -> None:
    write(tmp_path, {"main.py": MAIN, **files})
    done = add(tmp_path)
    assert done.left == left
    assert done.skipped_because.startswith("left to you")


# Code of the project's own

IN_TREE = '[build-system]\nrequires = []\nbuild-backend = "evil"\nbackend-path = ["."]\n'
DYNAMIC = '[project]\nname = "shop"\ndynamic = ["version"]\ndependencies = ["fastapi"]\n'
SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
HATCH = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
BUILDS = {
    "a backend in the tree": ({"pyproject.toml": DYNAMIC + IN_TREE}, "uv", "pyproject.toml:8"),
    "setup.py": ({"pyproject.toml": DYNAMIC + SETUPTOOLS, "setup.py": ""}, "uv", "setup.py:1"),
    "an attribute": (
        {"pyproject.toml": DYNAMIC + SETUPTOOLS + '[tool.setuptools.dynamic]\nversion = {attr = "shop.V"}\n'},
        "uv",
        "pyproject.toml:9",
    ),
    "a hook": ({"pyproject.toml": DYNAMIC + HATCH + "[tool.hatch.metadata.hooks.custom]\n"}, "uv", "pyproject.toml:8"),
    "a path of uv": (
        {
            "pyproject.toml": PEP_621 + '[tool.uv.sources]\nlib = {path = "lib"}\n',
            "lib/pyproject.toml": DYNAMIC + IN_TREE,
        },
        "uv",
        "lib/pyproject.toml:8",
    ),
    "a path of poetry": (
        {
            "pyproject.toml": '[tool.poetry.dependencies]\nfastapi = "*"\nlib = {path = "lib"}\n',
            "lib/setup.py": "",
        },
        "poetry",
        "lib/setup.py:1",
    ),
    "a path of pdm": (
        {
            "pyproject.toml": PEP_621.replace('"fastapi"', '"lib @ file:///${PROJECT_ROOT}/lib"'),
            "lib/pyproject.toml": DYNAMIC + IN_TREE,
        },
        "pdm",
        "lib/pyproject.toml:8",
    ),
    "a member of the workspace": (
        {
            "pyproject.toml": PEP_621 + '[tool.uv.workspace]\nmembers = ["packages/*"]\n',
            "packages/lib/pyproject.toml": DYNAMIC + IN_TREE,
        },
        "uv",
        "packages/lib/pyproject.toml:8",
    ),
    "the workspace around": (
        {
            "../.git/HEAD": "",
            "../pyproject.toml": '[tool.uv.workspace]\nmembers = ["*"]\n',
            "pyproject.toml": PEP_621,
            "../lib/pyproject.toml": DYNAMIC + IN_TREE,
        },
        "uv",
        "../lib/pyproject.toml:8",
    ),
    "a path of a path": (
        {
            "../.git/HEAD": "",
            "pyproject.toml": PEP_621 + '[tool.uv.sources]\nlib = {path = "../lib"}\n',
            "../lib/pyproject.toml": PEP_621 + '[tool.uv.sources]\nmore = [{path = "../more"}]\n',
            "../more/pyproject.toml": DYNAMIC + IN_TREE,
        },
        "uv",
        "../more/pyproject.toml:8",
    ),
}
NO_BUILDS = {
    "written down": ({"pyproject.toml": PEP_621 + IN_TREE}, "uv"),
    "no package": ({"pyproject.toml": DYNAMIC + IN_TREE + "[tool.uv]\npackage = false\n"}, "uv"),
    "a backend of an index": ({"pyproject.toml": DYNAMIC + HATCH + '[tool.hatch.version]\npath = "shop.py"\n'}, "uv"),
    "no part of the workspace": (
        {
            "pyproject.toml": PEP_621 + '[tool.uv.workspace]\nmembers = ["packages/*"]\n',
            "lib/pyproject.toml": DYNAMIC + IN_TREE,
        },
        "uv",
    ),
    "pdm does not ask": ({"pyproject.toml": DYNAMIC + IN_TREE}, "pdm"),
}


@pytest.mark.parametrize("case", BUILDS)
def test_a_build_of_the_project_s_own_is_refused(case: str, tmp_path: Path) -> None:
    files, manager, place = BUILDS[case]
    root = write(tmp_path / "shop", files)
    assert str(named(manager).own_build(Tree(root))) == place


@pytest.mark.parametrize("case", NO_BUILDS)
def test_other_builds_are_not(case: str, tmp_path: Path) -> None:
    files, manager = NO_BUILDS[case]
    write(tmp_path, files)
    assert named(manager).own_build(Tree(tmp_path)) is None


def test_the_refusal_names_the_flag_that_leaves_the_step_out(tmp_path: Path) -> None:
    write(tmp_path, {"main.py": MAIN, "pyproject.toml": DYNAMIC + IN_TREE, "evil.py": "open('RAN', 'w')\n"})
    with pytest.raises(Refused) as caught:
        prepare(tmp_path, Request(add=("coverage",)), manager="uv")
    (refusal,) = caught.value.refusals
    assert (refusal.code, str(refusal.place)) == ("own-build", "pyproject.toml:8")
    assert "--no-install" in refusal.remedy
    done = add(tmp_path, install=False)
    assert done.prepared.plan.added == ("coverage",)
    assert not (tmp_path / "RAN").exists()


# Compiled requirements

UV_HEADER = (
    "# This file was autogenerated by uv via the following command:\n#    uv pip compile {} -o requirements.txt\n"
)
PIP_HEADER = (
    "#\n# This file is autogenerated by pip-compile with Python 3.12\n# by the following command:\n#\n#    {}\n#\n"
)


def compiled(root: Path, header: str, source: str = "requirements.in", text: str = "fastapi\n") -> Prepared:
    """Prepare a run on a project whose requirements.txt is compiled."""
    write(root, {"main.py": MAIN, source: text, "requirements.txt": f"{header}fastapi==0.120.0\n"})
    return prepare(root, Request(add=("cors",)))


def test_a_compiled_file_is_compiled_again_by_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _need("uv")
    with package_index({"fastapi": ("0.120.0", "0.121.0"), "pydantic-settings": ("2.6.0",)}) as url:
        monkeypatch.setenv("UV_DEFAULT_INDEX", url)
        prepared = compiled(tmp_path, UV_HEADER.format("requirements.in"))
        before = (tmp_path / "requirements.txt").read_bytes()
        assert prepared.dependencies.derived == ("requirements.txt",)
        execute(prepared, RunOptions())
    text = (tmp_path / "requirements.txt").read_text()
    assert "pydantic-settings==2.6.0" in text
    assert "fastapi==0.120.0" in text, "what was pinned stays"
    with journal.lock(tmp_path) as held:
        journal.undo(held)
    assert (tmp_path / "requirements.txt").read_bytes() == before


def test_a_file_compiled_from_pyproject_is_no_manifest(tmp_path: Path) -> None:
    prepared = compiled(tmp_path, UV_HEADER.format("pyproject.toml"), "pyproject.toml", PEP_621)
    assert prepared.project.manifest is not None
    assert prepared.project.manifest.path == "pyproject.toml"
    assert "requirements.txt" not in prepared.plan.changeset
    assert prepared.dependencies.derived == ("requirements.txt",)


@pytest.mark.parametrize(
    ("command", "source"),
    [
        ("make requirements", "fastapi\n"),
        ("uv pip compile requirements.in --python ./evil", "fastapi\n"),
        ("uv pip compile requirements.in -o other.txt", "fastapi\n"),
        ("uv pip compile requirements.in; touch RAN", "fastapi\n"),
        ("uv pip compile requirements.in", "fastapi\n-e .\n"),
        ("uv pip compile requirements.in", "fastapi\n./lib\n"),
    ],
)
def test_a_command_that_could_do_more_is_told(command: str, source: str, tmp_path: Path) -> None:
    prepared = compiled(tmp_path, PIP_HEADER.format(command), text=source)
    assert "requirements.in" in prepared.plan.changeset
    assert prepared.dependencies.derived == ()
    (note,) = [note for note in prepared.notes if "compiled" in note.message]
    assert (note.level, str(note.place)) == ("warning", "requirements.txt:2")
    assert f"`{command}`" in note.message


def test_a_compiler_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    prepared = compiled(tmp_path, PIP_HEADER.format("pip-compile --generate-hashes requirements.in"))
    assert ["`pip-compile --generate-hashes requirements.in`" in note.message for note in prepared.notes] == [True]
    assert prepared.dependencies.commands == ()
