"""Calls before the application is constructed."""

from __future__ import annotations

from pathlib import Path

import pytest

from laterctl.edits.app_statements import StartupCall
from laterctl.edits.file import File
from laterctl.engine.plan import Request
from laterctl.feature import Feature
from laterctl.proof.static import prove
from tests import extra, memory

IMPORT = "from fastapi import FastAPI\n"
LOG = "from app.core.log import configure\n"


@pytest.fixture(autouse=True)
def features(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    extra.write_templates(
        monkeypatch, tmp_path, {"log.py.jinja": "def configure(name):\n    pass\n\n\nwarm = configure\n"}
    )
    file = File("core/log.py", "log.py.jinja")
    log = Feature(name="log", summary="log", edits=(file, StartupCall("core.log:configure", '"api"', rank=20)))
    warm = Feature(name="warm", summary="warm", edits=(file, StartupCall("core.log:warm", "1", rank=10)))
    extra.declare(monkeypatch, log, warm)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (f"{IMPORT}\napp = FastAPI()\n", f"{LOG}\nconfigure('api')\n\napp = FastAPI()\n"),
        (
            f"{IMPORT}\n# the app\napp = FastAPI(\n    title='x',\n)\n",
            "\nconfigure('api')\n\n# the app\napp = FastAPI(\n",
        ),
        (f"{IMPORT}x = 1\napp = FastAPI()\n", f"{LOG}x = 1\nconfigure('api')\napp = FastAPI()\n"),
        (
            f"{IMPORT}\n\ndef make():\n    'Make it.'\n    app = FastAPI()\n    return app\n",
            "    'Make it.'\n    configure('api')\n    app = FastAPI()\n",
        ),
        (
            f"{IMPORT}\n\nclass Server:\n    def __init__(self):\n        self.app = FastAPI()\n\n\nserver = Server()\n",
            "        configure('api')\n        self.app = FastAPI()\n",
        ),
        (f"{IMPORT}\n\ndef f():\n    return 'x'\n\n\napp = FastAPI()\n", "return 'x'\n\n\nconfigure('api')\n\n\napp"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_it_stands_right_before(code: str, expected: str, newline: str) -> None:
    before = {"app/main.py": code.replace("\n", newline).encode(), "requirements.txt": b"fastapi\n"}
    if "'" not in code:
        expected = expected.replace("'", '"')
    plan = memory.planned(before, Request(add=("log",)))
    assert prove(memory.project(before), plan) == []
    after = memory.add(before, "log")
    assert expected.replace("\n", newline) in after["app/main.py"].decode()
    assert memory.remove(after, "log") == before
    both = memory.add(after, "warm")
    assert both == memory.add(before, "warm", "log")
    text = both["app/main.py"].decode()
    assert text.index("warm(1)") < text.index("configure(")
    assert memory.remove(both, "warm") == after


def test_an_application_that_cannot_be_edited_is_refused() -> None:
    before = {
        "app/main.py": f"{IMPORT}\n\ndef make():\n    return FastAPI()\n".encode(),
        "requirements.txt": b"fastapi\n",
    }
    (refusal,) = memory.planned(before, Request(add=("log",))).refusals
    assert (refusal.code, refusal.snippet) == ("app-not-editable", 'configure("api")')
