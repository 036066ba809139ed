"""README, CONTRIBUTING and the pages of docs/ are true: commands, flags, exit codes, files, the transcript word by word."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
import typer.main

import laterctl.edits
from laterctl.cli.app import app
from laterctl.cli.exits import Exit
from laterctl.doctor import rules
from laterctl.features import catalogue
from tests import acceptance

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
DOCS = ROOT / "docs"
WRITTEN = sorted(path for path in DOCS.glob("*.md") if path != acceptance.PAGE)
MAIN = (README, CONTRIBUTING)
PAGES = (*MAIN, *WRITTEN)
COMMAND: Any = typer.main.get_command(app)
IDENTITY = {
    "GIT_AUTHOR_NAME": "Owner",
    "GIT_AUTHOR_EMAIL": "owner@example.com",
    "GIT_COMMITTER_NAME": "Owner",
    "GIT_COMMITTER_EMAIL": "owner@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}
PLACEHOLDERS = {"FEATURE", "FEATURE...", "NAME", "RULE", "DIR", "FILE", "MANAGER", "MODULE:ATTR", "FEATURE.NAME=VALUE"}


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def inline(page: Path) -> list[str]:
    """Return what stands between single backticks."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`]+)`", prose)


def shown(page: Path, program: str) -> list[str]:
    """Return the commands of a program that a page shows, in blocks and between backticks."""
    lines = [line.removeprefix("$ ") for block in blocks(page, "console") for line in block.splitlines()]
    return [line for line in (*lines, *inline(page)) if line.split()[:1] == [program]]


def flags(command: Any) -> dict[str, Any]:
    """Return the options of a command by their spellings."""
    return {name: item for item in command.params for name in (*item.opts, *item.secondary_opts) if name[0] == "-"}


def problems(line: str) -> Iterator[str]:
    """Yield what is wrong with a `laterctl` command line as it is shown."""
    words = iter(shlex.split(line)[1:])
    at: Any = COMMAND
    for word in words:
        if word in {">", ">>", "|"}:
            return
        if word.startswith("-"):
            name, equals, _ = word.partition("=")
            option = flags(at).get(name)
            if name in {"-h", "--help"}:
                continue
            if option is None:
                yield f"{at.name or 'laterctl'} has no {name}"
            elif not option.is_flag and not equals and next(words, None) is None:
                yield f"{name} without its value"
        elif at is COMMAND:
            if word not in COMMAND.commands:
                yield f"no command {word}"
                return
            at = COMMAND.commands[word]
        elif word not in PLACEHOLDERS:
            yield from unknown(at.name, word)


def unknown(command: str, word: str) -> Iterator[str]:
    """Yield why an argument does not exist."""
    if command in {"add", "remove", "update", "diff", "info", "secret"}:
        try:
            catalogue.find(word)
        except catalogue.UnknownFeature:
            yield f"no feature {word}"
    elif command == "explain":
        if word not in {rule.id for rule in rules.every()}:
            yield f"no rule {word}"
    elif command != "new":
        yield f"{command} takes no {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_exists(page: Path) -> None:
    lines = shown(page, "laterctl")
    assert lines or page not in MAIN
    assert {line: list(problems(line)) for line in lines if list(problems(line))} == {}


def test_wrong_commands_would_be_noticed() -> None:
    wrong = ["laterctl ad jwt", "laterctl add oauth", "laterctl add jwt --force", "laterctl list jwt", "laterctl -X"]
    assert [line for line in wrong if not list(problems(line))] == []


def test_every_command_is_explained() -> None:
    commands = {line.split()[1] for line in shown(DOCS / "commands.md", "laterctl") if len(line.split()) > 1}
    assert commands >= set(COMMAND.commands)


def test_the_readme_names_every_listed_feature() -> None:
    (section,) = re.findall(r"(?ms)^## Features$(.*?)^`laterctl list`", README.read_text(encoding="utf-8"))
    named = re.findall(r"`([a-z][a-z0-9-]+)`", section)
    assert len(named) == len(set(named))
    assert set(named) == {feature.name for feature in catalogue.every() if not feature.hidden}


def test_the_readme_takes_two_screens() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 2 * 70


def test_every_flag_of_the_changing_commands_is_explained() -> None:
    told = " ".join(inline(DOCS / "commands.md"))
    missing = {
        name
        for command in ("add", "remove", "update", "diff", "undo", "doctor", "new")
        for name in flags(COMMAND.commands[command])
        if name.startswith("--") and not re.search(rf"{name}\b", told)
    }
    assert missing - {"--help"} == set()


def test_the_exit_codes_are_all_explained() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \|", (DOCS / "exit-codes.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [(int(code), name) for code, name in rows] == [(code, code.name.lower()) for code in sorted(Exit)]


@pytest.mark.parametrize("page", MAIN, ids=lambda page: page.name)
def test_make_targets_and_files_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    wanted = {word for line in shown(page, "make") for word in line.split()[1:] if "=" not in word}
    assert wanted
    assert wanted - targets == set()
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    files = [word for word in inline(page) if re.fullmatch(r"\.?(src|tests|scripts|ci)/[\w./-]+", word)]
    assert links
    assert [path for path in (*links, *files) if "NAME" not in path and not (ROOT / path).exists()] == []


def test_contributing_shows_a_feature_as_it_is() -> None:
    (declaration,) = blocks(CONTRIBUTING, "python")
    assert declaration == (ROOT / "src/laterctl/features/cors/__init__.py").read_text(encoding="utf-8")


def test_contributing_knows_every_kind_of_edit() -> None:
    told = re.findall(
        r"^\| `(\w+)` \| `laterctl\.edits\.(\w+)` \|", CONTRIBUTING.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(told) == {(name, module) for module in modules() for name in edits(module)}


def modules() -> list[str]:
    """Return the names of the modules in `laterctl.edits`."""
    return [item.name for item in iter_modules(laterctl.edits.__path__)]


def edits(module: str) -> list[str]:
    """Return the kinds of edit that a module defines: public classes that resolve into targets."""
    found = import_module(f"laterctl.edits.{module}")
    return [
        name
        for name, value in vars(found).items()
        if isinstance(value, type)
        and value.__module__ == found.__name__
        and hasattr(value, "resolve")
        and name != "Edit"
        and not name.startswith("_")
    ]


def test_the_transcript_is_what_happens(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    (before,) = [block for block in blocks(README, "console") if block.startswith("$ ")]
    after = "".join(played(re.findall(r"^\$ (.*)$", before, re.MULTILINE), tmp_path))
    if request.config.getoption("--update-snapshots"):
        README.write_text(README.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
        return
    assert after == before


def test_what_each_feature_is_accepted_by_is_written_down(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-snapshots"):
        acceptance.PAGE.write_text(acceptance.page(), encoding="utf-8")
    assert acceptance.PAGE.read_text(encoding="utf-8") == acceptance.page()


@pytest.mark.parametrize("feature", sorted(acceptance.LINES.keys() & catalogue.module_names()))
def test_each_line_is_shown_by_a_test_or_open_for_a_reason(feature: str) -> None:
    missing = {number for number, tests in acceptance.shown(feature).items() if not tests}
    assert missing == {number for name, number in acceptance.OPEN if name == feature}


def played(commands: list[str], folder: Path) -> Iterator[str]:
    """Run commands one after the other and yield each with what it prints; each has to succeed."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    kept |= IDENTITY | {"XDG_STATE_HOME": str(folder / "state"), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    for command in commands:
        yield f"$ {command}\n"
        words = shlex.split(command)
        if words[0] == "cd":
            folder /= words[1]
            continue
        program = [sys.executable, "-m", "laterctl"] if words[0] == "laterctl" else [words[0]]
        done = subprocess.run(
            [*program, *words[1:]],
            cwd=folder,
            env=kept,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        yield done.stdout
