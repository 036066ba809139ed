"""What the ledger says at a glance: enough to know that there is nothing to do, and quick to load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = ".laterctl"
FORMAT = 2
_PREFIX = "feature-"


def file_of(feature: str) -> str:
    """Return where the ledger keeps a feature: under a name that patterns such as `coverage*.json` do not ignore."""
    return f"{FOLDER}/{_PREFIX}{feature}.json"


def option_in(entry: bytes | None, name: str, default: str) -> Any:
    """Return the value of an option in an entry of the ledger; `None` when there is none that can be read."""
    try:
        values = json.loads(entry or b"null")
        return None if values is None else values["options"].get(name, default)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def is_derived(path: str) -> bool:
    """Tell whether a file of the ledger goes with others: the contents of owned files, and git attributes."""
    return path.startswith(f"{FOLDER}/") and not path.endswith(".json")


def chooses(root: Path) -> bool:
    """Whether the user's configuration may choose the application; the file is not parsed."""
    try:
        return b"[tool.laterctl]" in (root / "pyproject.toml").read_bytes()
    except OSError:
        return False


def requested(root: Path, version: str) -> frozenset[str]:
    """Return the features that were asked for by name, with their tests, in the project at `root`.

    None when an entry is in doubt, or was not written by this version of laterctl.
    """
    found: set[str] = set()
    for name, values in _entries(root).items():
        if values.get("format") != FORMAT or values.get("laterctl") != version or name != file_of(values["feature"]):
            return frozenset()
        if values.get("requested") and values.get("tests", True):
            found.add(values["feature"])
    return frozenset(found)


def options(root: Path) -> dict[str, Mapping[str, Any]]:
    """Return the features that are installed in the project at `root`, as far as can be told, with their options."""
    return {values["feature"]: values.get("options") or {} for values in _entries(root).values() if values["feature"]}


def _entries(root: Path) -> dict[str, Mapping[str, Any]]:
    """Return the entries of the ledger by file; what cannot be read has no feature."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted((root / FOLDER).glob("*.json")):
        try:
            if not path.is_file():  # a FIFO would wait for a writer
                continue
            values = json.loads(path.read_bytes())
            found[f"{FOLDER}/{path.name}"] = values if isinstance(values["feature"], str) else {"feature": ""}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            found[f"{FOLDER}/{path.name}"] = {"feature": ""}
    return found
