"""What user code said, made fit to be shown: no secrets, no path of a scratch copy, and on one line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from laterctl.install import mask

LONGEST = 400
"""Characters of a reason that are shown."""

_SECRETIVE = re.compile(r"PASS|PWD|TOKEN|SECRET|CREDENTIAL|KEY|AUTH|DSN", re.IGNORECASE)
_ASSIGNMENT = re.compile(r"""(?m)^[\s\-"']*(?:export\s+)?([\w.-]+)["']?\s*[=:]\s*(.+?),?\s*$""")
_INPUT = re.compile(r"input_value=.*?, input_type=", re.DOTALL)
"""Where pydantic's errors quote the value that they are about."""


def secrets(root: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what must not be shown, as `mask` takes it: from the environment and the secrets files of a project."""
    found = {name: value for name, value in environment.items() if _SECRETIVE.search(name)}
    for path in _files(root):
        with suppress(OSError):
            text = path.read_text(encoding="utf-8", errors="replace")
            for number, (name, value) in enumerate(_ASSIGNMENT.findall(text)):
                if "secret" in path.name.lower() or _SECRETIVE.search(name):
                    found[f"{path}:{number}"] = value.strip("\"' ")
    return {f"SECRET {name}": value for name, value in found.items()}


def _files(root: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(root):
        for name in names:
            listed = "secret" in name.lower() and name.endswith((".toml", ".yaml", ".yml", ".json", ".ini", ".env"))
            if listed or name.startswith(".env"):
                yield Path(directory, name)


def told(text: str, root: Path, hidden: Mapping[str, str]) -> str:
    """Return what user code said in the copy at `root` on one line, with the values of `hidden` masked."""
    text = mask(_INPUT.sub("input_value=***, input_type=", text), hidden)
    text = text.replace(f"{root}{os.sep}", "").replace(str(root), ".")
    lines = [line.strip() for line in text.splitlines()]
    whole = "; ".join(line for line in lines if line and not line.startswith("For further information"))
    return whole if len(whole) <= LONGEST else f"{whole[:LONGEST]}..."
