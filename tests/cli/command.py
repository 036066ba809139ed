"""Runs `laterctl` from outside, as a user does, and compares whole trees before and after."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema

import laterctl.cli

TIMEOUT: Final = 300
NOTHING: Final = "Nothing was written."
SCHEMA: Final = Path(laterctl.cli.__file__).with_name("schema.json")

_KEPT: Final = ("PATH", "HOME", "LANG", "SYSTEMROOT", "TMPDIR")


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document on standard output, which holds nothing else; it has to fit the published schema."""
        made: dict[str, Any] = json.loads(self.out)
        validator().validate(made)
        return made

    @property
    def screen(self) -> str:
        """Everything that was printed."""
        return self.out + self.err


def laterctl_(folder: Path, *arguments: str, **more: Any) -> Ran:
    """Run `laterctl ARGUMENTS` in a folder, without a terminal.

    `env` is added to a small environment, `input` given to standard input, and anything else to `subprocess.run`.
    """
    env = environment(folder, more.pop("env", {}))
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=env,
        stdin=None if "input" in more else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
        **more,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


COMMAND: Final = (sys.executable, "-m", "laterctl")


def environment(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of a user without any configuration; what is private to the machine goes beside the project."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    own = {"XDG_STATE_HOME": f"{state_of(folder)}", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return kept | own | {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"} | dict(more or {})


def state_of(folder: Path) -> Path:
    """Where laterctl keeps what is private to the machine when there is no git: one place for all tests of a run."""
    return Path(os.environ.get("PYTEST_STATE", "/tmp")) / "laterctl-test-state"


@cache
def validator() -> Any:
    """The published schema of the JSON documents."""
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)
