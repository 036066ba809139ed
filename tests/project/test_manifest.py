"""The file that declares dependencies: where new ones go, what is locked, and what is not edited."""

from __future__ import annotations

from pathlib import Path

import pytest

from laterctl.dialects.manifest.base import Manifest
from laterctl.project.discover import Project, discover
from laterctl.project.facts import DependencyHome
from laterctl.project.requirements_file import requirement_name
from tests.project.making import make, write

PROJECT = """\
[project]
name = "x"
requires-python = ">=3.11"
dependencies = [
    "fastapi[standard]>=0.115",
    "httpx",
]
"""
POETRY = """\
[tool.poetry]
name = "x"

[tool.poetry.dependencies]
python = "^3.11"
fastapi = "^0.115"
redis = {version = "^5", extras = ["hiredis"]}
"""


def the_manifest(project: Project) -> Manifest:
    manifest = project.manifest
    assert manifest is not None, project.undecided
    return manifest


def refused(project: Project) -> tuple[str, list[str]]:
    """The code and the places of what was undecided about the manifest."""
    assert project.manifest is None
    (undecided,) = [item for item in project.undecided if "app" not in item.code]
    return undecided.code, [str(place) for place in undecided.places]


def array(*table: str) -> DependencyHome:
    return DependencyHome("array", "pyproject.toml", table)


def poetry(*table: str) -> DependencyHome:
    return DependencyHome("poetry", "pyproject.toml", ("tool", "poetry", *table))


def lines(path: str) -> DependencyHome:
    return DependencyHome("lines", path)


def test_pep621(tmp_path: Path) -> None:
    manifest = the_manifest(make(tmp_path, {"pyproject.toml": PROJECT}))
    assert (manifest.manager, manifest.path, manifest.requires_python) == ("pip", "pyproject.toml", ">=3.11")
    assert (manifest.runtime, manifest.dev) == (array("project", "dependencies"), array("dependency-groups", "dev"))
    assert [(entry.name, entry.text, str(entry.place)) for entry in manifest.requirements] == [
        ("fastapi", "fastapi[standard]>=0.115", "pyproject.toml:5"),
        ("httpx", "httpx", "pyproject.toml:6"),
    ]


@pytest.mark.parametrize(
    ("more", "manager"),
    [
        ("[tool.uv]\n", "uv"),
        ("[tool.pdm]\n", "pdm"),
        ('[build-system]\nbuild-backend = "pdm.backend"\n', "pdm"),
        ('[build-system]\nbuild-backend = "poetry.core.masonry.api"\n', "poetry"),
        ('[build-system]\nbuild-backend = "uv_build"\n', "uv"),
        ('[build-system]\nbuild-backend = "hatchling.build"\n', "pip"),
    ],
)
def test_manager_by_table_or_backend(tmp_path: Path, more: str, manager: str) -> None:
    assert the_manifest(make(tmp_path, {"pyproject.toml": PROJECT + more})).manager == manager


LOCKED = """\
[[package]]
name = "FastAPI"
version = "0.116.1"
source = { registry = "x" }

[[package]]
name = "typing_extensions"
version = "4.14.0"
"""


@pytest.mark.parametrize(("lock", "manager"), [("uv.lock", "uv"), ("poetry.lock", "poetry"), ("pdm.lock", "pdm")])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_locks(tmp_path: Path, lock: str, manager: str, ending: str) -> None:
    text = ("# generated\nversion = 1\n\n" + LOCKED).replace("\n", ending).encode()
    manifest = the_manifest(make(tmp_path, {"pyproject.toml": PROJECT, lock: text}))
    assert (manifest.manager, manifest.lock) == (manager, lock)
    assert dict(manifest.locked) == {"fastapi": "0.116.1", "typing-extensions": "4.14.0"}


def test_lock_is_read_lazily(tmp_path: Path) -> None:
    project = make(tmp_path, {"pyproject.toml": PROJECT, "uv.lock": LOCKED})
    locked = the_manifest(project).locked
    project = project.with_overlay({"uv.lock": LOCKED.replace("0.116.1", "0.117.0").encode()})
    assert (locked["fastapi"], the_manifest(project).locked["fastapi"]) == ("0.116.1", "0.117.0")


def test_the_lock_of_the_stated_manager_wins(tmp_path: Path) -> None:
    manifest = the_manifest(make(tmp_path, {"pyproject.toml": POETRY, "uv.lock": LOCKED, "poetry.lock": LOCKED}))
    assert (manifest.manager, manifest.lock) == ("poetry", "poetry.lock")


@pytest.mark.parametrize(
    ("more", "home"),
    [
        ('[dependency-groups]\ntest = ["pytest"]\n', array("dependency-groups", "test")),
        ('[dependency-groups]\ndocs = ["x"]\n', array("dependency-groups", "dev")),
        ('[dependency-groups]\ndev = ["ruff"]\ntest = ["pytest"]\n', array("dependency-groups", "test")),
        ('[dependency-groups]\ndev = ["pytest"]\ntest = ["pytest"]\n', array("dependency-groups", "dev")),
        ('[dependency-groups]\ndev = ["ruff"]\ndocs = ["pytest"]\n', array("dependency-groups", "dev")),
        ('[project.optional-dependencies]\ndev = ["pytest"]\n', array("project", "optional-dependencies", "dev")),
        ('[tool.uv]\ndev-dependencies = ["pytest"]\n', array("tool", "uv", "dev-dependencies")),
        ('[tool.pdm.dev-dependencies]\ntest = ["pytest"]\n', array("tool", "pdm", "dev-dependencies", "test")),
        ("[tool.poetry]\n", poetry("group", "dev", "dependencies")),
    ],
)
def test_dev_homes(tmp_path: Path, more: str, home: DependencyHome) -> None:
    assert the_manifest(make(tmp_path, {"pyproject.toml": PROJECT + more})).dev == home


@pytest.mark.parametrize(
    ("files", "name", "home"),
    [
        ({"pyproject.toml": PROJECT}, "load", array("dependency-groups", "load")),
        (
            {"pyproject.toml": PROJECT + "[dependency-groups]\nLoad_Test = []\n"},
            "load-test",
            array("dependency-groups", "Load_Test"),
        ),
        (
            {"pyproject.toml": PROJECT + "[project.optional-dependencies]\nload = []\n"},
            "load",
            array("project", "optional-dependencies", "load"),
        ),
        (
            {"pyproject.toml": PROJECT + "[tool.pdm.dev-dependencies]\nload = []\n"},
            "load",
            array("tool", "pdm", "dev-dependencies", "load"),
        ),
        (
            {"pyproject.toml": PROJECT + "[tool.uv]\ndev-dependencies = []\n"},
            "load",
            array("dependency-groups", "load"),
        ),
        ({"pyproject.toml": PROJECT + "[dependency-groups]\ntest = []\n"}, "dev", array("dependency-groups", "test")),
        ({"pyproject.toml": POETRY}, "load", poetry("group", "load", "dependencies")),
        (
            {"pyproject.toml": POETRY + '[tool.poetry.group.Load.dependencies]\nx = "*"\n'},
            "load",
            poetry("group", "Load", "dependencies"),
        ),
        ({"requirements.txt": "fastapi"}, "load", lines("requirements-load.txt")),
        ({"requirements.in": "fastapi", "requirements_load.in": ""}, "load", lines("requirements_load.in")),
        ({"requirements/base.txt": "fastapi"}, "load", lines("requirements/load.txt")),
    ],
)
def test_homes_of_any_group(tmp_path: Path, files: dict[str, str], name: str, home: DependencyHome) -> None:
    project = make(tmp_path, dict(files))
    assert the_manifest(project).group(project.tree, name) == home


def test_poetry(tmp_path: Path) -> None:
    manifest = the_manifest(make(tmp_path, {"pyproject.toml": POETRY}))
    assert (manifest.manager, manifest.requires_python) == ("poetry", "^3.11")
    assert (manifest.runtime, manifest.dev) == (poetry("dependencies"), poetry("group", "dev", "dependencies"))
    assert [(entry.name, entry.text, entry.place.line) for entry in manifest.requirements] == [
        ("fastapi", "fastapi ^0.115", 6),
        ("redis", "redis ^5", 7),
    ]


@pytest.mark.parametrize(
    ("more", "home"),
    [
        ('[tool.poetry.dev-dependencies]\npytest = "*"\n', poetry("dev-dependencies")),
        ('[tool.poetry.group.test.dependencies]\npytest = "*"\n', poetry("group", "test", "dependencies")),
    ],
)
def test_poetry_dev_homes(tmp_path: Path, more: str, home: DependencyHome) -> None:
    assert the_manifest(make(tmp_path, {"pyproject.toml": POETRY + more})).dev == home


def test_poetry_2_uses_the_standard_table(tmp_path: Path) -> None:
    text = PROJECT + '[tool.poetry]\npackages = []\n[tool.poetry.group.dev.dependencies]\npytest = "^8"\n'
    manifest = the_manifest(make(tmp_path, {"pyproject.toml": text}))
    assert (manifest.manager, manifest.runtime) == ("poetry", array("project", "dependencies"))
    assert manifest.dev == poetry("group", "dev", "dependencies")


@pytest.mark.parametrize(
    ("text", "home"),
    [
        (
            '[project]\nname = "x"\ndependencies = []\n[project.optional-dependencies]\nserver = ["fastapi>=0.1"]\n',
            array("project", "optional-dependencies", "server"),
        ),
        (
            '[project]\nname = "x"\ndependencies = []\n[dependency-groups]\nserver = ["fastapi"]\n',
            array("dependency-groups", "server"),
        ),
        (
            '[tool.poetry.dependencies]\npython = "*"\n[tool.poetry.group.api.dependencies]\nfastapi = "*"\n',
            poetry("group", "api", "dependencies"),
        ),
    ],
)
def test_fastapi_only_in_an_extra(tmp_path: Path, text: str, home: DependencyHome) -> None:
    assert the_manifest(make(tmp_path, {"pyproject.toml": text})).runtime == home


def test_fastapi_in_the_main_list_and_in_an_extra(tmp_path: Path) -> None:
    manifest = the_manifest(
        make(tmp_path, {"pyproject.toml": PROJECT + '[dependency-groups]\ndev = ["fastapi[all]"]\n'})
    )
    assert manifest.runtime == array("project", "dependencies")
    assert [str(place) for place in manifest.others] == ["pyproject.toml:9"]


def test_fastapi_nowhere(tmp_path: Path) -> None:
    manifest = the_manifest(make(tmp_path, {"pyproject.toml": '[project]\nname = "x"\n'}))
    assert manifest.runtime == array("project", "dependencies")


def test_optional_in_poetry_is_refused(tmp_path: Path) -> None:
    text = '[tool.poetry.dependencies]\nfastapi = {version = "*", optional = true}\n'
    text += '[tool.poetry.extras]\napi = ["fastapi"]\n'
    code, _ = refused(make(tmp_path, {"pyproject.toml": text}))
    assert code == "manifest-unsupported"


def test_dynamic_dependencies_are_refused(tmp_path: Path) -> None:
    code, _ = refused(make(tmp_path, {"pyproject.toml": '[project]\nname = "x"\ndynamic = ["dependencies"]\n'}))
    assert code == "manifest-unsupported"


def test_dynamic_dependencies_in_a_requirements_file(tmp_path: Path) -> None:
    files = {"pyproject.toml": '[project]\nname = "x"\ndynamic = ["dependencies"]\n', "requirements.txt": "fastapi\n"}
    assert the_manifest(make(tmp_path, files)).runtime == lines("requirements.txt")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b'[project]\nname = "x"\nbad = = 1\n', 3),
        (b'[project]\nname = "x', 2),
        (b"a = 1\na = 2\n", 2),
        (b'x = "\xff"\n', 1),
    ],
)
def test_broken_toml(tmp_path: Path, data: bytes, line: int) -> None:
    code, places = refused(make(tmp_path, {"pyproject.toml": data}))
    assert (code, places) == ("encoding" if b"\xff" in data else "toml", [f"pyproject.toml:{line}"])


def test_byte_order_mark_and_crlf(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + PROJECT.replace("\n", "\r\n").encode()
    manifest = the_manifest(make(tmp_path, {"pyproject.toml": data}))
    assert manifest.requirements[0].place.line == 5


# Requirements files


def test_requirements(tmp_path: Path) -> None:
    text = (
        "# comment\n-r other.txt\n--index-url https://example.org\n"
        "fastapi[standard] >= 0.115 ; python_version > '3.8'  # web\n"
        "uvicorn==0.30 \\\n    --hash=sha256:00\ngit+https://example.org/x\n-e .\nhttpx @ https://example.org/h.whl\nPyJWT~=2.8"
    )
    manifest = the_manifest(make(tmp_path, {"requirements.txt": text}))
    assert (manifest.manager, manifest.runtime, manifest.dev) == (
        "pip",
        lines("requirements.txt"),
        lines("requirements-dev.txt"),
    )
    assert [(entry.name, entry.place.line) for entry in manifest.requirements] == [
        ("fastapi", 4),
        ("uvicorn", 5),
        ("httpx", 9),
        ("pyjwt", 10),
    ]
    assert manifest.requirements[0].text == "fastapi[standard] >= 0.115 ; python_version > '3.8'"
    assert manifest.requirements[1].text == "uvicorn==0.30"


@pytest.mark.parametrize(
    ("files", "runtime", "dev"),
    [
        ({"requirements.txt": "fastapi", "requirements-dev.txt": "pytest"}, "requirements.txt", "requirements-dev.txt"),
        (
            {"requirements.in": "fastapi", "requirements.txt": "# autogenerated by pip-compile\nfastapi==1"},
            "requirements.in",
            "requirements-dev.in",
        ),
        (
            {"requirements/base.txt": "fastapi", "requirements/dev.txt": "-r base.txt\nfastapi\npytest"},
            "requirements/base.txt",
            "requirements/dev.txt",
        ),
        (
            {"requirements/prod.txt": "fastapi", "requirements/test.txt": "fastapi"},
            "requirements/prod.txt",
            "requirements/test.txt",
        ),
        (
            {"requirements.txt": "-r requirements/base.txt", "requirements/base.txt": "fastapi"},
            "requirements/base.txt",
            "requirements/dev.txt",
        ),
        (
            {"requirements.txt": "httpx", "dev-requirements.txt": "fastapi"},
            "dev-requirements.txt",
            "requirements-dev.txt",
        ),
        ({"requirements.txt": "flask"}, "requirements.txt", "requirements-dev.txt"),
    ],
)
def test_several_requirements_files(tmp_path: Path, files: dict[str, str], runtime: str, dev: str) -> None:
    manifest = the_manifest(make(tmp_path, dict(files)))
    assert (manifest.runtime.path, manifest.dev.path) == (runtime, dev)


def test_pyproject_with_tool_tables_only(tmp_path: Path) -> None:
    files = {"pyproject.toml": "[tool.ruff]\nline-length = 100\n", "requirements.txt": "fastapi\n"}
    assert the_manifest(make(tmp_path, files)).runtime == lines("requirements.txt")


def test_both_list_fastapi_the_project_file_wins(tmp_path: Path) -> None:
    manifest = the_manifest(make(tmp_path, {"pyproject.toml": PROJECT, "requirements.txt": "fastapi\n"}))
    assert manifest.runtime == array("project", "dependencies")
    assert [str(place) for place in manifest.others] == ["requirements.txt:1"]


def test_both_list_fastapi_and_the_container_installs_the_requirements(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": PROJECT,
        "requirements.txt": "fastapi\n",
        "Dockerfile": "RUN pip install -r /app/requirements.txt\n",
    }
    manifest = the_manifest(make(tmp_path, files))
    assert manifest.runtime == lines("requirements.txt")
    assert [str(place) for place in manifest.others] == ["pyproject.toml:5"]
    locked = the_manifest(make(tmp_path, {"uv.lock": LOCKED}))
    assert locked.runtime == array("project", "dependencies")


def test_dynamic_dependencies_in_a_file_of_another_name(tmp_path: Path) -> None:
    text = '[project]\nname = "x"\ndynamic = ["dependencies"]\n'
    text += '[tool.setuptools.dynamic]\ndependencies = {file = ["deps.txt", "no.txt"]}\n'
    assert the_manifest(make(tmp_path, {"pyproject.toml": text, "deps.txt": "fastapi\n"})).runtime == lines("deps.txt")


def test_setup_py_that_is_application_code_is_no_manifest(tmp_path: Path) -> None:
    files = {"setup.py": "from fastapi import FastAPI\n", "requirements.txt": "fastapi\n"}
    assert the_manifest(make(tmp_path, files)).runtime == lines("requirements.txt")


@pytest.mark.parametrize(
    "data",
    ["fastapi\r\n".encode("utf-32"), "fastapi\r\n".encode("utf-16-le"), b"fastapi\n# caf\xe9\n"],
)
def test_requirements_in_another_encoding_are_reported(tmp_path: Path, data: bytes) -> None:
    code, places = refused(make(tmp_path, {"requirements.txt": data}))
    assert (code, places) == ("encoding", [f"requirements.txt:{2 if b'caf' in data else 1}"])


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("setup.py", "from setuptools import setup\nsetup(install_requires=['fastapi'])\n", 2),
        ("setup.cfg", "[metadata]\nname = fastapi-shop\n[options]\ninstall_requires = fastapi; uvicorn\n", 4),
        ("setup.cfg", "[options]\ninstall_requires =\n    fastapi\n  uvicorn\n", 3),
        ("environment.yml", "dependencies:\n  - fastapi\n", 2),
    ],
)
def test_files_that_are_not_edited_are_named(tmp_path: Path, name: str, text: str, line: int) -> None:
    project = make(tmp_path, {name: text, "main.py": "from fastapi import FastAPI\napp = FastAPI()\n"})
    code, places = refused(project)
    assert (code, places) == ("manifest-unsupported", [f"{name}:{line}"])
    (undecided,) = project.undecided
    assert name in undecided.message


def test_nothing_declares_dependencies(tmp_path: Path) -> None:
    assert refused(make(tmp_path, {"main.py": ""})) == ("no-manifest", [])


def test_link_that_leaves_the_project(tmp_path: Path) -> None:
    write(tmp_path / "other", {"pyproject.toml": PROJECT})
    root = tmp_path / "root"
    root.mkdir()
    (root / "pyproject.toml").symlink_to("../other/pyproject.toml")
    code, places = refused(make(root, {}))
    assert (code, places) == ("outside", ["pyproject.toml:1"])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Foo_Bar.baz>=1", "foo-bar-baz"),
        ("fastapi[all]", "fastapi"),
        ("x ; python_version < '3'", "x"),
        ("fastapi (>=1)", "fastapi"),
        ("-e .", ""),
        ("https://example.org/x.whl", ""),
        ("./local", ""),
    ],
)
def test_requirement_names(text: str, name: str) -> None:
    assert requirement_name(text) == name


CFG = """\
[metadata]
name = fastapi-shop

[options]
python_requires = >=3.11
install_requires =
    anyio
    FastAPI>=0.115

[options.extras_require]
server =
    uvicorn
test =
    pytest
"""


def test_setup_cfg(tmp_path: Path) -> None:
    project = make(tmp_path, {"setup.cfg": CFG, "setup.py": "from setuptools import setup\nsetup()\n"})
    manifest = the_manifest(project)
    assert (manifest.manager, manifest.path, manifest.requires_python) == ("pip", "setup.cfg", ">=3.11")
    assert manifest.runtime == DependencyHome("cfg", "setup.cfg", ("options", "install_requires"))
    assert manifest.dev == DependencyHome("cfg", "setup.cfg", ("options.extras_require", "test"))
    assert [(item.name, item.group, item.place.line) for item in manifest.requirements] == [
        ("anyio", "", 7),
        ("fastapi", "", 8),
        ("uvicorn", "server", 12),
        ("pytest", "test", 14),
    ]
    assert [str(item.place) for item in manifest.evidence] == ["setup.cfg:8"]
    assert manifest.group(project.tree, "server").table == ("options.extras_require", "server")
    assert manifest.group(project.tree, "load") == lines("requirements-load.txt")


def test_setup_cfg_with_fastapi_in_an_extra(tmp_path: Path) -> None:
    text = CFG.replace("    FastAPI>=0.115\n", "").replace("    uvicorn\n", "    fastapi\n")
    manifest = the_manifest(make(tmp_path, {"setup.cfg": text, "dev-requirements.txt": "black\n"}))
    assert manifest.runtime == DependencyHome("cfg", "setup.cfg", ("options.extras_require", "server"))
    without = text.replace("test =\n    pytest\n", "")
    manifest = the_manifest(make(tmp_path, {"setup.cfg": without}))
    assert manifest.dev == DependencyHome("lines", "dev-requirements.txt")
    (tmp_path / "dev-requirements.txt").unlink()
    assert the_manifest(make(tmp_path, {})).dev == DependencyHome("lines", "requirements-dev.txt")


def test_what_setup_py_passes_itself_wins_over_setup_cfg(tmp_path: Path) -> None:
    setup = "from setuptools import setup\nsetup(\n    name='fastapi-shop',\n    install_requires=['x',\n 'fastapi'])\n"
    code, places = refused(make(tmp_path, {"setup.cfg": CFG, "setup.py": setup}))
    assert (code, places) == ("manifest-unsupported", ["setup.cfg:8", "setup.py:5"])


def test_setup_cfg_beside_requirements(tmp_path: Path) -> None:
    files = {"setup.cfg": CFG, "requirements.txt": "fastapi==0.115.0\n"}
    manifest = the_manifest(make(tmp_path, files))
    assert (manifest.path, [str(place) for place in manifest.others]) == ("setup.cfg", ["requirements.txt:1"])
    served = make(tmp_path, {"Dockerfile": "RUN pip install -r requirements.txt\n"})
    assert the_manifest(served).path == "requirements.txt"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_requirements_in_utf_16_with_their_mark(tmp_path: Path, encoding: str) -> None:
    data = "\ufefffastapi>=0.115\r\n# Jørgen's\r\nuvicorn\r\n".encode(encoding)
    manifest = the_manifest(make(tmp_path, {"requirements.txt": data}))
    assert [(item.name, item.place.line) for item in manifest.requirements] == [("fastapi", 1), ("uvicorn", 3)]


# Other manifests

PIPFILE = (
    '[packages]\nfastapi = "*"\nredis = {version = "==4.6", extras = ["hiredis"]}\n\n[dev-packages]\npytest = "*"\n'
)
CONDA = """\
name: shop
dependencies:
  - python=3.12
  - conda-forge::fastapi>=0.115  # the web
  - numpy 1.26
  - pip:
      - pydantic-settings>=2.6
      - "httpx"
prefix: /opt
"""


def test_pipfile(tmp_path: Path) -> None:
    manifest = the_manifest(make(tmp_path, {"Pipfile": PIPFILE + '\n[requires]\npython_version = "3.12"\n'}))
    assert (manifest.manager, manifest.requires_python) == ("pipenv", "==3.12.*")
    assert manifest.runtime == DependencyHome("poetry", "Pipfile", ("packages",))
    assert manifest.dev == DependencyHome("poetry", "Pipfile", ("dev-packages",))
    assert [(item.text, item.group, item.place.line) for item in manifest.requirements] == [
        ("fastapi", "", 2),
        ("redis ==4.6", "", 3),
        ("pytest", "dev", 6),
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_conda_s_list_for_pip_is_the_manifest(tmp_path: Path, newline: str) -> None:
    manifest = the_manifest(make(tmp_path, {"environment.yml": CONDA.replace("\n", newline).encode()}))
    assert (manifest.manager, manifest.requires_python) == ("conda", "==3.12.*")
    assert manifest.runtime == manifest.dev == DependencyHome("cfg", "environment.yml", ("dependencies", "pip"))
    assert [(item.text, item.place.line) for item in manifest.requirements] == [
        ("fastapi>=0.115", 4),
        ("numpy==1.26.*", 5),
        ("pydantic-settings>=2.6", 7),
        ("httpx", 8),
    ]


def test_conda_without_a_list_for_pip_says_what_to_do(tmp_path: Path) -> None:
    project = make(tmp_path, {"environment.yml": "dependencies:\n  - fastapi\n"})
    assert refused(project)[0] == "manifest-unsupported"
    (undecided,) = [item for item in project.undecided if "app" not in item.code]
    assert "- pip:" in undecided.hint
    assert make(tmp_path, {"requirements.txt": "fastapi\n"}).manifest is not None, "the other way works"


# What limits versions


@pytest.mark.parametrize(
    "files",
    [
        {"requirements.txt": "-c limits.txt\nfastapi\n", "limits.txt": "redis==4.6\n"},
        {"requirements.txt": "--constraint=limits.txt\nfastapi\n", "limits.txt": "redis==4.6\n"},
        {
            "requirements/prod.txt": "-r base.txt\nfastapi\n",
            "requirements/base.txt": "-c ../limits.txt\n",
            "limits.txt": "redis==4.6\n",
        },
        {
            "requirements.txt": "fastapi\n",
            "Dockerfile": "RUN pip install -r requirements.txt -c limits.txt\n",
            "limits.txt": "redis==4.6\n",
        },
        {"pyproject.toml": PROJECT + '[tool.uv]\nconstraint-dependencies = ["redis==4.6"]\n', "uv.lock": ""},
        {"pyproject.toml": PROJECT + '[tool.pdm.resolution.overrides]\nredis = "4.6"\n', "pdm.lock": ""},
    ],
)
def test_constraints(tmp_path: Path, files: dict[str, str]) -> None:
    (limit,) = the_manifest(make(tmp_path, files)).constraints
    assert (limit.name, limit.text) == ("redis", "redis==4.6")
    path = next(path for path in ("limits.txt", "pyproject.toml") if path in files)
    assert files[path].splitlines()[limit.place.line - 1].startswith(("redis", "constraint"))
    assert limit.place.path == path


@pytest.mark.parametrize(
    ("files", "place", "range_"),
    [
        ({"requirements.txt": "fastapi\n", "pyproject.toml": '[project]\nname = "x"\nrequires-python = ">=3.8"\n'},
         "pyproject.toml:3", ">=3.8"),
        ({"requirements.txt": "fastapi\n", "pyproject.toml": '[tool.poetry.dependencies]\npython = "~3.9"\n'},
         "pyproject.toml:2", "~3.9"),
        ({"setup.cfg": "[options]\npython_requires = >=3.8\ninstall_requires =\n    fastapi\n"}, "setup.cfg:2", ">=3.8"),
        ({"pyproject.toml": POETRY}, "pyproject.toml:5", "^3.11"),
        ({"environment.yml": CONDA}, "environment.yml:3", "==3.12.*"),
    ],
)  # fmt: skip
def test_the_range_of_python_and_where_it_stands(
    tmp_path: Path, files: dict[str, str], place: str, range_: str
) -> None:
    manifest = the_manifest(make(tmp_path, files))
    assert (str(manifest.python_place), manifest.requires_python) == (place, range_)


# Compiled files


def test_a_file_compiled_from_pyproject_pins_for_it(tmp_path: Path) -> None:
    header = "# This file was autogenerated by uv via the following command:\n#    uv pip compile pyproject.toml\n"
    files = {
        "pyproject.toml": PROJECT,
        "requirements.txt": header + "fastapi==0.100.0\n    # via x (pyproject.toml)\n",
        "Dockerfile": "RUN pip install -r requirements.txt\n",
    }
    manifest = the_manifest(make(tmp_path, files))
    assert manifest.path == "pyproject.toml"
    assert [(item.text, str(item.place)) for item in manifest.pinned] == [("fastapi==0.100.0", "requirements.txt:3")]
    assert manifest.compiled["requirements.txt"].sources == ("pyproject.toml",)


def test_a_command_given_in_another_folder_is_known_by_its_files(tmp_path: Path) -> None:
    header = "#\n# This file is autogenerated by pip-compile\n# To update, run:\n#\n#    pip-compile prod.in\n#\n"
    files = {"requirements/prod.in": "fastapi\n", "requirements/prod.txt": header + "fastapi==0.120.0\n"}
    manifest = the_manifest(make(tmp_path, files))
    assert manifest.path == "requirements/prod.in"
    found = manifest.compiled["requirements/prod.txt"]
    assert (found.sources, found.command, found.told) == (("requirements/prod.in",), (), "pip-compile prod.in")


# Development


@pytest.mark.parametrize(
    "path",
    ["requirements_dev.txt", "requirements/requirements.dev.txt", "requirements-test.in", "dev-requirements.txt"],
)
def test_development_goes_into_the_file_that_is_there(tmp_path: Path, path: str) -> None:
    manifest = the_manifest(make(tmp_path, {"pyproject.toml": PROJECT, path: "pytest\n"}))
    assert manifest.dev == lines(path)
    assert [(item.name, item.group) for item in manifest.requirements][-1] == ("pytest", "dev")
    grouped = PROJECT + '\n[dependency-groups]\ndev = ["pytest"]\n'
    assert the_manifest(make(tmp_path, {"pyproject.toml": grouped})).dev == array("dependency-groups", "dev")


MEMBER = '[project]\nname = "shop"\nversion = "1"\ndependencies = ["shared", "uvicorn"]\n'
SHARED = '[project]\nname = "Shared"\nversion = "1"\ndependencies = ["fastapi>=0.115", "pydantic>=2"]\n'
WORKSPACE = '[tool.uv.workspace]\nmembers = ["packages/*"]\n'
BY_WORKSPACE = "[tool.uv.sources]\nshared = {workspace = true}\n"
POETRY_MEMBER = '[tool.poetry]\nname = "shop"\n\n[tool.poetry.dependencies]\npython = "^3.12"\n'
SETUP = "from setuptools import setup\n\nREQUIRED = ['fastapi>=0.115', 'pydantic']\nsetup(name='x', install_requires=REQUIRED)\n"
FASTAPI = ("fastapi>=0.115", "packages/shared/pyproject.toml:4")
SIBLINGS: dict[str, tuple[str, dict[str, str], tuple[str, str]]] = {
    "workspace": (
        "packages/shop",
        {
            "pyproject.toml": WORKSPACE + BY_WORKSPACE,
            "packages/shop/pyproject.toml": MEMBER,
            "packages/shared/pyproject.toml": SHARED,
        },
        FASTAPI,
    ),
    "workspace, said by the member": (
        "packages/shop",
        {
            "pyproject.toml": WORKSPACE,
            "packages/shop/pyproject.toml": MEMBER + BY_WORKSPACE,
            "packages/shared/pyproject.toml": SHARED,
        },
        FASTAPI,
    ),
    "workspace, through another": (
        "packages/shop",
        {
            "pyproject.toml": WORKSPACE + BY_WORKSPACE + "base = {workspace = true}\n",
            "packages/shop/pyproject.toml": MEMBER.replace("shared", "base"),
            "packages/base/pyproject.toml": MEMBER.replace("shop", "base"),
            "packages/shared/pyproject.toml": SHARED,
        },
        FASTAPI,
    ),
    "workspace, its root": (
        "",
        {
            "pyproject.toml": MEMBER + WORKSPACE + BY_WORKSPACE,
            "packages/shared/pyproject.toml": SHARED,
        },
        FASTAPI,
    ),
    "uv, a path": (
        "shop",
        {
            "shop/pyproject.toml": MEMBER
            + '[tool.uv.sources]\nshared = {path = "../packages/shared", editable = true}\n',
            "packages/shared/pyproject.toml": SHARED,
        },
        FASTAPI,
    ),
    "uv, an extra": (
        "",
        {
            "pyproject.toml": MEMBER.replace("shared", "shared[web]")
            + '[tool.uv.sources]\nshared = {path = "packages/shared"}\n',
            "packages/shared/pyproject.toml": SHARED.replace(
                "dependencies = [", "dependencies = []\n[project.optional-dependencies]\nweb = ["
            ),
        },
        ("fastapi>=0.115", "packages/shared/pyproject.toml:6"),
    ),
    "poetry": (
        "shop",
        {
            "shop/pyproject.toml": POETRY_MEMBER + 'shared = {path = "../packages/shared", develop = true}\n',
            "packages/shared/pyproject.toml": POETRY_MEMBER + 'fastapi = "^0.115"\n',
        },
        ("fastapi ^0.115", "packages/shared/pyproject.toml:6"),
    ),
    "pdm": (
        "shop",
        {
            "shop/pyproject.toml": MEMBER.replace("shared", "shared @ file:///${PROJECT_ROOT}/../packages/shared")
            + "[tool.pdm]\n",
            "packages/shared/pyproject.toml": SHARED,
        },
        FASTAPI,
    ),
    "requirements": (
        "",
        {"requirements.txt": "-e ./packages/shared\nuvicorn\n", "packages/shared/pyproject.toml": SHARED},
        FASTAPI,
    ),
    "requirements, no option": (
        "",
        {"requirements.txt": "uvicorn\n./packages/shared  # ours\n", "packages/shared/pyproject.toml": SHARED},
        FASTAPI,
    ),
    "requirements, an extra": (
        "",
        {
            "requirements.txt": "--editable=packages/shared[web]\n",
            "packages/shared/setup.cfg": "[options]\ninstall_requires =\n    uvicorn\n\n"
            "[options.extras_require]\nweb =\n    fastapi>=0.115\n",
        },
        ("fastapi>=0.115", "packages/shared/setup.cfg:7"),
    ),
    "requirements, included": (
        "shop",
        {
            "shop/requirements.txt": "-r requirements/base.txt\nuvicorn\n",
            "shop/requirements/base.txt": "shared @ file:../packages/shared\n",
            "packages/shared/pyproject.toml": SHARED,
        },
        FASTAPI,
    ),
    "requirements, the project itself": (
        "",
        {"requirements.txt": "-e .\n", "setup.py": SETUP},
        ("fastapi>=0.115", "setup.py:3"),
    ),
    "requirements, files that setup.py reads": (
        "",
        {
            "requirements.txt": "-e ./packages/shared\n",
            "packages/shared/setup.py": "from setuptools import setup\n\nsetup(install_requires=list(open('needs.txt')))\n",
            "packages/needs.txt": "fastapi>=0.115\n",
        },
        ("fastapi>=0.115", "packages/needs.txt:1"),
    ),
}


@pytest.mark.parametrize("name", SIBLINGS)
def test_what_a_project_of_the_same_repository_brings(name: str, tmp_path: Path) -> None:
    folder, files, (text, place) = SIBLINGS[name]
    write(tmp_path, {".git/HEAD": "", **files})
    manifest = the_manifest(discover(tmp_path / folder))
    (fastapi,) = [item for item in manifest.brought if item.name == "fastapi"]
    assert fastapi.text == text
    found = tmp_path / folder / fastapi.place.path
    assert f"{found.resolve().relative_to(tmp_path).as_posix()}:{fastapi.place.line}" == place
    assert manifest.runtime.path in files or f"{folder}/{manifest.runtime.path}" in files
    assert all(item.home is None or item.home.path != manifest.runtime.path for item in manifest.brought)


@pytest.mark.parametrize(
    "files",
    {
        "outside of the repository": {".git/HEAD": "", "requirements.txt": "-e ../shared\n"},
        "not a member": {"../.git/HEAD": "", "../pyproject.toml": '[tool.uv.workspace]\nmembers = ["other/*"]\n', "pyproject.toml": MEMBER + BY_WORKSPACE},
        "for development only": {".git/HEAD": "", "requirements.txt": "-e lib\n", "lib/pyproject.toml": MEMBER + "[dependency-groups]\ndev = ['fastapi']\n"},
        "a distribution called like a folder": {".git/HEAD": "", "requirements.txt": "lib\n", "lib/pyproject.toml": SHARED},
        "not TOML": {".git/HEAD": "", "requirements.txt": "-e ./lib\n", "lib/pyproject.toml": "[project\n"},
        "a pattern that is none": {".git/HEAD": "", "pyproject.toml": MEMBER + '[tool.uv.workspace]\nmembers = ["/x", "..", "a**", "", 1]\n' + BY_WORKSPACE},
        "a path with a NUL": {".git/HEAD": "", "pyproject.toml": MEMBER + '[tool.uv.sources]\nshared = {path = "a\\u0000b"}\n'},
        "no table": {".git/HEAD": "", "pyproject.toml": MEMBER + '[tool.uv]\nsources = 1\nworkspace = 2\n'},
        "itself": {"../.git/HEAD": "", "../pyproject.toml": WORKSPACE, "pyproject.toml": MEMBER + "[tool.uv.sources]\nshared = {path = '.'}\n"},
    }.values(),
)  # fmt: skip
def test_what_no_project_of_the_repository_brings(files: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path, {"shared/pyproject.toml": SHARED})
    manifest = the_manifest(make(tmp_path / "shop", files))
    assert "fastapi" not in {item.name for item in manifest.brought}


@pytest.mark.parametrize(
    ("files", "runtime"),
    [
        ({"infra/requirements.txt": "fastapi\n", "pyproject.toml": "[tool.ruff]\n"}, "infra/requirements.txt"),
        ({"deploy/requirements/base.in": "fastapi\n", "deploy/requirements.txt": "-r requirements/base.in\n"},
         "deploy/requirements/base.in"),
    ],
)  # fmt: skip
def test_requirements_in_a_folder_without_code(tmp_path: Path, files: dict[str, str], runtime: str) -> None:
    project = make(tmp_path, {**files, "src/main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n"})
    assert the_manifest(project).runtime == lines(runtime)


def test_requirements_beside_code_of_a_folder_are_that_folder_s(tmp_path: Path) -> None:
    project = make(tmp_path, {"tools/requirements.txt": "fastapi\n", "tools/run.py": "", "main.py": ""})
    assert refused(project)[0] == "no-manifest"
