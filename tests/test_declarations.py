"""What a declaration names exists: features, groups, ranks, templates, settings, providers, and what its notes say.

The walk is over the catalogue, so that a new feature is held to it without a line here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from laterctl.commands import new
from laterctl.edits.app_statements import RANKS, Middleware
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.provider import Provider
from laterctl.edits.setting import Setting
from laterctl.engine.plan import Request
from laterctl.feature import Feature, Group
from laterctl.features import catalogue
from laterctl.project.installed import file_of
from laterctl.render import TEMPLATES
from tests import memory
from tests.dialect_projects import NAMES, dialect
from tests.test_docs import problems

FEATURES: Final = catalogue.every()
LEDGER: Final = ".laterctl/"
ASKED: Final = re.compile(r"""\b(setting|provided)\((['"])(\w+)\2\)""")
VARIABLE: Final = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
OFFERED: Final = {
    *("http_client", "app_module", "app_call", "app_name", "package", "variable"),
    *("setting", "provided", "module", "module_import", "environment", "setting_by_name", "variable_by_name"),
}

each_feature = pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)


def with_required(feature: Feature) -> list[Feature]:
    """Return a feature with all it requires."""
    return [catalogue.feature(name) for name in catalogue.closure([feature.name])]


def edits(feature: Feature, kind: type) -> list[Any]:
    """Return the edits of a kind that a feature and what it requires declare."""
    return [edit for item in with_required(feature) for edit in item.edits if isinstance(edit, kind)]


@cache
def added(feature: str, name: str) -> dict[str, bytes]:
    """Return a project in a dialect with a feature and what it requires; a hidden one comes with one that needs it."""
    return memory.add(dialect(name), user_of(feature))


def user_of(feature: str) -> str:
    """Return a feature itself, or one that brings it when it is hidden."""
    users = [item.name for item in FEATURES if not item.hidden and feature in catalogue.closure([item.name], {})]
    return feature if feature in users else users[0]


@cache
def templates(feature: str) -> frozenset[str]:
    """Return the templates that a feature uses in one dialect or another, with one option or another."""
    entries = [added(feature, name)[file_of(feature)].decode() for name in NAMES]
    for option in catalogue.feature(feature).options:
        for choice in option.choices:
            request = Request(add=(user_of(feature),), options={feature: {option.name: choice}})
            entries.append(memory.run(dialect("none"), request)[file_of(feature)].decode())
    return frozenset(path for path in every_template() if any(f'"{path}"' in entry for entry in entries))


@cache
def every_template() -> tuple[str, ...]:
    """Return the templates of features, by their paths below the template folder."""
    found = (path.relative_to(TEMPLATES).as_posix() for path in sorted(TEMPLATES.rglob("*")) if path.is_file())
    return tuple(path for path in found if not path.startswith("must/"))


def source(template: str) -> str:
    """Return the text of a template."""
    return (TEMPLATES / template).read_text(encoding="utf-8")


def test_names_are_told_apart() -> None:
    names = Counter(word for item in FEATURES for word in (item.name, *item.aliases))
    assert [word for word, count in names.items() if count > 1] == []
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*", word) for word in names)


@each_feature
def test_it_is_listed_under_a_known_group(feature: Feature) -> None:
    assert feature.name in catalogue.module_names()
    assert feature.summary
    assert not feature.summary.endswith(".")
    assert "\n" not in feature.summary
    assert feature.group in [*Group]
    assert bool(feature.group) != feature.hidden


@each_feature
def test_it_names_other_features_that_exist(feature: Feature) -> None:
    assert {*feature.requires, *feature.conflicts} <= {*catalogue.module_names()} - {feature.name}
    assert not {*feature.conflicts} & {*catalogue.closure([feature.name])}


def test_each_capability_is_required() -> None:
    required = {name for item in FEATURES for name in item.requires}
    assert {item.name for item in FEATURES if item.hidden} <= required


@each_feature
def test_its_versions_are_versions(feature: Feature) -> None:
    assert {*feature.floors} <= {"python", "fastapi", "pydantic"}
    assert all(Version(floor) for floor in feature.floors.values())
    for edit in edits(feature, DependencyFloor):
        assert Requirement(edit.requirement).specifier, f"{edit.requirement} has no floor"


@each_feature
def test_its_options_can_be_set(feature: Feature) -> None:
    names = [option.name for option in feature.options]
    assert len({*names}) == len(names)
    assert all(option.default in {*option.choices, None} for option in feature.options if option.choices)


@each_feature
def test_its_middleware_has_a_rank(feature: Feature) -> None:
    for edit in edits(feature, Middleware):
        assert edit.rank in RANKS


def test_each_template_is_used() -> None:
    used = {path for item in FEATURES for path in templates(item.name)}
    written_by_new = {path for path in every_template() if path in Path(new.__file__).read_text(encoding="utf-8")}
    assert {*every_template()} == used | written_by_new


@pytest.mark.parametrize("template", every_template())
def test_a_template_asks_for_nothing_but_what_is_offered(template: str) -> None:
    text = source(template)
    assert "{%" not in text, "two templates with one interface, and a function that chooses"
    asked = re.findall(r"{{\s*(\w+)", text)
    assert {*asked} <= OFFERED


@each_feature
def test_what_its_templates_read_is_declared(feature: Feature) -> None:
    known = {
        "setting": {edit.name for edit in edits(feature, Setting)},
        "provided": {edit.name for edit in edits(feature, Provider)},
    }
    for template in templates(feature.name):
        for kind, _, name in ASKED.findall(source(template)):
            assert name in known[kind], f"{template} reads {name}, which neither {feature.name} nor what it needs has"


@each_feature
def test_what_it_declares_is_read(feature: Feature) -> None:
    texts = "".join(source(template) for template in templates(feature.name))
    for edit in feature.edits:
        if isinstance(edit, Setting):
            read = f"setting('{edit.name}')" in texts or f"    {edit.name}: " in texts
            assert read, f"nobody reads {edit.name}"


@each_feature
def test_its_secrets_are_secret_settings(feature: Feature) -> None:
    if feature.secret is not None:
        secret = {edit.name for edit in feature.edits if isinstance(edit, Setting) and edit.secret}
        assert {*feature.secret()} <= secret


@each_feature
def test_its_notes_name_what_is_there(feature: Feature) -> None:
    said = " ".join((*feature.notes, *feature.changes))
    settings = {edit.name.upper() for edit in edits(feature, Setting)}
    texts = "".join(source(template) for template in templates(feature.name))
    assert [word for word in VARIABLE.findall(said) if word not in settings and word not in texts] == []
    assert [problem for command in commands(said) for problem in problems(command)] == []
    tree = added(feature.name, "none")
    paths = re.findall(r"\b[\w./-]+\.py\b", said)
    assert [path for path in paths if not any(known.endswith(f"/{path}") for known in tree)] == []
    written = b"".join(data for path, data in tree.items() if not path.startswith(LEDGER)).decode()
    annotations = re.findall(r"\b\w+: ([A-Z]\w+)", said)
    assert [name for name in annotations if not re.search(rf"\b{name}\b", written)] == []


def commands(text: str) -> Iterator[str]:
    """Yield the `laterctl` command lines in a text."""
    for found in re.finditer(r"\blaterctl [a-z][a-z -]*[a-z]", text):
        yield found[0]
