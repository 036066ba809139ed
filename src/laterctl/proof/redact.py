"""What user code said, made fit to be shown: no secrets, no path of a scratch copy, and on one line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from laterctl.install import mask
from laterctl.patterns import pattern
from laterctl.proof.scratch import Scratch

LONGEST = 400
"""Characters of a reason that are shown."""

_SECRETIVE = pattern(r"PASS|PWD|TOKEN|SECRET|CREDENTIAL|KEY|AUTH|DSN", re.IGNORECASE)
_FOLDERS = ("PWD", "OLDPWD")
"""Variables of shells that only sound secret."""
_ASSIGNMENT = pattern(r"""(?m)^[\s\-"']*(?:export\s+)?([\w.-]+)["']?\s*[=:]\s*(.+?),?\s*$""")
_DETAIL = pattern(
    r" \[type=\w+, input_value=.*?, input_type=\w+\](?:\n *For further information visit \S+)?", re.DOTALL
)
"""What pydantic adds to an error: its kind, the value that it is about, and where to read more."""
_CONTROL = pattern(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
"""Colours, and whatever else would move the cursor."""


def secrets(root: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what must not be shown, as `mask` takes it: from the environment and the secrets files of a project."""
    found = {name: value for name, value in environment.items() if _SECRETIVE.search(name) and name not in _FOLDERS}
    for path in _files(root):
        with suppress(OSError):
            text = path.read_text(encoding="utf-8", errors="replace")
            for number, (name, value) in enumerate(_ASSIGNMENT.findall(text)):
                if "secret" in path.name.lower() or _SECRETIVE.search(name):
                    found[f"{path}:{number}"] = value.partition(" #")[0].strip("\"' ")
    return {f"SECRET {name}": value for name, value in found.items()}


def _files(root: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(root):
        for name in names:
            listed = "secret" in name.lower() and name.endswith((".toml", ".yaml", ".yml", ".json", ".ini", ".env"))
            secretive = listed or name.startswith(".env") or name.endswith(".env")
            if secretive and os.path.isfile(os.path.join(directory, name)):  # a FIFO would wait for a writer
                yield Path(directory, name)


def told(text: str, scratch: Scratch, hidden: Mapping[str, str]) -> str:
    """Return what user code said in a scratch copy on one line, with the values of `hidden` masked."""
    text, errors = _DETAIL.subn("", _CONTROL.sub("", text.replace("\r\n", "\n")))
    if errors:
        text = text.replace("pydantic_core._pydantic_core.", "pydantic.").replace("\n  ", ": ")
    paths = rf"{re.escape(os.fspath(scratch.above))}(?:/[^\s'\",:;()]*)?"
    text = re.sub(paths, lambda found: os.path.relpath(found[0], scratch.root), text)
    text = mask(text, hidden)
    whole = "; ".join(line.strip() for line in text.splitlines() if line.strip())
    return whole if len(whole) <= LONGEST else f"{whole[:LONGEST]}..."
