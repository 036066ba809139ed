"""What other features put into an open file: entries and statements, sorted, and taken out again."""

from __future__ import annotations

from pathlib import Path

import pytest

from laterctl.edits.beside import Beside
from laterctl.edits.file import File
from laterctl.edits.open_file import Listed, Step
from laterctl.engine import ledger
from laterctl.engine.plan import Request
from laterctl.feature import Feature
from laterctl.targets.base import State
from laterctl.targets.document import inspect
from tests import extra, memory

APP = {"app/main.py": b"from fastapi import FastAPI\n\napp = FastAPI()\n", "requirements.txt": b"fastapi\n"}
HUB = """\
from contextlib import asynccontextmanager

CHECKS = [
    print,
]
NAMES: list[str] = []


def Known(x):
    return x


KNOWN: list[object] = []


def first():
    pass


@asynccontextmanager
async def managed():
    async with first() as stack:
        print(stack)
        yield


def last():
    print(1)
    return 2
"""


def part(name: str, rank: int) -> Feature:
    return Feature(
        name=name,
        summary=name,
        requires=("hub",),
        edits=(
            File(f"core/{name}.py", "part.py.jinja"),
            Listed(f"core.{name}:check_{name}", into="core.hub:CHECKS", rank=rank),
            Listed(f"core.{name}:Named{name}", into="core.hub:NAMES", arguments=f"'{name}'", rank=rank),
            Listed(
                "core.hub:Known",
                into="core.hub:KNOWN",
                arguments=f"check_{name}",
                imports=(f"core.{name}:check_{name}",),
                rank=1,
            ),
            *(Step(f"print('{name}')", into=f"core.hub:{place}", rank=rank) for place in ("first", "managed", "last")),
        ),
    )


@pytest.fixture(autouse=True)
def features(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = "\n\n".join(
        f"def check_{name}():\n    pass\n\n\ndef Named{name}(x):\n    pass\n" for name in ("a", "b", "c")
    )
    extra.write_templates(monkeypatch, tmp_path, {"hub.py.jinja": HUB, "part.py.jinja": names})
    hub = Feature(
        name="hub",
        summary="hub",
        edits=(
            File("core/hub.py", "hub.py.jinja", open=True),
            Beside("c", (Step("print('beside')", into="core.hub:last", rank=5),)),
        ),
    )
    extra.declare(monkeypatch, hub, part("a", 30), part("b", 20), part("c", 10))


def hub(files: memory.Files) -> str:
    return files["app/core/hub.py"].decode()


def test_they_are_sorted_by_rank_whoever_comes_first() -> None:
    every = memory.add(APP, "a", "b", "c")
    text = hub(every)
    assert "CHECKS = [\n    print,\n    check_c,\n    check_b,\n    check_a,\n]\n" in text
    assert 'NAMES: list[str] = [Namedc("c"), Namedb("b"), Nameda("a")]\n' in text
    assert "KNOWN: list[object] = [Known(check_a), Known(check_b), Known(check_c)]\n" in text
    assert 'def first():\n    print("c")\n    print("b")\n    print("a")\n' in text
    assert '        print(stack)\n        print("c")\n        print("b")\n        print("a")\n        yield\n' in text
    assert '    print(1)\n    print("beside")\n    print("c")\n    print("b")\n    print("a")\n    return 2\n' in text
    for order in (("c", "b", "a"), ("b", "a", "c"), ("hub", "c", "a", "b")):
        files = dict(APP)
        for name in order:
            files = memory.add(files, name)
        assert hub(files) == text


def test_each_goes_and_leaves_the_rest() -> None:
    every = memory.add(APP, "hub", "a", "b", "c")
    for name in ("a", "b", "c"):
        rest = [other for other in ("a", "b", "c") if other != name]
        assert memory.remove(every, name) == memory.add(APP, "hub", *rest)
    assert memory.remove(every, "a", "b", "c") == memory.add(APP, "hub")
    assert memory.remove(every, "hub", "a", "b", "c") == APP


def test_the_file_is_untouched_with_them_in_it() -> None:
    every = memory.add(APP, "a", "b")
    records = ledger.records_of(ledger.load(memory.project(every).tree).values())
    here = [record for record in records if record.target.path == "app/core/hub.py"]
    (file,) = [record.target for record in here if record.target.whole_file]
    assert inspect(file, every["app/core/hub.py"], here).state is State.PRESENT
    edited = every["app/core/hub.py"].replace(b"print(1)", b"print(3)")
    assert inspect(file, edited, here).state is State.ALTERED


def test_what_the_user_added_stays_where_it_is() -> None:
    files = memory.add(APP, "hub", "a")
    mine = hub(files).replace("    print,\n", "    print,\n    repr,\n")
    both = memory.add(files | {"app/core/hub.py": mine.encode()}, "b")
    assert "    print,\n    repr,\n    check_b,\n    check_a,\n" in hub(both)
    assert hub(memory.remove(both, "b")) == mine


def test_without_the_list_it_is_refused() -> None:
    files = memory.add(APP, "hub")
    gone = files | {"app/core/hub.py": hub(files).replace("CHECKS", "OTHERS").encode()}
    (refusal, *_) = memory.planned(gone, Request(add=("a",))).refusals
    assert (refusal.code, str(refusal.place)) == ("no-place", "app/core/hub.py:1")
