"""Markers go where pytest looks for them, and never put an end to a configuration that holds."""

from __future__ import annotations

import pytest

from laterctl.edits.pytest_config import PytestMarker
from laterctl.engine.plan import Request
from laterctl.feature import Feature
from tests import extra, memory

APP = {"app/main.py": b"from fastapi import FastAPI\n\napp = FastAPI()\n", "requirements.txt": b"fastapi\n"}
SLOW = '[\n    "slow: takes a while",\n]'


@pytest.fixture(autouse=True)
def features(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Feature(name="slow", summary="slow", edits=(PytestMarker("slow", "takes a while"),))
    fast = Feature(name="fast", summary="fast", edits=(PytestMarker("fast", "does not"),))
    extra.declare(monkeypatch, slow, fast)


@pytest.mark.parametrize(
    ("files", "path", "expected"),
    [
        ({}, "pyproject.toml", f"[tool.pytest.ini_options]\nmarkers = {SLOW}\n"),
        ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, "pyproject.toml", f"markers = {SLOW}\n"),
        (
            {"pyproject.toml": "[tool.pytest]\nstrict = true\n"},
            "pyproject.toml",
            f"[tool.pytest]\nstrict = true\nmarkers = {SLOW}\n",
        ),
        ({"pytest.toml": "[pytest]\n"}, "pytest.toml", f"markers = {SLOW}\n"),
        (
            {
                "pyproject.toml": "[tool.pytest.ini_options]\nmarkers = [\n    'unit',  # mine\n]\n",
                "tox.ini": "[pytest]\n",
            },
            "pyproject.toml",
            "markers = [\n    'slow: takes a while',\n    'unit',  # mine\n]\n",
        ),
        (
            {"tox.ini": "[tox]\nx = [pytest]\n", "setup.cfg": "[metadata]\nname = x\n"},
            "pyproject.toml",
            f"markers = {SLOW}\n",
        ),
    ],
)
def test_it_goes_where_pytest_is_configured(files: dict[str, str], path: str, expected: str) -> None:
    before = APP | {name: text.encode() for name, text in files.items()}
    after = memory.add(before, "slow")
    assert expected in after[path].decode()
    assert memory.add(after, "slow") == after
    assert memory.remove(after, "slow") == before
    both = memory.add(after, "fast")
    assert both == memory.add(memory.add(before, "fast"), "slow")
    assert memory.remove(both, "fast") == after


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("pytest.ini", "# nothing\n", 1),
        (".pytest.ini", "[pytest]\n", 1),
        ("tox.ini", "[tox]\n\n[pytest]\naddopts = -q\n", 3),
        ("setup.cfg", "[metadata]\nname = x\n[tool:pytest]\n", 3),
    ],
)
def test_another_file_is_refused_with_its_line(path: str, text: str, line: int) -> None:
    (refusal,) = memory.planned(APP | {path: text.encode()}, Request(add=("slow",))).refusals
    assert (refusal.code, str(refusal.place)) == ("pytest-configured-elsewhere", f"{path}:{line}")
    assert "slow: takes a while" in refusal.snippet


@pytest.mark.parametrize("marker", ["slow", "slow: mine", "slow(n): mine"])
def test_a_marker_of_that_name_will_do(marker: str) -> None:
    before = APP | {"pyproject.toml": f'[tool.pytest.ini_options]\nmarkers = ["{marker}"]\n'.encode()}
    after = memory.add(before, "slow")
    assert after["pyproject.toml"] == before["pyproject.toml"]
    assert memory.remove(after, "slow") == before


def test_the_same_marker_is_adopted() -> None:
    before = APP | {"pyproject.toml": f"[tool.pytest.ini_options]\nmarkers = {SLOW}\n".encode()}
    assert memory.remove(memory.add(before, "slow"), "slow") == before
