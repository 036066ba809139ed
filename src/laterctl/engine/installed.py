"""What the ledger says at a glance: enough to know that there is nothing to do, and quick to load."""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = ".laterctl"
FORMAT = 1


def requested(root: Path) -> frozenset[str]:
    """Return the features that were asked for by name in the project at `root`; none when an entry is in doubt."""
    found: set[str] = set()
    for path in (root / FOLDER).glob("*.json"):
        try:
            values = json.loads(path.read_bytes())
            if values["format"] != FORMAT or f"{values['feature']}.json" != path.name:
                return frozenset()
            if values["requested"]:
                found.add(values["feature"])
        except (OSError, ValueError, KeyError, TypeError):
            return frozenset()
    return frozenset(found)
