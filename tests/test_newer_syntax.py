"""Projects with syntax that is newer than the interpreter which runs laterctl: they are edited like any other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from laterctl.engine.plan import Request
from laterctl.proof.static import prove
from tests import memory
from tests.cli.command import YES, contents, done, run
from tests.shapes import copy, files, shape_named

FEATURES = ("jwt", "metrics", "resources")
CODE = {
    "except": "def number(text):\n    try:\n        return int(text)\n    except TypeError, ValueError:\n        return 0\n",
    "alias": "type Row = dict[str, int]\n",
    "generics": "class Box[T]:\n    item: T\n\n\ndef same[T](x: T) -> T:\n    return x\n",
    "nested": "LABEL = f\"{'-'.join(f'{x['a']}' for x in [{'a': 'ä'}])}\"\n",
    "template": 'def page(name):\n    return t"<p>{name}</p>"\n',
    "lazy": "lazy import json\n",
}


@pytest.fixture(params=CODE)
def project(request: pytest.FixtureRequest) -> dict[str, bytes]:
    """A project whose application file and whose `deps.py` hold newer syntax, in front of and behind what is edited."""
    found = dict(files(shape_named("deps_module")))
    code = CODE[request.param].encode()
    found["app/api/deps.py"] += b"\n\n" + code
    found["app/main.py"] = found["app/main.py"].replace(b"\napp = ", b"\n" + code + b"\napp = ") + b"\n\n" + code
    return found


@pytest.mark.parametrize("feature", FEATURES)
def test_the_laws_hold(project: dict[str, bytes], feature: str) -> None:
    once = memory.add(project, feature)
    assert once["app/main.py"] != project["app/main.py"]
    assert memory.add(once, feature) == once
    assert memory.remove(once, feature) == project
    assert prove(memory.project(project), memory.planned(project, Request(add=(feature,)))) == []


def test_the_order_leaves_no_trace(project: dict[str, bytes]) -> None:
    one, other = "metrics", "resources"
    assert memory.add(memory.add(project, one), other) == memory.add(memory.add(project, other), one)


def test_a_lazy_import_is_not_extended() -> None:
    found = dict(files(shape_named("deps_module")))
    lazy = b"lazy from app.core.lifespan import other\n"
    found["app/main.py"] = lazy + found["app/main.py"]
    after = memory.add(found, "resources")["app/main.py"]
    assert after.startswith(lazy)
    assert b"\nfrom app.core.lifespan import managed_resources\n" in after


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this interpreter reads it")
def test_from_the_command_line(tmp_path: Path) -> None:
    folder = copy(shape_named("deps_module"), tmp_path)
    path = folder / "app/api/deps.py"
    path.write_text(f"{path.read_text()}\n\n{CODE['except']}")
    before = contents(folder)
    done(folder, "add", "resources", *YES, "--allow-dirty")
    assert done(folder, "doctor").code == 0
    done(folder, "remove", "resources", *YES, "--allow-dirty")
    assert contents(folder) == before


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this interpreter reads it")
def test_what_nobody_reads_is_refused(tmp_path: Path) -> None:
    folder = copy(shape_named("deps_module"), tmp_path)
    path = folder / "app/api/deps.py"
    path.write_text(f"{path.read_text()}\n\ntry:\n    pass\nexcept A, B as error:\n    pass\n")
    ran = run(folder, "add", "resources", *YES, "--allow-dirty", "--json")
    assert ran.code == 3
    (refusal,) = ran.document["refusals"]
    assert (refusal["code"], refusal["place"]["path"]) == ("too-new", "app/api/deps.py")


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this interpreter reads it")
def test_our_own_code_has_no_such_excuse() -> None:
    from laterctl.changeset import Change
    from laterctl.proof.static import _parse
    from laterctl.targets.document import Document

    newer, older = b"try: x\nexcept A, B: y\n", b"x = 1\n"
    _parse(Document("m.py", newer + older), Change(newer, newer + older), (3, 11))
    for before in (older, None):
        with pytest.raises(SyntaxError):
            _parse(Document("m.py", newer), Change(before, newer), (3, 11))
