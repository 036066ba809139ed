"""Files of ours that are no Python, or lie beside the application: their origin, their line ends, who owns the place."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

from laterctl.edits.file import File
from laterctl.engine.plan import Request
from laterctl.feature import Feature
from laterctl.project import origin
from tests import extra, memory

APP = {"app/main.py": b"from fastapi import FastAPI\r\n\r\napp = FastAPI()\r\n", "requirements.txt": b"fastapi\r\n"}


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("Dockerfile", "FROM x\n", "# From laterctl: f.\nFROM x\n"),
        (
            "Dockerfile",
            "# syntax=docker/dockerfile:1\nFROM x\n",
            "# syntax=docker/dockerfile:1\n# From laterctl: f.\nFROM x\n",
        ),
        ("deploy/Dockerfile.worker", "FROM x\n", "# From laterctl: f.\nFROM x\n"),
        (".dockerignore", "x\n", "# From laterctl: f.\nx\n"),
        ("entry.sh", "#!/bin/sh\nx\n", "#!/bin/sh\n# From laterctl: f.\nx\n"),
        ("ci.yml", "x: 1\n", "# From laterctl: f.\nx: 1\n"),
        ("a.sql", "SELECT 1;\n", "-- From laterctl: f.\nSELECT 1;\n"),
        ("a.js", "x\n", "// From laterctl: f.\nx\n"),
        ("a.css", "x {}\n", "/* From laterctl: f. */\nx {}\n"),
        ("a.html", "<p>\n", "<!-- From laterctl: f. -->\n<p>\n"),
        ("a.xml", '<?xml version="1.0"?>\n<p/>\n', '<?xml version="1.0"?>\n<!-- From laterctl: f. -->\n<p/>\n'),
        ("script.py.mako", "x\n", "## From laterctl: f.\nx\n"),
        ("a.py", "x = 1\n", "# From laterctl: f.\nx = 1\n"),
        ("a.json", "{}\n", "{}\n"),
        ("data.bin", "x\n", "x\n"),
    ],
)
def test_the_origin_is_a_comment_of_the_file_s_language(path: str, text: str, expected: str) -> None:
    assert origin.signed(path, text, "f") == expected
    assert origin.unsigned(path, expected) == text
    told = expected != text
    for data in (expected, expected.replace("\n", "\r\n"), "\ufeff" + expected):
        assert origin.feature_of(path, data.encode()) == ("f" if told else "")
    assert origin.feature_of(path, text.encode()) == ""
    assert origin.unsigned(path, text) == text


def made(monkeypatch: pytest.MonkeyPatch, folder: Path, templates: dict[str, str], *edits: object) -> None:
    extra.write_templates(monkeypatch, folder, templates)
    extra.declare(monkeypatch, Feature(name="deploy", summary="deploy", edits=edits))


def test_line_ends_are_the_project_s_but_for_scripts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    texts = {"s.jinja": "#!/bin/sh\nx\n", "d.jinja": "FROM x\n", "q.jinja": "SELECT 1;\n", "p.py.jinja": "x = 'y'\n"}
    files = [File("run.sh", "s.jinja", root=True), File("Dockerfile", "d.jinja", root=True)]
    made(
        monkeypatch, tmp_path, texts, *files, File("core/q.sql", "q.jinja"), File("load/p.py", "p.py.jinja", root=True)
    )
    after = memory.add(APP, "deploy")
    assert after["run.sh"] == b"#!/bin/sh\n# From laterctl: deploy.\nx\n"
    assert after["Dockerfile"] == b"# From laterctl: deploy.\nFROM x\n"
    assert after["app/core/q.sql"] == b"-- From laterctl: deploy.\r\nSELECT 1;\r\n"
    assert after["load/p.py"] == b'# From laterctl: deploy.\r\nx = "y"\r\n'
    assert not [path for path in after if path.endswith("__init__.py")]
    assert memory.remove(after, "deploy") == APP


def test_an_expression_where_there_is_no_python_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = "ENV RUNS_IN={{ environment() }}\n"
    made(monkeypatch, tmp_path, {"Dockerfile.jinja": text}, File("Dockerfile", "Dockerfile.jinja", root=True))
    with pytest.raises(jinja2.TemplateError, match=r"Dockerfile\.jinja is no Python"):
        memory.planned(APP, Request(add=("deploy",)))


def test_a_place_at_the_root_has_no_other_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made(monkeypatch, tmp_path, {"d.jinja": "FROM x\n"}, File("Dockerfile", "d.jinja", root=True))
    (refusal,) = memory.planned(APP | {"Dockerfile": b"FROM y\n"}, Request(add=("deploy",))).refusals
    assert (refusal.code, str(refusal.place), refusal.expected) == ("file-exists", "Dockerfile:1", "no file there")
    assert "app_Dockerfile" not in refusal.remedy + refusal.message


def test_an_edited_file_is_the_user_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made(monkeypatch, tmp_path, {"d.jinja": "FROM x\n"}, File("Dockerfile", "d.jinja", root=True))
    mine = memory.add(APP, "deploy") | {"Dockerfile": b"FROM z\n"}
    assert memory.remove(mine, "deploy")["Dockerfile"] == b"FROM z\n"
