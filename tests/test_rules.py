"""How the doctor's rules are run over the files of a project."""

from __future__ import annotations

from laterctl.doctor import run as rules
from tests import memory


def test_files_that_this_python_is_too_old_for_are_reported_once() -> None:
    newer = b'import httpx\nlazy import json; tr"{json}"\n'  # LibCST does not read `tr` either
    files = {"app/a.py": newer, "app/b.py": newer, "app/c.py": newer, "app/d.py": b"import httpx\ndef (:\n"}

    found = [item for item in rules.run(memory.project(files)) if item.rule == "LTR010"]

    assert [str(item.place) for item in found] == ["app/a.py:2", "app/d.py:2"]
    assert found[0].message.endswith("(and 2 more files, app/b.py the next of them)")
