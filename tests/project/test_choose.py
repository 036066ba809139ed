"""Which of several FastAPI objects is the application."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project.making import codes, make, write

APP = "from fastapi import FastAPI\napp = FastAPI()\n"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("Dockerfile", 'CMD ["uvicorn", "pkg.server:app", "--host", "0.0.0.0"]\n'),
        (
            "docker-compose.yml",
            "services:\n  web:\n    image: redis:alpine\n    command: uvicorn pkg.server:app --reload\n",
        ),
        ("Procfile", "web: gunicorn -k uvicorn.workers.UvicornWorker pkg.server:app\n"),
        ("scripts/start.sh", "#!/bin/sh\nexec uvicorn pkg.server:app\n"),
        ("pyproject.toml", '[tool.fastapi]\nentrypoint = "pkg.server:app"\n'),
        ("run.py", "import uvicorn\n\nif __name__ == '__main__':\n    uvicorn.run('pkg.server:app')\n"),
        ("Dockerfile", 'CMD ["fastapi", "run", "pkg/server.py"]\n'),
        ("pkg/meta.py", '__asgi__ = "pkg.server:app"\n'),
        ("README.md", "Start it:\n\n    uvicorn pkg.server:app\n"),
        ("gunicorn_conf.py", 'wsgi_app = "pkg.server:app"\n'),
    ],
)
def test_what_is_served_wins(tmp_path: Path, path: str, text: str) -> None:
    project = make(tmp_path, {"pkg/server.py": APP, "pkg/views.py": APP, path: text})
    assert project.app is not None
    assert project.app.reference == "pkg.server:app"
    assert [str(item.place).partition(":")[0] for item in project.app.evidence[1:]] == [path]
    assert [app.path for app in project.apps] == ["pkg/server.py", "pkg/views.py"]


def test_container_files_beat_scripts(tmp_path: Path) -> None:
    files = {
        "a.py": APP + "import uvicorn\nuvicorn.run('a:app')\n",
        "b.py": APP,
        "Dockerfile": "CMD uvicorn b:app\n",
    }
    project = make(tmp_path, files)
    assert project.app is not None
    assert project.app.path == "b.py"


def test_reference_through_a_reexport(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": APP,
        "pkg/main.py": "from pkg import app\n",
        "Dockerfile": "CMD uvicorn pkg.main:app\n",
    }
    project = make(tmp_path, files)
    assert project.app is not None
    assert (project.app.path, project.app.reference) == ("pkg/__init__.py", "pkg.main:app")


def test_served_factory(tmp_path: Path) -> None:
    files = {
        "web.py": "from fastapi import FastAPI\ndef get_app():\n    app = FastAPI()\n    return app\n",
        "scratch.py": APP,
        "Dockerfile": 'CMD ["uvicorn", "web:get_app", "--factory"]\n',
    }
    project = make(tmp_path, files)
    assert project.app is not None
    assert (project.app.reference, project.app.factory) == ("web:get_app", True)


def test_commented_references_do_not_count(tmp_path: Path) -> None:
    files = {"a.py": APP, "b.py": APP, "Dockerfile": "# uvicorn a:app\nCMD uvicorn b:app\n"}
    project = make(tmp_path, files)
    assert project.app is not None
    assert project.app.path == "b.py"


@pytest.mark.parametrize(
    "line",
    [
        "COPY --chown=b:app . /srv",
        "RUN mkdir /srv && chown -R b:app /srv",
        "USER b:app",
        'ENTRYPOINT ["docker-entrypoint"]\nRUN exec gosu b:app true',
    ],
)
def test_a_user_and_a_group_are_no_application(tmp_path: Path, line: str) -> None:
    files = {"a.py": APP, "b.py": APP, "Dockerfile": f"{line}\nCMD uvicorn a:app\n"}
    project = make(tmp_path, files)
    assert project.app is not None
    assert [str(item.place) for item in project.app.evidence] == ["a.py:2", f"Dockerfile:{line.count(chr(10)) + 2}"]
    both = make(tmp_path, {**files, "Dockerfile": f"{line}\nCMD uvicorn a:app & uvicorn b:app\n"})
    assert codes(both) == ["several-apps"]


def test_what_tests_start_decides_less_than_a_script(tmp_path: Path) -> None:
    script = "import uvicorn\nuvicorn.run('{}:app')\n"
    files = {"a.py": APP, "b.py": APP, "run.py": script.format("a"), "tests/test_live.py": script.format("b")}
    project = make(tmp_path, files)
    assert project.app is not None
    assert project.app.path == "a.py"


def test_tie_is_undecided(tmp_path: Path) -> None:
    project = make(tmp_path, {"a.py": APP, "b.py": APP})
    assert project.app is None
    (undecided,) = [item for item in project.undecided if item.code == "several-apps"]
    assert [str(place) for place in undecided.places] == ["a.py:2", "b.py:2"]
    assert "--app" in undecided.hint
    assert "a:app" in undecided.message


def test_two_served_apps_are_undecided(tmp_path: Path) -> None:
    files = {"a.py": APP, "b.py": APP, "Procfile": "a: uvicorn a:app\nb: uvicorn b:app\n"}
    assert codes(make(tmp_path, files)) == ["several-apps"]


def test_services_with_their_own_dockerfiles_are_undecided(tmp_path: Path) -> None:
    files = {
        f"{name}/{file}": text
        for name in "ab"
        for file, text in (("main.py", APP), ("Dockerfile", "CMD uvicorn main:app\n"))
    }
    assert codes(make(tmp_path, files)) == ["several-apps"]


def test_the_default_of_the_fastapi_cli_decides_last(tmp_path: Path) -> None:
    project = make(tmp_path, {"main.py": APP, "views.py": APP})
    assert project.app is not None
    assert project.app.path == "main.py"


@pytest.mark.parametrize("asked", ["b:app", "b", "b.py", "b.py:app"])
def test_asked_for(tmp_path: Path, asked: str) -> None:
    project = make(tmp_path, {"a.py": APP, "b.py": APP}, app=asked)
    assert project.app is not None
    assert project.app.path == "b.py"


def test_asked_for_in_the_configuration(tmp_path: Path) -> None:
    files = {"a.py": APP, "b.py": APP, "pyproject.toml": '[tool.laterctl]\napp = "a:app"\n'}
    project = make(tmp_path, files)
    assert project.app is not None
    assert project.app.path == "a.py"
    chosen = make(tmp_path, {}, app="b:app").app
    assert chosen is not None
    assert chosen.path == "b.py"


def test_asked_for_something_that_is_not_there(tmp_path: Path) -> None:
    project = make(tmp_path, {"a.py": APP}, app="a:api")
    assert project.app is None
    (undecided,) = [item for item in project.undecided if item.code == "app-not-found"]
    assert "a:app" in undecided.message


def test_asked_for_a_factory(tmp_path: Path) -> None:
    files = {"a.py": "from fastapi import FastAPI\ndef make():\n    app = FastAPI()\n    return app\nx = make()\n"}
    project = make(tmp_path, files, app="a:make")
    assert project.app is not None
    assert (project.app.reference, project.app.factory) == ("a:make", True)


@pytest.mark.parametrize(
    "path", ["tests/app.py", "docs/example.py", "examples/main.py", "test_app.py", "{{cookiecutter.slug}}/main.py"]
)
def test_tests_docs_and_templates_are_passed_over(tmp_path: Path, path: str) -> None:
    project = make(tmp_path, {path: APP, "main.py": APP})
    assert project.app is not None
    assert (project.app.path, len(project.apps)) == ("main.py", 1)


def test_only_an_example(tmp_path: Path) -> None:
    project = make(tmp_path, {"examples/main.py": APP})
    assert codes(project) == ["app-aside"]
    assert "-C" not in project.undecided[0].hint
    asked = make(tmp_path, {}, app="examples.main:app")
    assert asked.app is not None


def test_examples_that_are_projects_are_named(tmp_path: Path) -> None:
    files = {f"examples/{name}/main.py": APP for name in "abc"}
    files |= {f"examples/{name}/requirements.txt": "fastapi\n" for name in "ab"}
    (undecided, _) = make(
        tmp_path, {**files, "pyproject.toml": "[project]\nname = 'x'\ndynamic = ['dependencies']\n"}
    ).undecided
    assert undecided.code == "app-aside"
    assert undecided.message.endswith("projects of their own: examples/a, examples/b")
    assert undecided.hint.startswith("laterctl -C examples/a COMMAND or laterctl -C examples/b COMMAND or ")


@pytest.mark.parametrize(
    "folder", [".venv/lib", "node_modules/x", "build/lib", "env/lib/site-packages/fastapi", "dist"]
)
def test_installed_and_generated_code_is_passed_over(tmp_path: Path, folder: str) -> None:
    assert codes(make(tmp_path, {f"{folder}/main.py": APP})) == ["no-app"]


def test_virtual_environment_by_its_mark(tmp_path: Path) -> None:
    assert codes(make(tmp_path, {"env/pyvenv.cfg": "", "env/lib/main.py": APP})) == ["no-app"]


def test_syntax_error_in_the_app_file(tmp_path: Path) -> None:
    project = make(tmp_path, {"main.py": "from fastapi import FastAPI\napp = FastAPI(\n"})
    (undecided,) = [item for item in project.undecided if item.code == "app-unreadable"]
    assert str(undecided.places[0]).startswith("main.py:2")


def test_syntax_error_elsewhere_is_a_note(tmp_path: Path) -> None:
    project = make(tmp_path, {"main.py": APP, "broken.py": "from fastapi import FastAPI\ndef (\n"})
    assert project.app is not None
    assert [str(note.place) for note in project.notes] == ["broken.py:2"]


def test_link_that_leaves_the_project(tmp_path: Path) -> None:
    outside = write(tmp_path / "other", {"main.py": APP})
    root = tmp_path / "project"
    root.mkdir()
    (root / "main.py").symlink_to(outside / "main.py")
    project = make(root, {})
    (undecided,) = [item for item in project.undecided if "app" in item.code]
    assert undecided.code == "app-unreadable"
    assert "leads out of the project" in undecided.message


def test_no_python_at_all(tmp_path: Path) -> None:
    project = make(tmp_path, {"README.md": "x"})
    assert codes(project) == ["no-app"]
    assert project.layout.package == ""
