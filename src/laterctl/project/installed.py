"""What the ledger says at a glance: enough to know that there is nothing to do, and quick to load."""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = ".laterctl"
FORMAT = 2
_PREFIX = "feature-"


def file_of(feature: str) -> str:
    """Return where the ledger keeps a feature: under a name that patterns such as `coverage*.json` do not ignore."""
    return f"{FOLDER}/{_PREFIX}{feature}.json"


def is_derived(path: str) -> bool:
    """Tell whether a file of the ledger goes with others: the contents of owned files, and git attributes."""
    return path.startswith(f"{FOLDER}/") and not path.endswith(".json")


def chooses(root: Path) -> bool:
    """Whether the user's configuration may choose the application; the file is not parsed."""
    try:
        return b"[tool.laterctl]" in (root / "pyproject.toml").read_bytes()
    except OSError:
        return False


def requested(root: Path) -> frozenset[str]:
    """Return the features that were asked for by name in the project at `root`; none when an entry is in doubt."""
    found: set[str] = set()
    for path in (root / FOLDER).glob("*.json"):
        try:
            values = json.loads(path.read_bytes())
            if values["format"] != FORMAT or file_of(values["feature"]) != f"{FOLDER}/{path.name}":
                return frozenset()
            if values["requested"]:
                found.add(values["feature"])
        except (OSError, ValueError, KeyError, TypeError):
            return frozenset()
    return frozenset(found)
