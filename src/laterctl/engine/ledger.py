"""The ledger: which features are in a project, and exactly what each has there.

One JSON file a feature in `.laterctl/`, committed with the code: sorted, no timestamps, forward slashes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from laterctl.engine.installed import FOLDER, FORMAT
from laterctl.project.places import Place
from laterctl.refusal import Refusal, Refused
from laterctl.targets.base import Record, from_json, to_json

if TYPE_CHECKING:
    from laterctl.project.tree import Tree


class Entry(Struct, frozen=True):
    """One installed feature.

    `requested` is false when it was only pulled in. `version` is that of the laterctl that wrote the targets.
    """

    feature: str
    version: str
    requested: bool
    options: Mapping[str, str] = field(default_factory=dict)
    records: tuple[Record, ...] = ()

    @property
    def path(self) -> str:
        """Where the entry is kept."""
        return f"{FOLDER}/{self.feature}.json"


def dump(entry: Entry) -> bytes:
    """Return the file of an entry."""
    records = sorted((to_json(record) for record in entry.records), key=lambda item: json.dumps(item, sort_keys=True))
    data = {
        "feature": entry.feature,
        "format": FORMAT,
        "laterctl": entry.version,
        "options": dict(entry.options),
        "records": records,
        "requested": entry.requested,
    }
    return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def load(tree: Tree) -> dict[str, Entry]:
    """Read all entries of a project.

    Raises:
        Refused: a file has conflict markers, is not JSON, or was written by a newer laterctl; the place is named.
    """
    entries: dict[str, Entry] = {}
    if not tree.is_dir(FOLDER):
        return entries
    for name in tree.names(FOLDER):
        if name.endswith(".json"):
            entry = parse(f"{FOLDER}/{name}", tree.read(f"{FOLDER}/{name}") or b"")
            entries[entry.feature] = entry
    return entries


def parse(path: str, data: bytes) -> Entry:
    """Read one entry. Raises `Refused` as `load` does."""
    text = data.decode("utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(("<<<<<<< ", "=======", ">>>>>>> ")):
            raise Refused(
                Refusal(
                    "ledger-conflict",
                    f"{path} has conflict markers",
                    Place(path, number),
                    seen=line,
                    expected="JSON",
                    remedy="resolve the merge of this file, then run the command again",
                )
            )
    try:
        values = json.loads(text)
        if values["format"] > FORMAT:
            raise Refused(
                Refusal(
                    "ledger-newer",
                    f"{path} was written by laterctl {values['laterctl']}, newer than this one",
                    Place(path, 1),
                    remedy="run that version or a newer one of laterctl",
                )
            )
        return Entry(
            values["feature"],
            values["laterctl"],
            bool(values["requested"]),
            dict(values["options"]),
            tuple(from_json(item) for item in values["records"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        number = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise Refused(
            Refusal(
                "ledger-broken",
                f"{path} cannot be read: {error}",
                Place(path, number),
                remedy="restore it from version control, or delete it and run `laterctl add` again",
            )
        ) from error


def records_of(entries: Iterable[Entry]) -> list[Record]:
    """Return the records of several entries, in the order of feature names."""
    return [record for entry in sorted(entries, key=lambda item: item.feature) for record in entry.records]
