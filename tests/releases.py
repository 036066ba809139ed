"""Pretends to be another release of laterctl: with its version, its features and its templates.

The features below are small, and have what today's real ones have not: options of every type, recommended features,
versions that differ.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import jinja2
import pytest

from laterctl import render
from laterctl.edits.app_statements import Router
from laterctl.edits.beside import Beside
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.file import File
from laterctl.edits.manifest import DependencyFloor, TomlTable
from laterctl.edits.setting import Setting
from laterctl.feature import Feature, Group, Option
from laterctl.features import catalogue


@dataclass(frozen=True)
class Release:
    """A release: its version, its features by name, its templates by path."""

    version: str
    features: Mapping[str, Feature]
    templates: Mapping[str, str] = field(default_factory=dict)

    def use(self, patch: pytest.MonkeyPatch) -> None:
        """Be this release from now on."""
        real = render._environment().loader
        patch.setattr(render._environment(), "loader", jinja2.ChoiceLoader([jinja2.DictLoader(self.templates), real]))
        patch.setattr(catalogue, "module_names", lambda: tuple(sorted(self.features)))
        patch.setattr(catalogue, "feature", self._feature)
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] == "laterctl" and "__version__" in vars(module):
                patch.setattr(module, "__version__", self.version)

    def _feature(self, name: str) -> Feature:
        if name not in self.features:
            raise catalogue.UnknownFeature(name, [])
        return self.features[name]


SHELF_FILE: Final = '''\
"""Where parcels lie."""

shelves: list[str] = []


def put(parcel: str) -> None:
    """Put a parcel on a shelf."""
    shelves.append(parcel)
'''
PARCEL_FILE: Final = '''\
"""Parcels that are sent."""

from fastapi import APIRouter

from {{ module('core.shelf') }} import put

router = APIRouter()
WEIGHT = {{ options.weight }}
COLOUR = "{{ options.colour }}"


@router.get("/parcels")
def parcels() -> dict[str, int]:
    """Answer what parcels weigh."""
    put(COLOUR)
    return {"weight": WEIGHT}


def limit() -> int:
    """Return the highest weight."""
    name = 'parcel_limit'
    return int(str({{ setting_by_name() }} or 30))
'''
STAMP_FILE: Final = '''\
"""Stamps."""

STAMP = "{{ options.text }}"
'''
TEMPLATES: Final = {
    "shelf.py.jinja": SHELF_FILE,
    "parcel.py.jinja": PARCEL_FILE,
    "stamp.py.jinja": STAMP_FILE,
}


def _parcel(context: FeatureContext) -> Iterator[Edit]:
    values = [("weight", context.options["weight"]), ("colour", context.options["colour"])]
    if context.options["fragile"]:
        values.append(("padding", context.options["padding"]))
        yield DependencyFloor("bubblewrap>=1")
    yield TomlTable(("tool", "parcel"), tuple(values))


SHELF: Final = Feature(
    name="shelf", hidden=True, summary="where parcels lie", edits=(File("core/shelf.py", "shelf.py.jinja", open=True),)
)
PARCEL: Final = Feature(
    name="parcel",
    group=Group.TESTING,
    summary="parcels that are sent",
    requires=("shelf",),
    recommends=("stamp",),
    options=(
        Option("weight", "what a parcel weighs", int, 5, minimum=1, maximum=100),
        Option("padding", "how thick the padding is", float, 0.5, minimum=0),
        Option("fragile", "whether it breaks", bool, False),
        Option("colour", "of the paper", str, "red", choices=("red", "green")),
    ),
    edits=(
        File("core/parcel.py", "parcel.py.jinja"),
        Setting("parcel_limit", "int", 30),
        Router("core.parcel:router", alias="parcel_router"),
        DependencyFloor("twine>=5"),
        Beside("stamp", (TomlTable(("tool", "stamp"), (("sticks", True),)),)),
    ),
    edits_for=_parcel,
)
STAMP: Final = Feature(
    name="stamp",
    group=Group.TESTING,
    summary="stamps",
    options=(Option("text", "what is on it", str, "post"),),
    edits=(File("core/stamp.py", "stamp.py.jinja"), DependencyFloor("twine>=6")),
)
LETTER: Final = Feature(
    name="letter",
    group=Group.TESTING,
    summary="letters",
    requires=("shelf",),
    edits=(File("core/letter.py", "letter.py.jinja"),),
)
LETTER_FILE: Final = '''\
"""Letters."""

from {{ module('core.shelf') }} import put


def send() -> None:
    """Put a letter on a shelf."""
    put("letter")
'''
FEATURES: Final = {item.name: item for item in (SHELF, PARCEL, STAMP, LETTER)}
OLD: Final = Release("0.2.0", FEATURES, {**TEMPLATES, "letter.py.jinja": LETTER_FILE})


def newer(features: Mapping[str, Feature] | None = None, **texts: str) -> Release:
    """Return the release after `OLD`, with other features and with other templates, by their names (`parcel`)."""
    templates = {f"{name}.py.jinja": text for name, text in texts.items()}
    return Release("0.3.0", {**FEATURES, **(features or {})}, {**OLD.templates, **templates})
