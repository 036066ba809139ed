"""Each fixture project runs, and discovery finds in it what its author knows to be there."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from operator import attrgetter
from pathlib import Path

import pytest

from laterctl.dialects.settings.base import FROM_OS, Settings
from laterctl.project.discover import Project, discover, find_root
from laterctl.project.facts import App, DependencyHome
from laterctl.project.statements import body_at
from tests.servers import uvicorn_server
from tests.shapes import FIXTURES, SHAPES, Shape, copy, files, git, shape_named

CLEAN = {"PYTHONDONTWRITEBYTECODE": "1"}

each_shape = pytest.mark.parametrize("shape", SHAPES, ids=attrgetter("name"))


def test_every_folder_is_a_shape() -> None:
    folders = {path.name for path in FIXTURES.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {shape.folder for shape in SHAPES} - {""}


# The others show it by their own tests, here and in tests/test_new.py; tests/test_running.py asks each with all features.
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if not shape.tested], ids=attrgetter("name"))
def test_it_answers_on_a_real_server(shape: Shape, tmp_path: Path) -> None:
    project = copy(shape, tmp_path)
    arguments = ["--factory"] if shape.factory else []
    assert shape.probes
    with uvicorn_server(shape.reference, project, {**shape.env, **CLEAN}, arguments=arguments) as server:
        for path, expected in shape.probes:
            with urllib.request.urlopen(server.url + urllib.parse.quote(path, safe="/?=&"), timeout=30) as response:
                assert json.load(response) == expected, path
    assert git(tmp_path, "status", "--porcelain") == "", "a run leaves nothing behind that git would show"


# The foundation's own tests are run by tests/test_new.py.
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape.folder and shape.tested], ids=attrgetter("name"))
def test_its_own_tests_pass(shape: Shape, tmp_path: Path) -> None:
    project = copy(shape, tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | CLEAN
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape.folder], ids=attrgetter("name"))
def test_only_what_has_tests_says_so(shape: Shape) -> None:
    assert any(Path(name).name.startswith("test_") for name in files(shape)) == shape.tested


def test_a_script_stays_executable(tmp_path: Path) -> None:
    project = copy(shape_named("main_guard"), tmp_path)
    assert os.access(project / "main.py", os.X_OK)
    assert git(project, "ls-files", "--stage", "main.py").startswith("100755 ")


# The copies


@each_shape
def test_a_copy_survives_git(shape: Shape, tmp_path: Path) -> None:
    copy(shape, tmp_path / "copy")
    git(tmp_path, "clone", "--quiet", "copy", "clone")
    ignored = git(tmp_path / "copy", "ls-files", "--others", "--ignored", "--exclude-standard").split()
    assert ignored == ([".secrets.toml"] if shape.name == "foundation" else [])
    for name, content in files(shape).items():
        assert (tmp_path / "copy" / name).read_bytes() == content
        assert name in ignored or (tmp_path / "clone" / name).read_bytes() == content
    assert git(tmp_path / "clone", "log", "--format=%an %s") == "Owner The project\n"


def test_copies_are_the_same_commit(tmp_path: Path) -> None:
    shape = shape_named("flat")
    commits = {git(copy(shape, tmp_path / name), "rev-parse", "HEAD") for name in ("one", "two")}
    assert len(commits) == 1


def test_a_copy_made_in_a_git_hook_is_its_own_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outer = copy(shape_named("bom"), tmp_path / "outer")
    before = git(outer, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(outer / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(outer / ".git/index"))
    project = copy(shape_named("flat"), tmp_path / "inner")
    assert git(project, "ls-files").split() == ["main.py", "requirements.txt"]
    assert git(outer, "rev-parse", "HEAD") == before


# The odd bytes, which an editor or git could lose


def test_git_leaves_the_bytes_of_the_fixtures_alone() -> None:
    if shutil.which("git") is None or not (FIXTURES.parents[1] / ".git").exists():
        pytest.skip("not in a git repository")
    names = ["crlf/till/main.py", "bom/requirements.txt", "no_newline/main.py"]
    printed = git(FIXTURES, "check-attr", "text", "--", *names)
    assert printed.splitlines() == [f"{name}: text: unset" for name in names]


def test_line_ends_differ_from_file_to_file() -> None:
    found = files(shape_named("crlf"))
    lines = {name: content.count(b"\n") for name, content in found.items()}
    returns = {name: content.count(b"\r\n") for name, content in found.items()}
    assert {name for name in found if returns[name]} == {
        ".env.example",
        "pyproject.toml",
        "till/config.py",
        "till/db.py",
        "till/main.py",
    }
    assert all(returns[name] in {0, lines[name]} for name in found)
    assert lines["till/sales.py"] > 0


def test_byte_order_marks() -> None:
    found = files(shape_named("bom"))
    assert {name for name, content in found.items() if content.startswith(b"\xef\xbb\xbf")} == {
        "main.py",
        "requirements.txt",
    }


def test_tabs() -> None:
    content = files(shape_named("tabs"))["main.py"]
    assert b"\n\t" in content
    assert b"\n " not in content


def test_no_newline_at_the_end() -> None:
    found = files(shape_named("no_newline"))
    assert found.keys() == {"main.py", "pyproject.toml", "requirements.txt", "tests/test_hello.py"}
    assert not any(content.endswith(b"\n") for content in found.values())


# What discovery finds


@pytest.fixture(scope="module", params=SHAPES, ids=attrgetter("name"))
def discovered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Shape, Project]:
    """A shape with the facts as they should be, and the project as it is discovered from its own folder."""
    shape: Shape = request.param
    project = copy(shape, tmp_path_factory.mktemp("repository"))
    assert find_root(project) == project.resolve()
    return shape, discover(project, app=shape.app_flag)


def test_nothing_is_left_open(discovered: tuple[Shape, Project]) -> None:
    _, project = discovered
    assert project.undecided == ()
    assert project.notes == ()


def test_it_finds_the_application(discovered: tuple[Shape, Project]) -> None:
    shape, project = discovered
    facts = shape.facts
    app = the_app(project)
    assert (app.reference, app.factory) == (shape.reference, shape.factory)
    assert (app.path, app.scope, app.name) == (facts.path, facts.scope, facts.holder)
    assert app.editable, app.reason
    assert app.wrapped == ""
    statement = body_at(project.tree.python(app.path).tree, app.body)[app.index]
    line = project.tree.python(app.path).lines[statement.lineno - 1]
    assert line.lstrip().startswith(f"{facts.holder} = "), line


def test_it_finds_where_registrations_must_end(discovered: tuple[Shape, Project]) -> None:
    shape, project = discovered
    facts = shape.facts
    app = the_app(project)
    body = body_at(project.tree.python(app.path).tree, app.body)
    before = ast.unparse(body[app.limit]).splitlines()[0] if app.limit is not None else ""
    assert before == facts.before


def test_it_finds_what_is_registered(discovered: tuple[Shape, Project]) -> None:
    shape, project = discovered
    facts = shape.facts
    app = the_app(project)
    names = tuple(entry.target.rpartition(".")[2] for entry in app.middleware)
    counts = tuple(len({entry.place for entry in found}) for found in (app.routers, app.handlers, app.mounts))
    assert names == facts.middleware
    assert counts == (facts.routers, facts.handlers, facts.mounts)
    assert app.lifespan.kind == facts.lifespan, app.lifespan.reason


def test_it_finds_the_settings(discovered: tuple[Shape, Project]) -> None:
    shape, project = discovered
    facts = shape.facts
    settings = project.settings
    kind, access, toml = (settings.kind, settings.access.text, settings.toml) if settings else ("", "", "")
    assert (kind, access, toml) == (facts.settings, facts.access, facts.toml)
    assert environment_of(settings) == facts.environment
    assert settings is None or settings.reason == ""


def test_it_finds_the_container(discovered: tuple[Shape, Project]) -> None:
    shape, project = discovered
    facts = shape.facts
    container = project.container
    instance = container.access.text if container is not None and container.access is not None else ""
    assert (container.class_name if container is not None else "", instance) == (facts.container, facts.instance)
    assert container is None or container.editable
    assert container is None or bool(container.reason) == (not instance)


def test_it_finds_the_manifest(discovered: tuple[Shape, Project]) -> None:
    shape, project = discovered
    facts = shape.facts
    manifest = project.manifest
    assert manifest is not None
    assert (manifest.manager, spelled(manifest.runtime), spelled(manifest.dev)) == (
        facts.manager,
        facts.runtime,
        facts.dev,
    )
    assert {"fastapi", "uvicorn"} <= {item.name for item in manifest.requirements if not item.group}
    assert manifest.others == ()


def test_it_finds_the_layout(discovered: tuple[Shape, Project]) -> None:
    shape, project = discovered
    facts = shape.facts
    layout = project.layout
    assert (layout.package, layout.import_root, layout.relative, layout.tests) == (
        facts.package,
        facts.import_root,
        facts.relative,
        facts.tests,
    )
    assert layout.folder == "/".join(filter(None, (facts.import_root, facts.package)))


def test_it_measures_the_style(discovered: tuple[Shape, Project]) -> None:
    shape, project = discovered
    facts = shape.facts
    style = project.layout.style
    assert (style.quote, style.newline, style.indent, style.line_length, style.future) == (
        facts.quote,
        facts.newline,
        facts.indent,
        facts.line_length,
        facts.future,
    )


def test_two_applications_are_a_question(tmp_path: Path) -> None:
    project = discover(copy(shape_named("two_apps"), tmp_path))
    assert project.app is None
    (question,) = [item for item in project.undecided if item.code == "several-apps"]
    assert [place.path for place in question.places] == ["patients/main.py", "staff/main.py"]
    assert "--app" in question.hint


def test_the_project_is_found_from_inside_of_it(tmp_path: Path) -> None:
    project = copy(shape_named("subfolder"), tmp_path)
    assert find_root(project / "app" / "api") == project.resolve()


def the_app(project: Project) -> App:
    assert project.app is not None, project.undecided
    return project.app


def environment_of(settings: Settings | None) -> str:
    """The expression for the environment's name, `""` where no setting tells it."""
    return settings.environment.text if settings is not None and settings.environment != FROM_OS else ""


def spelled(home: DependencyHome) -> str:
    return ":".join(filter(None, (home.path, ".".join(home.table))))
