"""Dependency-injector containers: which class takes new providers, and how the instance is reached."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from laterctl.dialects.providers.container import Container
from laterctl.project.discover import Project
from laterctl.project.statements import body_at
from laterctl.render import Import
from tests.project.making import make

HEAD = "from dependency_injector import containers, providers\n"
CLASS = HEAD + "class Container(containers.DeclarativeContainer):\n    config = providers.Configuration()\n"
MAIN = "from fastapi import FastAPI\n{}\napp = FastAPI()\n"


def the_container(project: Project) -> Container:
    container = project.container
    assert container is not None, project.undecided
    return container


def test_class_and_instance_in_one_module(tmp_path: Path) -> None:
    files = {
        "app/container.py": CLASS
        + "    '''text'''\n    db: object = providers.Singleton(dict)\n    limit = 3\ncontainer = Container()\n",
        "app/main.py": MAIN.format("from app.container import container"),
    }
    project = make(tmp_path, files)
    container = the_container(project)
    assert (container.path, container.class_name, container.editable) == ("app/container.py", "Container", True)
    assert container.providers == {"config": 0, "db": 2}
    assert container.access is not None
    assert (container.access.text, container.access.imports) == ("container", (Import("app.container", "container"),))
    body = body_at(project.tree.python(container.path).tree, container.body)
    assert ast.unparse(body[0]).startswith("config = ")


@pytest.mark.parametrize(
    "source",
    [
        "import dependency_injector.containers as c\nclass Box(c.DeclarativeContainer): ...\nbox = Box()\n",
        "from dependency_injector.containers import DeclarativeContainer as D\nclass Box(D): ...\nbox = Box()\n",
        HEAD + "class Base(containers.DeclarativeContainer): ...\nclass Box(Base): ...\nbox = Box()\n",
    ],
)
def test_ways_to_write_the_class(tmp_path: Path, source: str) -> None:
    container = the_container(make(tmp_path, {"box.py": source, "main.py": MAIN.format("import box")}))
    assert container.class_name == "Box"
    assert container.access is not None


def test_imported_singletons_are_providers(tmp_path: Path) -> None:
    source = (
        "from dependency_injector.containers import DeclarativeContainer\n"
        "from dependency_injector.providers import Singleton as S\n"
        "class Box(DeclarativeContainer):\n    a = S(dict)\n    b = dict()\n    c = S(dict).provided\nbox = Box()\n"
    )
    container = the_container(make(tmp_path, {"box.py": source, "main.py": MAIN.format("import box")}))
    assert container.providers == {"a": 0}


@pytest.mark.parametrize(
    ("main", "reason"),
    [
        ("from box import Container\ncontainer = Container()", "application module"),
        ("from box import Container\napp = FastAPI()\napp.container = Container()", "held as app.container"),
        ("from box import Container\ndef start():\n    container = Container()", "made inside start"),
        ("import box", "no instance"),
    ],
)
def test_instances_that_others_cannot_import(tmp_path: Path, main: str, reason: str) -> None:
    container = the_container(make(tmp_path, {"box.py": CLASS, "main.py": MAIN.format(main)}))
    assert container.access is None
    assert reason in container.reason
    assert container.editable


def test_nested_containers_take_the_outer_one(tmp_path: Path) -> None:
    files = {
        "box.py": CLASS.replace("Container(", "Gateways(", 1)
        + "class Application(containers.DeclarativeContainer):\n"
        + "    config = providers.Configuration()\n    gateways = providers.Container(Gateways, config=config)\n"
        + "box = Application()\n",
        "main.py": MAIN.format("import box"),
    }
    container = the_container(make(tmp_path, files))
    assert (container.class_name, container.providers) == ("Application", {"config": 0, "gateways": 1})


def test_wiring_configuration_is_no_provider(tmp_path: Path) -> None:
    source = (
        HEAD + "class Box(containers.DeclarativeContainer):\n"
        "    wiring_config = containers.WiringConfiguration(modules=['app'])\n"
        "    a = providers.Factory(dict)\nbox = Box()\n"
    )
    assert the_container(make(tmp_path, {"box.py": source, "main.py": MAIN.format("import box")})).providers == {"a": 1}


def test_overridden_container(tmp_path: Path) -> None:
    source = (
        CLASS
        + "@containers.override(Container)\nclass Patch(containers.DeclarativeContainer): ...\nbox = Container()\n"
    )
    container = the_container(make(tmp_path, {"box.py": source, "main.py": MAIN.format("import box")}))
    assert (container.class_name, container.editable) == ("Container", False)
    assert "override" in container.reason


def test_dynamic_container(tmp_path: Path) -> None:
    files = {"box.py": HEAD + "box = containers.DynamicContainer()\n", "main.py": MAIN.format("import box")}
    container = the_container(make(tmp_path, files))
    assert (container.editable, container.access) == (False, None)
    assert "DynamicContainer" in container.reason


def test_several_containers(tmp_path: Path) -> None:
    files = {
        "one.py": CLASS + "one = Container()\n",
        "two.py": CLASS.replace("Container(", "Other(", 1) + "two = Other()\n",
        "main.py": MAIN.format("import one\nimport two"),
    }
    project = make(tmp_path, files)
    assert project.container is None
    (undecided,) = [item for item in project.undecided if "container" in item.code]
    assert (undecided.code, [place.path for place in undecided.places]) == ("several-containers", ["one.py", "two.py"])
    configured = {"pyproject.toml": '[tool.laterctl]\ncontainer = "two:Other"\n'}
    assert the_container(make(tmp_path, configured)).class_name == "Other"
    wrong = make(tmp_path, {"pyproject.toml": '[tool.laterctl]\ncontainer = "two:X"\n'})
    assert "container-not-found" in [item.code for item in wrong.undecided]


def test_several_containers_take_the_one_the_app_file_imports(tmp_path: Path) -> None:
    files = {
        "one.py": CLASS + "one = Container()\n",
        "two.py": CLASS.replace("Container(", "Other(", 1) + "two = Other()\n",
        "main.py": MAIN.format("from two import two"),
    }
    assert the_container(make(tmp_path, files)).class_name == "Other"


@pytest.mark.parametrize(
    "source",
    ["class DeclarativeContainer: ...\nclass C(DeclarativeContainer): ...\nc = C()\n", "# dependency_injector\n"],
)
def test_no_container(tmp_path: Path, source: str) -> None:
    project = make(tmp_path, {"box.py": source, "main.py": MAIN.format("import box")})
    assert project.container is None
    assert not [item for item in project.undecided if "container" in item.code]


def test_instance_of_a_script_is_not_shared(tmp_path: Path) -> None:
    script = "from box import Container\nc = Container()\n"
    files = {"box.py": CLASS, "main.py": MAIN.format("import box"), "script.py": script}
    container = the_container(make(tmp_path, files))
    assert container.access is None
    assert "script.py:2 is imported by no other module" in container.reason
    used = the_container(make(tmp_path, {"deps.py": "from script import c\n"}))
    assert used.access is not None
    assert used.access.imports == (Import("script", "c"),)
