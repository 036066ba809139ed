"""What is heard of a run while it goes on: all of it with `--verbose`, the last line of what takes long, or nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.cli.command import YES, Ran, append, commit, contents, done, project, replace, run

pytest.importorskip("pty", reason="pseudo-terminals of POSIX")

from tests.cli.terminal import ENTER, Terminal

PATH = {"PATH": "/usr/bin:/bin"}  # no uv, which would install without pip
STYLE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def with_pip(tmp_path: Path, *script: str) -> Path:
    """A project whose environment has a pip that does as the script says."""
    folder = project(tmp_path)
    append(folder / ".gitignore", ".venv/\n")
    append(folder / ".venv/pyvenv.cfg", "home = /usr\n")
    tool = folder / ".venv/bin/python"
    append(tool, "\n".join(["#!/bin/sh", "echo Collecting prometheus-client", *script, ""]))
    tool.chmod(0o755)
    commit(folder)
    return folder


@pytest.mark.parametrize("flags", [(), ("--verbose",)])
def test_what_takes_long_says_for_how_long_and_its_last_line(tmp_path: Path, flags: tuple[str, ...]) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    folder = with_pip(tmp_path, f"read line < '{gate}'", 'echo "$line"')
    arguments = ("add", "metrics", "--yes", "--no-prove", *flags)
    with Terminal(folder, *arguments, term="xterm", columns=80, env=PATH) as terminal:
        terminal.sees("pip")
        if flags:
            terminal.sees(r"  Collecting prometheus-client")
            terminal.sees(r"  \d s\x1b")
        else:
            terminal.sees(r"  \d s: Collecting prometheus-client")
        gate.write_text("Installed https://bob:hunter22@host/\n")
        assert terminal.ends() == 0
        seen = STYLE.sub("", terminal.screen).replace("\r", "\n")
    if flags:
        assert "\n  Installed https://***@host/\n" in seen
    else:
        assert re.search(r"(?m)^  \d s: Installed https://\*\*\*@host/$", seen)
    assert seen.index("***@host") < seen.index("Added metrics")


def test_what_is_quick_is_named_alone_and_verbose_shows_all_of_it(tmp_path: Path) -> None:
    folder = with_pip(tmp_path, "printf 'no line end'")
    whole = done(folder, "add", "metrics", "--yes", env=PATH)
    assert "pip install" in whole.err
    assert "Collecting" not in whole.err
    done(folder, "undo", "--yes")
    whole = done(folder, "add", "metrics", "--yes", "--verbose", env=PATH)
    assert "\n  Collecting prometheus-client\n  no line end\n" in whole.err
    done(folder, "undo", "--yes")
    whole = done(folder, "add", "metrics", "--yes", "--verbose", "--json", env=PATH)
    assert "  Collecting prometheus-client\n" in whole.err
    assert whole.document["kind"] == "done"


def said(ran: Ran) -> tuple[int, str]:
    return ran.code, ran.out + ran.err


def test_quiet_prints_nothing_but_errors(tmp_path: Path) -> None:
    folder = with_pip(tmp_path)
    for arguments in (
        ("add", "metrics", "--yes"),
        ("add", "metrics", "--yes"),
        ("doctor", "--skip", "LTR006"),
        ("remove", "metrics", "--dry-run"),
        ("remove", "metrics", "--yes"),
        ("undo", "--yes"),
        ("update",),
    ):
        assert said(run(folder, *arguments, "--quiet", env=PATH)) == (0, ""), arguments
    assert said(run(folder, "remove", "metrics", "--check", "-q")) == (1, "")
    code, screen = said(run(folder, "remove", "metrics", "-q"))
    assert (code, screen.splitlines()[0]) == (6, "stopped there is no terminal to ask")
    assert run(folder, "remove", "metrics", "--diff", "-q").out.startswith("diff --git "), "it is what was asked for"
    assert run(folder, "remove", "metrics", "--dry-run", "--json", "-q").document["kind"] == "plan"
    replace(folder / "main.py", "app.add_middleware(MetricsMiddleware)\n", "")
    code, screen = said(run(folder, "doctor", "-q"))
    assert code == 1
    assert [line.split()[0] for line in screen.splitlines() if line[0] != " "] == ["Errors", "problem"]


def test_quiet_asks_all_the_same(tmp_path: Path) -> None:
    folder = project(tmp_path)
    before = contents(folder)
    with Terminal(folder, "add", "cors", "--quiet", "--no-install", "--no-prove") as terminal:
        assert "app.add_middleware(CorsMiddleware" in terminal.sees(r"\[y/N/d/v/p\]: ")
        terminal.types(f"y{ENTER}")
        assert terminal.ends() == 0
        assert terminal.sees("(?s).*").strip() == "y"
    assert contents(folder) != before


def test_the_doctor_gives_each_answer_a_line(tmp_path: Path) -> None:
    folder = project(tmp_path)
    done(folder, "add", "cors", *YES)
    assert "\nok LTR003 cors, errors, settings are whole\n" in f"\n{done(folder, 'doctor').out}"
    lines = [line for line in done(folder, "doctor", "--verbose").out.splitlines() if line.startswith("ok LTR003")]
    assert len(lines) == 3


def test_verbose_and_quiet_exclude_each_other(tmp_path: Path) -> None:
    for flags in (("-v", "-q"), ("--quiet", "--verbose")):
        assert run(tmp_path, "add", "cors", *YES, *flags).code == 2
