"""Help reads on narrow terminals too, and the manual page says the same as it, and comes with the wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import typer.main
from scripts import manual

from laterctl.cli.app import app
from tests.cli.command import done

COMMAND: Any = typer.main.get_command(app)
COMMANDS = {"": COMMAND, **COMMAND.commands}


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_line_is_too_long_and_no_word_is_cut(columns: int, tmp_path: Path) -> None:
    for name in ("", "add", "doctor"):
        out = done(tmp_path, *filter(None, [name]), "--help", env={"COLUMNS": str(columns)}).out
        assert max(map(len, out.splitlines())) <= columns, name
        words = out.split()
        options = [item for item in COMMANDS[name].params if item.param_type_name == "option"]
        assert [
            each for item in options for each in item.opts if each not in {word.rstrip(",") for word in words}
        ] == []
        assert [item.metavar for item in options if item.metavar and item.metavar not in words] == []
        assert "..." not in out.replace("FEATURE...", "").replace("[ARGS]...", ""), "nothing is left out"


def test_the_manual_page_is_that_of_today() -> None:
    assert manual.PAGE.read_text(encoding="utf-8") == manual.page(), "python scripts/manual.py writes it anew"
    for command in COMMANDS.values():
        for item in command.params:
            assert all(manual.text(name) in manual.page() for name in item.opts if name.startswith("-"))


def test_the_manual_page_is_read_without_a_warning() -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not on PATH")
    read = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-P-cbou", str(manual.PAGE)],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert read.stderr == ""
    assert "laterctl add FEATURE..." in read.stdout


def test_the_wheel_installs_the_manual_page(tmp_path: Path) -> None:
    code = f"import hatchling.build; print(hatchling.build.build_wheel({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=manual.ROOT, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (path,) = [name for name in archive.namelist() if name.endswith(".data/data/share/man/man1/laterctl.1")]
        assert archive.read(path).decode() == manual.page()
