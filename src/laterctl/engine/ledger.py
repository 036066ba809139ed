"""The ledger: which features are in a project, and exactly what each has there.

One JSON file a feature in `.laterctl/`, committed with the code: sorted, no timestamps, forward slashes, one line a
record. The content that owned files were created with, which an update merges against, lies beside it in `base/`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct, convert, field

from laterctl import __version__
from laterctl.changeset import checked_path
from laterctl.patterns import pattern
from laterctl.project.installed import FOLDER, FORMAT, file_of
from laterctl.project.places import Place
from laterctl.refusal import Refusal, Refused
from laterctl.targets.base import Record, from_json, to_json

if TYPE_CHECKING:
    from laterctl.project.tree import Tree

Value = str | int | float | bool
"""The value of an option."""

ATTRIBUTES = f"{FOLDER}/.gitattributes"
_ATTRIBUTES = b"* -diff linguist-generated=true\n"
_BASE_SUFFIX = ".base"
_NAME = pattern(r"[a-z0-9][a-z0-9_-]*")


class Entry(Struct, frozen=True):
    """One installed feature.

    `requested` is false when it was only pulled in. `version` is that of the laterctl that resolved the records.
    `requires` and `recommends` are what that version's declaration required and recommended; `declined` are the features
    among the latter that the user did without. `app` is the `module:attr` of the application that it has something in
    the file of, `""` when that is none. `left` says that the feature was removed, and why there are records still:
    `edited` when something of it is the user's now, `needed` when that of another feature needs it. `tests` says
    whether its tests are dropped in.
    """

    feature: str
    version: str
    requested: bool
    options: Mapping[str, Value] = field(default_factory=dict)
    records: tuple[Record, ...] = ()
    declined: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    recommends: tuple[str, ...] = ()
    app: str = ""
    left: str = ""
    tests: bool = True

    @property
    def path(self) -> str:
        """Where the entry is kept."""
        return file_of(self.feature)


def files(entries: Iterable[Entry]) -> dict[str, bytes]:
    """Return the files of the ledger by path: entries, base contents, and the attributes that keep both out of diffs."""
    found: dict[str, bytes] = {}
    for entry in entries:
        found[ATTRIBUTES] = _ATTRIBUTES
        found[entry.path] = dump(entry)
        for record in entry.records:
            if content := record.target.created():
                found[_base_of(record.target.path)] = content
    return found


def _base_of(path: str) -> str:
    return f"{FOLDER}/base/{path}{_BASE_SUFFIX}"


def dump(entry: Entry) -> bytes:
    """Return the JSON file of an entry."""
    records = sorted(
        json.dumps(_without_content(record), sort_keys=True, ensure_ascii=False) for record in entry.records
    )
    head = {
        "feature": entry.feature,
        "format": FORMAT,
        "laterctl": entry.version,
        "options": dict(sorted(entry.options.items())),
        "requested": entry.requested,
    }
    if entry.app:
        head["app"] = entry.app
    names = {"declined": entry.declined, "requires": entry.requires, "recommends": entry.recommends}
    head |= {name: sorted(value) for name, value in names.items() if value}
    head |= {"left": entry.left} if entry.left else {}
    head |= {} if entry.tests else {"tests": False}
    first = json.dumps(head, sort_keys=True, ensure_ascii=False).removesuffix("}")
    return (f'{first}, "records": [\n' + ",\n".join(records) + "]}\n").encode()


def _without_content(record: Record) -> dict[str, Any]:
    """Return a record as JSON in which a hash stands for the content of a file."""
    data = to_json(record)
    if record.target.whole_file:
        data.pop("text", None)
        if content := record.target.created():
            data["hash"] = _digest(content)
    return data


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def load(tree: Tree) -> dict[str, Entry]:
    """Read all entries of a project.

    Raises:
        Refused: a file has conflict markers, is not JSON, does not hold what an entry holds, or was written by a newer laterctl; the place is named.
    """
    return dict(_loaded(tree))


@lru_cache(maxsize=1)  # several ask in a run, all of the same tree
def _loaded(tree: Tree) -> Mapping[str, Entry]:
    entries: dict[str, Entry] = {}
    for path in paths(tree):
        entry = parse(path, tree.read(path) or b"", tree)
        if (other := entries.get(entry.feature)) is not None:
            raise _broken(path, 1, f"{other.feature} has another ledger in {FOLDER}/ too")
        entries[entry.feature] = entry
    return entries


def paths(tree: Tree) -> list[str]:
    """Return the files of the ledger that describe features, in whatever form."""
    names = tree.names(FOLDER) if tree.is_dir(FOLDER) else ()
    return [f"{FOLDER}/{name}" for name in names if name.endswith(".json")]


def parse(path: str, data: bytes, tree: Tree | None = None) -> Entry:
    """Read one entry; `tree` holds the contents of owned files. Raises `Refused` as `load` does."""
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
    culprit: Mapping[str, Any] = {}
    try:
        values = json.loads(text)
        if values["format"] > FORMAT or _is_newer(str(values["laterctl"])):
            raise Refused(
                Refusal(
                    "ledger-newer",
                    f"{path} was written by laterctl {values['laterctl']}, newer than this one",
                    Place(path, 1),
                    remedy="run that version or a newer one of laterctl",
                )
            )
        head = convert(values, _Head)
        recorded, requires = head.records, head.requires
        if head.format < FORMAT:
            from laterctl.engine.ledger_v1 import REQUIRES, migrated

            recorded, requires = migrated(recorded), REQUIRES.get(head.feature, ())
        records = []
        for culprit, item in zip(head.records, recorded, strict=True):  # noqa: B007 - an error is in it
            records.append(from_json(_with_content(item, tree)))
        return Entry(
            head.feature,
            head.laterctl,
            head.requested,
            head.options,
            tuple(records),
            head.declined,
            requires,
            head.recommends,
            head.app,
            head.left,
            head.tests,
        )
    except (ValueError, LookupError, TypeError, AttributeError, SyntaxError, RecursionError) as error:
        at = error.lineno if isinstance(error, json.JSONDecodeError) else _line_of(text, culprit)
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise _broken(path, at, reason) from error


class _Head(Struct):
    """What an entry has to be made of."""

    feature: str
    format: int
    laterctl: str
    requested: bool
    options: dict[str, Value]
    records: list[dict[str, Any]]
    declined: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    recommends: tuple[str, ...] = ()
    app: str = ""
    left: str = ""
    tests: bool = True

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.feature):
            raise ValueError(f"{self.feature!r} is no name of a feature")


def _broken(path: str, line: int, reason: str) -> Refused:
    return Refused(
        Refusal(
            "ledger-broken",
            f"{path} cannot be read: {reason}",
            Place(path, line),
            remedy="restore it from version control, or delete it and run `laterctl add` again",
        )
    )


def _line_of(text: str, record: Mapping[str, Any]) -> int:
    """Return the line of a record, which `dump` writes on one of its own; 1 where somebody wrote it otherwise."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith('{"'):
            with suppress(ValueError, RecursionError):
                if json.loads(line.rstrip().removesuffix("]}").rstrip(",")) == record:
                    return number
    return 1


def _is_newer(version: str) -> bool:
    return _numbers(version) > _numbers(__version__)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def _with_content(data: Mapping[str, Any], tree: Tree | None) -> Mapping[str, Any]:
    """Return a record's JSON with the content of its file, read from where it lies.

    Raises:
        ValueError: the content is missing, or not the one that was recorded.
    """
    digest = data.get("hash")
    if digest is None:
        return data
    path = _base_of(checked_path(data["path"]))
    content = tree.read(path) if tree is not None else None
    content = content.replace(b"\r\n", b"\n") if content is not None else None  # as a checkout may have made them
    if content is None or _digest(content) != digest:
        raise ValueError(f"{path} is missing" if content is None else f"{path} is not what was recorded")
    return {**{name: value for name, value in data.items() if name != "hash"}, "text": content.decode()}


def records_of(entries: Iterable[Entry]) -> list[Record]:
    """Return the records of several entries, in the order of feature names."""
    return [record for entry in sorted(entries, key=lambda item: item.feature) for record in entry.records]
