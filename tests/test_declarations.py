"""What a declaration names exists: features, groups, ranks, templates, settings, providers, and what its notes say.

The walk is over the catalogue, so that a new feature is held to it without a line here.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeGuard

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from laterctl.codemods.lines import env_key
from laterctl.commands import new
from laterctl.edits.app_statements import (
    RANKS,
    AppArgument,
    ExceptionHandler,
    Middleware,
    Router,
    StartupCall,
)
from laterctl.edits.beside import Beside
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.fixture import Fixture
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.provider import Provider
from laterctl.edits.rewritten_call import RewrittenCall
from laterctl.edits.setting import Setting
from laterctl.engine.plan import Request
from laterctl.feature import Feature, Group, Option, Value
from laterctl.features import catalogue
from laterctl.project.installed import file_of
from laterctl.project.statements import Function
from laterctl.render import TEMPLATES
from tests import memory
from tests.dialect_projects import FOUNDED, NAMES, dialect, features
from tests.shapes import FOUNDATION_PACKAGE
from tests.test_docs import problems

FEATURES: Final = catalogue.every()
LEDGER: Final = ".laterctl/"
ASKED: Final = re.compile(r"""\b(provided)\((['"])(\w+)\2\)""")
VARIABLE: Final = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
OWN_OPTION: Final = re.compile(r"{% (?:(?:el)?if options\.\w+ [=!]= '\w+'|else|endif) %}")
SESSIONS: Final = f"""\
from fastapi import APIRouter, Depends
from sqlalchemy.ext.asyncio import AsyncSession
from {FOUNDATION_PACKAGE}.db import engine

router = APIRouter()


async def get_session():
    async with AsyncSession(engine) as session:
        yield session


@router.get("/orders", dependencies=[Depends(get_session)])
async def orders(): ...
""".encode()
OFFERED: Final = {
    "image",
    "options",
    "served",
    "container_import",
    *("http_client", "app_module", "app_call", "app_name", "package", "variable"),
    *(
        "provided",
        "kept",
        "engine",
        "metadata",
        "table_modules",
        "modules",
        "import_root",
        "current_user",
        "session",
        "module",
        "module_import",
        "environment",
        "setting_by_name",
        "variable_by_name",
    ),
}

each_feature = pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)


def with_required(feature: Feature) -> list[Feature]:
    """Return a feature with all it requires, whatever the values of its options."""
    chosen = [name for option in feature.options for names in option.requires.values() for name in names]
    return [catalogue.feature(name) for name in catalogue.closure([feature.name, *chosen])]


def edits(feature: Feature, kind: type) -> list[Any]:
    """Return the edits of a kind that a feature and what it requires declare."""
    return [edit for item in with_required(feature) for edit in catalogue.edits_of(item.name) if isinstance(edit, kind)]


def besides(declared: Iterable[Any]) -> Iterator[str]:
    """Yield the features that edits hold beside."""
    for edit in declared:
        if isinstance(edit, Beside):
            yield edit.feature
        yield from besides(getattr(edit, "edits", ()))


@cache
def added(feature: str, name: str) -> dict[str, bytes]:
    """Return a project in a dialect with a feature and what it requires; a hidden one comes with one that needs it."""
    return memory.add(dialect(name), user_of(feature))


def user_of(feature: str) -> str:
    """Return a feature itself, or one that brings it when it is hidden and not only for some value of an option."""
    users = [item.name for item in FEATURES if not item.hidden and feature in catalogue.closure([item.name], {})]
    return next(iter([feature] if feature in users else users), feature)


def values_of(option: Option) -> tuple[Value, ...]:
    """Return the values that an option has a choice of, none where it may be anything."""
    return option.choices or option.examples or ((False, True) if option.type is bool else ())


@cache
def with_each_value(feature: str, name: str) -> tuple[dict[str, bytes], ...]:
    """Return a project in a dialect with a feature, once for each value that an option of it has a choice of."""
    values = [(option.name, value) for option in catalogue.feature(feature).options for value in values_of(option)]
    requests = [Request(add=(user_of(feature),), options={feature: {option: value}}) for option, value in values]
    return (added(feature, name), *(memory.run(dialect(name), request) for request in requests))


@cache
def together(name: str) -> dict[str, bytes]:
    """Return a project in a dialect with every feature that it takes: some write more beside others."""
    return memory.add(dialect(name), *features(name))


@cache
def with_last_values(feature: str) -> dict[str, bytes]:
    """Return the foundation with every feature, and the last value of each option of one; nothing where these exclude."""
    values = {option.name: values_of(option)[-1] for option in catalogue.feature(feature).options if values_of(option)}
    try:
        return memory.run(dialect("dynaconf"), Request(add=features("dynaconf"), options={feature: values}))
    except memory.Refusing:
        return {}


def taking(feature: str) -> list[str]:
    """Return the dialects of projects that take a feature."""
    return [name for name in NAMES if catalogue.feature(feature).hidden or feature in features(name)]


@cache
def with_callers(feature: str, name: str) -> dict[str, bytes]:
    """Return a project in a dialect that has its own callers and sessions, with a feature; nothing where it does not fit."""
    path = f"src/{FOUNDATION_PACKAGE}/{{}}.py"
    own = {
        path.format("callers"): b'async def get_current_user() -> str:\n    return "ada"\n',
        path.format("sessions"): SESSIONS,
    }
    try:
        return memory.add({**dialect(name), **own}, user_of(feature))
    except memory.Refusing:
        return {}


@cache
def templates(feature: str) -> frozenset[str]:
    """Return the templates that a feature uses in one dialect or another."""
    found: set[str] = set()
    for name in taking(feature):
        trees = (
            *with_each_value(feature, name),
            with_callers(feature, name),
            together(name),
            with_last_values(feature),
        )
        entries = [tree[file_of(feature)].decode() for tree in trees if file_of(feature) in tree]
        found |= {path for path in every_template() if any(f'"{path}"' in entry for entry in entries)}
    return frozenset(found)


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


LISTED: Final = [item for item in FEATURES if not item.hidden]
NOTICED: Final = (AppArgument, ExceptionHandler, Middleware, RewrittenCall, Router, StartupCall)
"""Edits that a running application is never the same after."""


@pytest.mark.parametrize("feature", LISTED, ids=lambda feature: feature.name)
def test_the_guide_knows_its_place(feature: Feature) -> None:
    assert feature.stage, f"{feature.name}: say which part of the way it belongs to, stage=Stage..."
    assert feature.why, f"{feature.name}: say why it stands there, why='...', in a line"
    assert not feature.why.endswith(".")
    assert feature.name not in feature.after
    others = [name for name in feature.after if catalogue.feature(name).stage is not feature.stage]
    assert others == [], f"{feature.name}: after=(...) names features of its own stage, the stages have their order"
    if any(isinstance(edit, NOTICED) for edit in feature.edits):
        assert feature.changes, f"{feature.name}: say what behaves differently afterwards, changes=('...',)"


def test_capabilities_are_not_in_the_guide() -> None:
    assert [item.name for item in FEATURES if item.hidden and (item.stage or item.after or item.why)] == []


def test_each_capability_is_required() -> None:
    required = {name for item in FEATURES for name in (*item.requires, *item.recommends)}
    required |= {
        name for item in FEATURES for option in item.options for names in option.requires.values() for name in names
    }
    assert {item.name for item in FEATURES if item.hidden} <= required


@each_feature
def test_its_tests_of_the_application_are_dropped_where_it_can_be_imported(feature: Feature) -> None:
    for test in edits(feature, DroppedTest):
        assert "app_module" not in source(test.template) or test.when is has_importable_app, test.name


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


@each_feature
def test_its_routes_are_named_for_what_they_are_part_of(feature: Feature) -> None:
    """Projects make operation ids of these names, and have a `refresh` or a `login` of their own."""
    for edit in feature.edits:
        if isinstance(edit, Router):
            subject = edit.alias.removesuffix("_router")
            path = edit.source.partition(":")[0].replace(".", "/")
            (text,) = (
                data
                for name, data in added(feature.name, taking(feature.name)[-1]).items()
                if name.endswith(f"{path}.py")
            )
            tree = ast.parse(text)
            names = [item.name for item in ast.walk(tree) if isinstance(item, Function) and _is_route(item)]
            names += [ast.unparse(item.args[1]) for item in ast.walk(tree) if _is_plain_route(item)]
            assert names
            assert [name for name in names if subject not in name.split("_")] == []


def _is_plain_route(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "router.add_route"


def _is_route(function: Function) -> bool:
    return any(ast.unparse(item).startswith("router.") for item in function.decorator_list)


def test_each_template_is_used() -> None:
    used = {path for item in FEATURES for path in templates(item.name)}
    used |= {edit.template for item in FEATURES for edit in edits(item, Fixture)}  # of which no ledger tells
    written_by_new = {path for path in every_template() if path in Path(new.__file__).read_text(encoding="utf-8")}
    assert {*every_template()} == used | written_by_new


@pytest.mark.parametrize("template", every_template())
def test_a_template_asks_for_nothing_but_what_is_offered(template: str) -> None:
    text = source(template)
    text = OWN_OPTION.sub("", text)
    assert "{%" not in text, "two templates with one interface, and a function that chooses"
    asked = re.findall(r"{{\s*(\w+)", text)
    assert {*asked} <= OFFERED


@each_feature
def test_what_its_templates_read_is_declared(feature: Feature) -> None:
    container = memory.project(dialect(FOUNDED[0])).container
    assert container is not None
    beside = (edit for name in besides(feature.edits) for edit in catalogue.edits_of(name))
    provided = (edit for edit in (*edits(feature, Provider), *beside) if isinstance(edit, Provider))
    known = {"provided": {edit.name for edit in provided} | {*container.providers}}
    for template in templates(feature.name):
        for kind, _, name in ASKED.findall(source(template)):
            assert name in known[kind], f"{template} reads {name}, which neither {feature.name} nor what it needs has"


@each_feature
def test_what_it_declares_is_read(feature: Feature) -> None:
    texts = "".join(source(template) for template in templates(feature.name))
    for edit in catalogue.edits_of(feature.name):
        if isinstance(edit, Setting):
            assert f"\n    {edit.name}: " in texts, f"no settings of the feature have {edit.name}"


@each_feature
def test_its_secrets_are_secret_settings(feature: Feature) -> None:
    if feature.secret is not None:
        own = catalogue.edits_of(feature.name)
        secret = {edit.name for edit in own if isinstance(edit, Setting) and edit.secret}
        assert {*feature.secret()} <= secret


@each_feature
def test_its_notes_name_what_is_there(feature: Feature) -> None:
    said = " ".join((*feature.notes, *feature.changes))
    settings = {edit.name.upper() for edit in edits(feature, Setting)}
    texts = "".join(source(template) for template in templates(feature.name))
    assert [word for word in VARIABLE.findall(said) if word not in settings and word not in texts] == []
    assert [problem for command in commands(said) for problem in problems(command)] == []
    tree = added(feature.name, taking(feature.name)[-1])
    paths = re.findall(r"\b[\w./-]+\.py\b", said)
    assert [path for path in paths if not any(f"/{known}".endswith(f"/{path}") for known in tree)] == []
    written = b"".join(data for path, data in tree.items() if not path.startswith(LEDGER)).decode()
    annotations = re.findall(r"\b\w+: ([A-Z]\w+)", said)
    assert [name for name in annotations if not re.search(rf"\b{name}\b", written)] == []


def commands(text: str) -> Iterator[str]:
    """Yield the `laterctl` command lines in a text."""
    for found in re.finditer(r"\blaterctl [a-z][a-z0-9 -]*[a-z0-9]", text):
        yield found[0]


@each_feature
def test_its_settings_say_what_they_are(feature: Feature) -> None:
    """The words stand above the setting in an example environment file, and must not read as a setting there."""
    for edit in feature.edits:
        if isinstance(edit, Setting):
            assert edit.help
            assert not env_key(f"# {edit.words()}")
            assert not edit.name.endswith("_ttl") or "in seconds" in edit.help
            if feature.secret is not None and edit.name in feature.secret():
                assert f"laterctl secret {feature.name}" in edit.help


def test_settings_have_the_types_in_the_users_class_that_ours_read_them_with() -> None:
    """What may only be a few texts, or a number above a bound, is refused in the place where people look."""
    fields: dict[str, dict[str, str]] = {"Settings": {}, "FeatureSettings": {}}
    for path, data in memory.add(dialect("object"), *features("object")).items():
        for node in ast.walk(ast.parse(data)) if path.endswith(".py") else ():
            if isinstance(node, ast.ClassDef):
                kind = "Settings" if node.name == "Settings" else next(map(ast.unparse, node.bases), "")
                for item in node.body if kind in fields else ():
                    if isinstance(item, ast.AnnAssign):
                        fields[kind][ast.unparse(item.target)] = ast.unparse(item.annotation)
    bound = ("Literal[", "Positive", "NonNegative")
    narrow = {name: kind for name, kind in fields["FeatureSettings"].items() if kind.startswith(bound)}
    assert {kind.partition("[")[0] for kind in narrow.values()} >= {"Literal", "PositiveInt", "NonNegativeInt"}
    assert {name: fields["Settings"][name] for name in narrow} == narrow


def test_each_field_of_the_users_class_says_what_it_is() -> None:
    before = dialect("object")
    path = "src/order_service/core/config.py"
    after = memory.add(before, *features("object"))[path].decode()
    fields = [line for line in {*after.splitlines()} - {*before[path].decode().splitlines()} if " = " in line]
    assert len(fields) > 40
    assert [line for line in fields if "  # " not in line] == []


@each_feature
def test_its_routes_have_a_tag(feature: Feature) -> None:
    """Projects that make operation ids of the first tag, as FastAPI's own template does, fail on a route without one."""
    for template in templates(feature.name):
        if "/tests/" not in template and "\n@router." in source(template):
            assert re.search(r"APIRouter\([^()]*tags=", source(template)), template
