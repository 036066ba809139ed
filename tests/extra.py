"""Features that the suite alone has: they use what the vocabulary offers and no feature of ours does yet.

A test module that asks for the fixture `extra_features` finds them in the catalogue while it runs, and their templates
beside the real ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from laterctl import features, render
from laterctl.feature import Feature
from laterctl.features import catalogue

FOLDER: Final = Path(__file__).parent / "extra_features"
TEMPLATES: Final = Path(__file__).parent / "extra_templates"
NAMES: Final = tuple(sorted(path.stem.replace("_", "-") for path in FOLDER.glob("extra_*")))


@contextmanager
def registered(folder: Path = FOLDER, templates: Path = TEMPLATES) -> Iterator[None]:
    """Have the feature modules of a folder in the catalogue, and its templates behind the real ones."""
    loader = render._environment().loader
    features.__path__.append(str(folder))
    loader.searchpath.append(str(templates))
    _forget()
    try:
        yield
    finally:
        features.__path__.remove(str(folder))
        loader.searchpath.remove(str(templates))
        _forget()


def _forget() -> None:
    catalogue.module_names.cache_clear()
    catalogue.feature.cache_clear()


def declare(monkeypatch: pytest.MonkeyPatch, *declared: Feature) -> None:
    """Have some features in the catalogue, and no others, for one test."""
    by_name = {feature.name: feature for feature in declared}
    monkeypatch.setattr(catalogue, "module_names", lambda: tuple(sorted(by_name)))
    monkeypatch.setattr(catalogue, "feature", by_name.__getitem__)


def write_templates(monkeypatch: pytest.MonkeyPatch, folder: Path, texts: Mapping[str, str]) -> None:
    """Have some templates beside the real ones, for one test."""
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    loader = render._environment().loader
    monkeypatch.setattr(loader, "searchpath", [*loader.searchpath, str(folder)])
    monkeypatch.setattr(render._environment(), "cache", None)
