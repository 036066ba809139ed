"""When laterctl itself fails: one short screen, the exit code of the table, and what became of the files."""

from __future__ import annotations

import errno
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

from laterctl.cli import crash
from laterctl.cli.exits import Exit
from tests.cli.command import YES, Ran, append, contents, done, environment, project, run

ROOT = Path(__file__).parents[2]
FAILS = """
import {module}
def fails(*_, **__):
    raise KeyError("https://bob:hunter22@host/")
{module}.{name} = fails
from laterctl.__main__ import main
main()
"""
"""A program that is laterctl, but for a function that fails."""
ADD = ("add", "cors", *YES)


def broken(place: str, folder: Path, *arguments: str, temporary: Path) -> Ran:
    """Run laterctl in a folder with a function that fails, named as `module:name`."""
    module, _, name = place.partition(":")
    ended = subprocess.run(
        [sys.executable, "-c", FAILS.format(module=module, name=name), *arguments],
        cwd=folder,
        env=environment() | {"TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return Ran(ended.returncode, ended.stdout, ended.stderr)


@pytest.mark.parametrize(
    ("place", "arguments"),
    [
        ("laterctl.project.discover:discover", ("info", "--project")),
        ("laterctl.engine.plan:make", ADD),
        ("laterctl.journal.run:Run.commit", ADD),
        ("laterctl.cli.show:listing", ("list",)),
        ("laterctl.cli.names:asked", (*ADD, "--quiet")),
    ],
)
def test_files_are_as_they_were(place: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    folder = project(tmp_path)
    before = contents(folder)
    ran = broken(place, folder, *arguments, temporary=tmp_path)
    assert (ran.code, ran.out) == (7, "")
    first, written, report, _ = ran.err.splitlines()
    assert re.match(r"error laterctl failed, .*: KeyError: .*https://\*\*\*@host/", first)
    assert written == "Every file is as it was."
    assert contents(folder) == before
    attached = Path(report.rpartition(" ")[2])
    assert attached.parent == tmp_path
    assert attached.stat().st_mode & 0o077 == 0
    text = attached.read_text()
    assert re.match(r"laterctl \S+, Python 3\.\d+\.\d+, .*\n\$ laterctl ", text)
    assert "\nKeyError: 'https://***@host/'\n" in text
    assert "hunter22" not in text + ran.err
    assert run(folder, *arguments).code == 0, "nothing is left that stands in the way"


def test_what_is_written_already_stays_and_is_said(tmp_path: Path) -> None:
    folder = project(tmp_path)
    before = contents(folder)
    ran = broken("laterctl.cli.show_plan:done", folder, *ADD, temporary=tmp_path)
    assert ran.code == 7
    assert ran.err.splitlines()[1] == "The change is written and stays; `laterctl undo --yes` takes it back."
    assert contents(folder) != before
    done(folder, "undo", "--yes")
    assert contents(folder) == before


def test_in_json(tmp_path: Path) -> None:
    ran = broken("laterctl.engine.plan:make", project(tmp_path), *ADD, "--json", temporary=tmp_path)
    assert (ran.code, ran.err, ran.document["code"]) == (7, "", "crash")
    assert "; Every file is as it was.; " in ran.document["message"]


def test_without_a_place_for_the_file_it_is_on_the_screen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    assert crash.crashed(KeyError("https://bob:hunter22@host/"), ["list"]) is Exit.UNKNOWN
    screen = capsys.readouterr().err
    assert "and attach this\n" in screen
    assert "\n$ laterctl list\n\nKeyError: 'https://***@host/'\n" in screen


def test_the_tracker_is_that_of_the_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"].get("urls", {})
    assert crash.tracker() == declared.get("Issues", "")
    metadata = tmp_path / "laterctl-9.dist-info/METADATA"
    append(
        metadata, "Name: laterctl\nVersion: 9\nProject-URL: Source, https://x\nProject-URL: Issues, https://y/issues\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert crash.tracker() == "https://y/issues"
