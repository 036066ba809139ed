"""The page about a first login, followed as a new user follows it: its files, its commands, and what curl answers."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import done, environment, run
from tests.servers import uvicorn_server
from tests.shapes import git

PAGE = Path(__file__).parents[1] / "docs/first-login.md"
BLOCK = re.compile(r"(?P<said>[^\n]*)\n\n```(?P<language>\w+)\n(?P<text>.*?)```$", re.DOTALL | re.MULTILINE)


def test_a_new_user_signs_in(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not on PATH")
    asked: list[tuple[str, str]] = []
    for block in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        if block["language"] != "console":
            written(tmp_path, block["said"], block["text"])
            continue
        for command, answer in re.findall(r"^\$ (.*)\n((?:[^$\n].*\n)*)", block["text"], re.MULTILINE):
            if command.startswith("curl "):
                asked.append((command, answer))
            else:
                follow(tmp_path, command)
    assert len(asked) == 3
    with uvicorn_server("notes.main:app", tmp_path) as server:
        token = ""
        for command, answer in asked:
            words = shlex.split(command.replace("http://127.0.0.1:8000", server.url).replace("ACCESS_TOKEN", token))
            seen = subprocess.run(words, capture_output=True, encoding="utf-8", check=True).stdout
            pattern = re.escape(answer.strip()).replace(re.escape("..."), '[^"]+')
            assert re.fullmatch(pattern, seen.strip()), (command, seen)
            token = json.loads(seen)["access_token"] if "token" in words[2] else token
    assert run(tmp_path, "undo", "--yes").code == 3
    refused = run(tmp_path, "remove", "jwt", "--yes", "--no-install")
    assert refused.code == 3
    assert "notes/main.py:" in refused.err


def written(folder: Path, said: str, text: str) -> None:
    """Write a file as the page says it, whole or in part."""
    names = re.findall(r"`([\w./]+)`", said)
    path = folder / next(name for name in names if "." in name)
    if "in place of the function" in said:
        before = path.read_text()
        (start, end) = next(function(before, names[-1]))
        text = f"{before[:start]}{text}{before[end:]}"
    elif "at the top" in said:
        text += path.read_text()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def function(text: str, name: str) -> Iterator[tuple[int, int]]:
    """Yield where a function stands in a module, with its decorators."""
    yield from (
        found.span() for found in re.finditer(rf"(?ms)^(?:@[^\n]*\n)*(?:async )?def {name}\(.*?(?=^\S|\Z)", text)
    )


def follow(folder: Path, command: str) -> None:
    """Run a command of the page; what the environment of the tests has is not installed anew."""
    words = shlex.split(command.split(" >> ", maxsplit=1)[0])
    if words[0] == "git":
        git(folder, *words[1:])
    elif words[0] == "laterctl":
        out = done(folder, *words[1:], *(["--no-install"] if words[1] == "add" else [])).out
        if " >> " in command:
            with (folder / command.split(" >> ")[1]).open("a") as file:
                file.write(out)
    elif words[1:3] == ["-m", "add_user"]:
        subprocess.run([sys.executable, *words[1:]], cwd=folder, env=environment() | dict(os.environ), check=True)
    else:
        assert words[1:3] in (["-m", "venv"], ["-m", "pip"]) or words[0] == ".venv/bin/uvicorn", command
