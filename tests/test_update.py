"""The law of versions: an update gives what adding today's version would have given, with the user's edits in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Final

import jinja2
import pytest
from msgspec.structs import replace

from laterctl import render
from laterctl.edits.alias import DependencyAlias
from laterctl.edits.app_statements import Router
from laterctl.edits.beside import Beside
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.file import File
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.setting import Setting
from laterctl.engine import ledger
from laterctl.engine.plan import Plan, Request
from laterctl.feature import Feature, Group
from laterctl.features import catalogue
from laterctl.proof.static import prove
from laterctl.refusal import Refusal, Refused
from laterctl.render import TEMPLATES
from tests import extra, memory
from tests.memory import Files, Refusing
from tests.releases import (
    FEATURES,
    LETTER,
    LETTER_FILE,
    OLD,
    PARCEL,
    PARCEL_FILE,
    SHELF_FILE,
    STAMP,
    Release,
    newer,
)
from tests.shapes import SHAPES, Shape, shape_named
from tests.test_extra_laws import files_of
from tests.test_laws import assert_same, project_files, taken
from tests.test_removal import advice
from tests.turns import DIALECTS

ALL: Final = ("letter", "parcel", "stamp")
EVERYWHERE: Final = ("flat", "foundation", "crlf", "poetry", "own_lifespan", "cached_getter", "environ", "src_layout")
NEW_PARCEL: Final = PARCEL_FILE.replace("Answer what parcels weigh.", "Answer with the weight of a parcel.").replace(
    "int(", "round("
)
NEW: Final = newer(
    {
        "parcel": replace(
            PARCEL,
            requires=("shelf", "tape"),
            edits=(
                File("core/parcel.py", "parcel.py.jinja"),
                Setting("parcel_limit", "int", 40),
                Router("core.parcel:router", alias="parcels"),
                DependencyFloor("twine>=7"),
                DependencyFloor("rich>=13"),
            ),
        ),
        "stamp": replace(STAMP, edits=(File("core/stamps.py", "stamp.py.jinja"), DependencyFloor("twine>=5"))),
        "tape": Feature(name="tape", hidden=True, summary="tape", edits=(File("core/tape.py", "tape.py.jinja"),)),
    },
    parcel=NEW_PARCEL,
    tape="TAPE = 1\n",
    shelf=SHELF_FILE.replace("Put a parcel on a shelf.", "Put something on a shelf."),
)
"""Every kind of change: other text, another default, another name, other floors, another place, another requirement."""


@pytest.fixture(autouse=True)
def _old(monkeypatch: pytest.MonkeyPatch) -> None:
    OLD.use(monkeypatch)


def installed(shape: str = "flat", *names: str) -> dict[str, bytes]:
    """Return a project with features as the old release writes them."""
    return memory.add(project_files(shape_named(shape)), *(names or ALL))


def planned(files: Files, *names: str, conflicts: bool = False) -> Plan:
    """Plan an update of features, of all when none is named."""
    every = tuple(sorted(ledger.load(memory.project(files).tree).keys() & set(catalogue.module_names())))
    return memory.planned(files, Request(update=names or every, conflicts=conflicts))


def update(files: Files, *names: str, conflicts: bool = False) -> dict[str, bytes]:
    """Return the files after an update, which has to be proved unless it leaves conflicts."""
    plan = planned(files, *names, conflicts=conflicts)
    after = memory.applied(files, plan)
    if not conflicts:
        assert prove(memory.project(files), plan) == []
    return after


def refusals(files: Files, *names: str) -> tuple[Refusal, ...]:
    """Return why an update is refused."""
    with pytest.raises(Refusing) as refusing:
        update(files, *names)
    return refusing.value.refusals


def edited(files: Files, path: str, old: str, new: str) -> dict[str, bytes]:
    """Return files in which a user replaced a text that stands in one of them once."""
    text = files[path].decode()
    assert text.count(old) == 1, text
    return {**files, path: text.replace(old, new).encode()}


def code(files: Files) -> dict[str, bytes]:
    """Return files without the ledger."""
    return {path: data for path, data in files.items() if not path.startswith(".laterctl/")}


# What laterctl wrote and nobody touched


@pytest.mark.parametrize("shape", EVERYWHERE)
def test_an_update_is_as_if_the_new_version_had_been_there_first(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = project_files(shape_named(shape))
    old = installed(shape)
    NEW.use(monkeypatch)
    new = update(old)
    assert_same(new, memory.add(before, *ALL), "update = add today")
    assert_same(update(new), new, "update; update = update")
    assert_same(memory.add(new, *ALL), new, "and adding again changes nothing")
    assert_same(memory.remove(new, *ALL), before, "and out")
    assert new.keys() - old.keys() >= {path.replace("stamp.py", "stamps.py") for path in old if "core/stamp.py" in path}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_the_same_templates_change_nothing_but_the_version(shape: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    before = memory.add(project_files(shape), *taken(shape), app=shape.app_flag)
    real = {item.name: item for item in catalogue.every()}
    names = tuple(ledger.load(memory.project(before, shape.app_flag).tree))
    Release("7.0.0", real).use(monkeypatch)
    after = memory.run(before, Request(update=names), shape.app_flag)
    assert before != after
    old = {path: data.replace(b'"laterctl": "0.2.0"', b'"laterctl": "7.0.0"') for path, data in before.items()}
    assert_same(old, after, "update")


class Reworded(jinja2.BaseLoader):
    """Templates as a later release has them: another first line, and one more at the end of Python files."""

    def __init__(self, inner: jinja2.BaseLoader) -> None:
        self.inner = inner

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str | None, None]:
        text, name, _ = self.inner.get_source(environment, template)
        text = text.replace('"""', '"""Now: ', 1)
        is_module = template.endswith(".py.jinja") and "conftest/" not in template  # these are functions alone
        return f"{text}\n\nLATER = 1\n" if is_module else text, name, None


@pytest.mark.parametrize("shape", [*DIALECTS, *map(shape_named, ("crlf", "tabs", "bom"))], ids=lambda shape: shape.name)
def test_all_templates_change(shape: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    """For all features, those of the suite alone too: an update gives what adding today gives."""
    monkeypatch.undo()
    with extra.registered(), pytest.MonkeyPatch.context() as patch:
        before = files_of(shape)
        wanted = [name for name in (*taken(shape), *extra.NAMES) if not ("Dockerfile" in before and "docker" in name)]
        # The foundation has request ids in the words of its own version; and a project with an engine has several beside
        # those of the module that is put in here.
        aside = {"request-scope", "logging", "health"} if not shape.folder else set()
        aside |= {"tracing", "migrations", "pooling", "health"} if shape.folder and "pooling" in taken(shape) else set()
        wanted = [name for name in wanted if name not in aside]
        old = memory.add(before, *wanted, app=shape.app_flag)
        names = tuple(ledger.load(memory.project(old, shape.app_flag).tree))
        Release("7.0.0", {item.name: item for item in catalogue.every()}).use(patch)
        loader = render._environment().loader
        assert loader is not None
        patch.setattr(render._environment(), "loader", Reworded(loader))
        plan = memory.planned(old, Request(update=names), shape.app_flag)
        new = memory.applied(old, plan)
        assert prove(memory.project(old, shape.app_flag), plan) == []
        assert_same(new, memory.add(before, *wanted, app=shape.app_flag), "update = add today")
        assert_same(memory.run(new, Request(update=names), shape.app_flag), new, "update; update = update")
        assert_same(memory.remove(new, *wanted, app=shape.app_flag), before, "and out")


@pytest.mark.parametrize("name", ALL)
def test_one_feature_and_what_it_builds_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = installed()
    NEW.use(monkeypatch)
    plan = planned(old, name)
    after = memory.applied(old, plan)
    needed = {*catalogue.closure([name])}
    assert {*plan.updated, *plan.added} == needed
    versions = {entry.feature: entry.version for entry in ledger.load(memory.project(after).tree).values()}
    assert versions == {other: "0.3.0" if other in needed else "0.2.0" for other in {*ALL, "shelf", *needed}}
    one_by_one = after
    for other in ALL:
        one_by_one = update(one_by_one, other)
    assert_same(one_by_one, update(old), "one by one = all at once")


def test_other_features_keep_what_they_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what a newer declaration requires, nor what it no longer requires, matters to what is not updated."""
    old = installed("flat", "parcel")
    Release(
        "0.3.0",
        {**NEW.features, "parcel": replace(PARCEL, requires=("tape",), recommends=("letter",))},
        {**NEW.templates, "parcel.py.jinja": "X = 1\n"},
    ).use(monkeypatch)
    plan = memory.planned(old, Request(add=("paper",))) if "paper" in catalogue.module_names() else None
    assert plan is None
    monkeypatch.setattr(catalogue, "module_names", lambda: tuple(sorted({*NEW.features, "paper"})))
    paper = Feature(name="paper", summary="paper", edits=(DependencyFloor("pypaper>=1"),))
    known = {**NEW.features, "parcel": replace(PARCEL, requires=("tape",), recommends=("letter",)), "paper": paper}
    monkeypatch.setattr(catalogue, "feature", lambda name: known[name])
    plan = memory.planned(old, Request(add=("paper",)))
    assert (plan.added, plan.updated, plan.removed) == (("paper",), (), ())
    assert_same(code(memory.remove(memory.applied(old, plan), "paper")), code(old), "paper leaves no trace")


def test_a_new_feature_updates_what_it_builds_on_in_the_same_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    old = installed("flat", "parcel")
    release = newer(
        shelf=f"{SHELF_FILE}\n\ndef take() -> str:\n    return shelves.pop()\n",
        letter=LETTER_FILE.replace("import put", "import put, take").replace('put("letter")', "put(take())"),
    )
    release.use(monkeypatch)
    plan = memory.planned(old, Request(add=("letter",)))
    after = memory.applied(old, plan)
    assert prove(memory.project(old), plan) == []
    assert (plan.added, plan.updated) == (("letter",), ("shelf",))
    assert b"def take()" in after["core/shelf.py"]
    kept = {f".laterctl/feature-{name}.json": old[f".laterctl/feature-{name}.json"] for name in ("parcel", "stamp")}
    assert_same(
        after,
        {**memory.add(project_files(shape_named("flat")), "letter", "parcel"), **kept},
        "as if all were new",
    )


def test_a_feature_that_joins_another_is_updated_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    old = installed("poetry", "letter")
    beside = Beside("stamp", (DependencyFloor("stickers>=1"),))
    newer({"letter": replace(LETTER, edits=(*LETTER.edits, beside))}).use(monkeypatch)
    plan = memory.planned(old, Request(add=("stamp",)))
    assert (plan.added, plan.updated) == (("stamp",), ("shelf", "letter"))
    after = memory.applied(old, plan)
    assert b"stickers" in after["pyproject.toml"]
    assert_same(after, memory.add(project_files(shape_named("poetry")), "letter", "stamp"), "at once")
    assert b"stickers" not in memory.remove(after, "stamp")["pyproject.toml"]


def test_what_joins_it_may_depend_on_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    old = installed("poetry", "letter")

    def more(context: FeatureContext) -> Iterator[Edit]:
        yield Beside("stamp", (DependencyFloor("stickers>=1"),))

    newer({"letter": replace(LETTER, edits_for=more)}).use(monkeypatch)
    plan = memory.planned(old, Request(add=("stamp",)))
    assert (plan.added, plan.updated) == (("stamp",), ("shelf", "letter"))
    assert_same(
        memory.applied(old, plan), memory.add(project_files(shape_named("poetry")), "letter", "stamp"), "at once"
    )


# What the user changed


EDITS: Final[Mapping[str, tuple[str, str]]] = {
    "a line more": ('"""Parcels that are sent."""\n', '"""Parcels that are sent."""\n\nMINE = 1\n'),
    "another line": ("COLOUR = \"red\"\n", "COLOUR = \"blue\"\n"),
    "a comment": ("router = APIRouter()\n", "router = APIRouter()  # mine\n"),
}  # fmt: skip


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_edits_elsewhere_in_a_file_are_merged(
    edit: tuple[str, str], newline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = installed("flat" if newline == "\n" else "crlf")
    (path,) = (path for path in made if path.endswith("core/parcel.py") and not path.startswith("."))
    old = edited(made, path, *(text.replace("\n", newline) for text in edit))
    NEW.use(monkeypatch)
    plan = planned(old)
    after = memory.applied(old, plan)
    assert prove(memory.project(old), plan) == []
    assert edited(update(made), path, *(text.replace("\n", newline) for text in edit)) == after
    assert_same(update(after), after, "and again")
    # Taking the edit back and updating gives what an untouched file gives.
    back = edited(after, path, *(text.replace("\n", newline) for text in reversed(edit)))
    assert_same(back, update(made), "the base is the new one")


def test_what_a_formatter_did_is_no_edit(monkeypatch: pytest.MonkeyPatch) -> None:
    made = installed()
    old = edited(made, "core/parcel.py", '{"weight": WEIGHT}', "{\n        'weight': WEIGHT,\n    }")
    NEW.use(monkeypatch)
    assert_same(update(old), update(made), "update")


CLASH: Final = ('"""Answer what parcels weigh."""', '"""Answer in grams."""')


def test_edits_of_the_same_lines_are_refused_with_the_hunks(monkeypatch: pytest.MonkeyPatch) -> None:
    old = edited(installed(), "core/parcel.py", *CLASH)
    NEW.use(monkeypatch)
    (refusal,) = refusals(old)
    assert refusal.code == "merge-conflict"
    assert refusal.place is not None
    line = next(
        number for number, text in enumerate(old["core/parcel.py"].decode().splitlines(), 1) if CLASH[1] in text
    )
    assert (refusal.place.path, refusal.place.line) == ("core/parcel.py", line)
    assert CLASH[1] in refusal.seen
    assert "Answer with the weight of a parcel." in refusal.seen
    assert "--conflicts" in refusal.remedy
    assert "round(" not in refusal.seen, "what can be merged is no conflict"


def test_edits_of_the_same_lines_are_written_with_markers(monkeypatch: pytest.MonkeyPatch) -> None:
    made = installed()
    old = edited(made, "core/parcel.py", *CLASH)
    NEW.use(monkeypatch)
    after = update(old, conflicts=True)
    text = after["core/parcel.py"].decode()
    assert [line for line in text.splitlines() if line.startswith(("<<<<<<<", "=======", ">>>>>>>"))] == [
        "<<<<<<< yours", "=======", ">>>>>>> laterctl"
    ]  # fmt: skip
    before, _, rest = text.partition("<<<<<<< yours\n")
    mine, _, rest = rest.partition("=======\n")
    theirs, _, rest = rest.partition(">>>>>>> laterctl\n")
    untouched = update(made)
    assert before + theirs + rest == untouched["core/parcel.py"].decode()
    resolved = {**after, "core/parcel.py": (before + mine + rest).encode()}
    assert_same(update(resolved), resolved, "a resolved file is up to date")
    assert_same({**resolved, "core/parcel.py": b""}, {**untouched, "core/parcel.py": b""}, "all else is as without")


def test_a_file_that_was_deleted_stays_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    made = installed("flat", "letter")
    old = {path: data for path, data in made.items() if path != "core/letter.py"}
    newer(letter=LETTER_FILE.replace("Put a letter", "Lay a letter")).use(monkeypatch)
    after = update(old)
    assert "core/letter.py" not in after
    assert_same(code(after), code(old), "nothing is to be done")
    assert_same(update(after), after, "and again")


def test_wiring_that_was_deleted_stays_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    old = edited(installed("flat", "parcel"), "main.py", "app.include_router(parcel_router)\n", "")
    newer(parcel=NEW_PARCEL).use(monkeypatch)
    assert b"include_router(parcel_router)" not in update(old)["main.py"]


def test_a_file_whose_place_changes_takes_the_edits_along(monkeypatch: pytest.MonkeyPatch) -> None:
    made = installed("flat", "stamp")
    old = edited(made, "core/stamp.py", '"""Stamps."""\n', '"""Stamps."""\n\nMINE = 1\n')
    NEW.use(monkeypatch)
    after = update(old)
    assert "core/stamp.py" not in after
    assert after == edited(update(made), "core/stamps.py", '"""Stamps."""\n', '"""Stamps."""\n\nMINE = 1\n')
    assert_same(update(after), after, "and again")


def test_files_go_where_the_project_says_now() -> None:
    made = installed()
    moved = {**made, "pyproject.toml": made["pyproject.toml"] + b'\n[tool.laterctl]\ncore = "shared"\n'}
    old = edited(moved, "core/parcel.py", *EDITS["a line more"])
    plain = update(moved)
    assert {path for path in code(plain) if path.startswith("core/")} == set()
    assert update(old) == edited(plain, "shared/parcel.py", *EDITS["a line more"])
    assert_same(update(plain), plain, "and again")


def test_what_was_adopted_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand = installed("flat", "stamp")["core/stamp.py"].partition(b"\n")[2]
    made = memory.add({**project_files(shape_named("flat")), "core/stamp.py": by_hand}, "stamp")
    assert made["core/stamp.py"] == by_hand
    newer(stamp="STAMP = 'new'\n").use(monkeypatch)
    plan = planned(made)
    assert [(note.level, str(note.place)) for note in plan.notes] == [("notice", "core/stamp.py:1")]
    after = update(made)
    assert_same(code(after), code(made), "it is the user's")
    assert_same(update(after), after, "and again")


def test_a_file_whose_place_changes_and_that_is_imported_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    old = {**installed("flat", "stamp"), "mine.py": b"from core.stamp import STAMP\n\nprint(STAMP)\n"}
    NEW.use(monkeypatch)
    (refusal,) = refusals(old)
    assert (refusal.code, str(refusal.place)) == ("still-used", "mine.py:1")


def test_an_import_of_ours_whose_module_changes_is_the_new_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What uses the name is no reason to keep the old import: the new one binds it."""
    deps = {"api/__init__.py": b"", "api/deps.py": b'"""Dependencies."""\n\nfrom typing import Annotated\n'}
    base = {**project_files(shape_named("flat")), **deps}

    def release(version: str, module: str) -> Release:
        alias = DependencyAlias("Seal", "Annotated[str, seal]", ("typing:Annotated", f"core.{module}:seal"))
        files = tuple(File(f"core/{name}.py", f"{name}.py.jinja") for name in ("wax", "lead"))
        seal = Feature(name="seal", group=Group.TESTING, summary="seals", edits=(*files, alias))
        return Release(version, {"seal": seal}, {f"{name}.py.jinja": "seal = 1\n" for name in ("wax", "lead")})

    release("0.2.0", "wax").use(monkeypatch)
    old = memory.add(base, "seal")
    release("0.3.0", "lead").use(monkeypatch)
    new = memory.run(old, Request(update=("seal",)))

    assert b"from core.lead import seal" in new["api/deps.py"]
    assert b"core.wax" not in new["api/deps.py"]
    assert_same(new, memory.add(base, "seal"), "update")
    assert_same(memory.remove(new, "seal"), base, "and out")


def test_a_name_that_is_dropped_and_used_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = installed("flat", "letter", "parcel")
    newer(shelf=SHELF_FILE.replace("put(", "place("), letter="X = 1\n").use(monkeypatch)
    (refusal,) = refusals(made, "letter")
    assert (refusal.code, refusal.place and refusal.place.path) == ("still-used", "core/parcel.py")

    old = {**installed_again(made), "mine.py": b"from core.letter import send\n\nsend()\n"}
    (refusal,) = refusals(old, "letter")
    assert (refusal.code, str(refusal.place)) == ("still-used", "mine.py:1")


def installed_again(files: Files) -> dict[str, bytes]:
    """Return a project without `parcel`."""
    return memory.remove(files, "parcel")


def test_a_dropped_setting_that_the_user_reads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = installed("factory", "parcel")
    (settings,) = (path for path, data in code(made).items() if b"parcel_limit: int" in data)
    module = memory.project(made).module_of(settings)
    access = memory.project(made).settings
    assert access is not None
    assert access.access.text == "settings"
    old = {**made, "mine.py": f"from {module} import settings\n\nprint(settings.parcel_limit)\n".encode()}
    edits = tuple(edit for edit in PARCEL.edits if not isinstance(edit, Setting))
    newer(
        {"parcel": replace(PARCEL, edits=edits)}, parcel=NEW_PARCEL.replace("{{ setting_by_name() }}", "name and 1")
    ).use(monkeypatch)
    (refusal,) = refusals(old)
    assert (refusal.code, str(refusal.place)) == ("still-used", "mine.py:3")
    assert b"parcel_limit" not in update(made)[settings]


def test_a_default_that_the_user_changed_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    made = installed("factory", "parcel")
    (settings,) = (path for path, data in code(made).items() if b"parcel_limit: int" in data)
    old = edited(made, settings, "parcel_limit: int = 30", "parcel_limit: int = 77")
    NEW.use(monkeypatch)
    after = update(old)
    assert b"parcel_limit: int = 77" in after[settings]
    assert b"parcel_limit: int = 40" in update(made)[settings]
    assert_same(update(after), after, "and again")


def test_open_files_keep_what_the_user_made_of_the_entries_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    settings: Final = "settings/core/settings.py.jinja"
    text = (TEMPLATES / settings).read_text(encoding="utf-8")
    real = {item.name: item for item in catalogue.every()}
    made = memory.add(project_files(shape_named("environ")), "cors", "resources")
    (path,) = (path for path in made if path.endswith("core/settings.py") and not path.startswith("."))
    old = edited(made, path, "redis_url: SecretStr | None = None", "redis_url: str = 'redis://here'")
    old = edited(
        old, path, "    http_max_connections: PositiveInt = 100  # connections at a time, of each process\n", ""
    )
    first = "One field for each setting"
    assert first in text
    Release("7.0.0", real, {settings: text.replace(first, "A field for each")}).use(monkeypatch)
    after = update(old)
    assert after[path] == old[path].replace(first.encode(), b"A field for each")
    assert_same(update(after), after, "and again")


def test_conflicts_in_an_open_file_leave_the_entries_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    settings: Final = "settings/core/settings.py.jinja"
    text = (TEMPLATES / settings).read_text(encoding="utf-8")
    real = {item.name: item for item in catalogue.every()}
    made = memory.add(project_files(shape_named("environ")), "cors", "resources")
    (path,) = (path for path in made if path.endswith("core/settings.py") and not path.startswith("."))
    first = "read from the environment and from .env."
    assert first in text
    old = edited(made, path, first, "mine.")
    Release("7.0.0", real, {settings: text.replace(first, "theirs.")}).use(monkeypatch)
    (refusal,) = refusals(old)
    assert refusal.code == "merge-conflict"
    after = update(old, conflicts=True)[path].decode()
    assert after.count("<<<<<<< ") == after.count(">>>>>>> ") == 1
    assert after.count("redis_url: SecretStr") == after.count("cors_origins: ") == 1


def test_open_files_keep_the_entries_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings module is an owned file in which other features have their fields."""
    before = project_files(shape_named("environ"))
    settings: Final = "settings/core/settings.py.jinja"
    monkeypatch.undo()
    text = (TEMPLATES / settings).read_text(encoding="utf-8")
    real = {item.name: item for item in catalogue.every()}
    made = memory.add(before, "cors", "resources")
    (path,) = (path for path in made if path.endswith("core/settings.py") and not path.startswith("."))
    mine = edited(made, path, "class Settings(BaseSettings):\n", "class Settings(BaseSettings):\n    mine: int = 1\n")
    assert b"cors" in made[path]
    docstring = ast.get_docstring(ast.parse(made[path]))
    assert docstring
    first = docstring.splitlines()[0]
    assert first in text
    Release("7.0.0", real, {settings: text.replace(first, "Where settings are.")}).use(monkeypatch)
    for old in (made, mine):
        after = update(old)
        assert after[path] == old[path].replace(first.encode(), b"Where settings are.")
        assert_same(update(after), after, "and again")
    assert_same(memory.remove(update(made), "cors", "resources"), before, "and out")


# What a newer version wants no more, and the user edited


LEAN: Final = newer(
    {"letter": replace(LETTER, edits=(File("core/note.py", "note.py.jinja"),))},
    note='"""Notes."""\n\nNOTE = 1\n',
)
MINE: Final = "\nimport rich\n\nMINE = rich\n"


def dropped(monkeypatch: pytest.MonkeyPatch, shape: str = "flat") -> tuple[dict[str, bytes], dict[str, bytes], str]:
    """Update a project to a version without a file that the user edited: the files before all, and now, and its path."""
    printed = replace(LETTER, edits=(*LETTER.edits, DependencyFloor("rich>=13", provides=("rich",))))
    old = Release("0.2.0", {**FEATURES, "letter": printed}, OLD.templates)
    old.use(monkeypatch)
    made = installed(shape, "letter", "stamp")
    (path,) = (path for path in made if path.endswith("core/letter.py"))
    text = made[path].decode()
    LEAN.use(monkeypatch)
    edited_files = {**made, path: (text.rstrip() + MINE).encode()}
    plan = planned(edited_files)
    assert (path, "edited") in {(target.path, reason) for target, reason in plan.kept}
    return project_files(shape_named(shape)), memory.applied(edited_files, plan), path


@pytest.mark.parametrize("shape", ["flat", "foundation", "poetry", "src_layout"])
def test_what_stays_of_an_earlier_version_goes_with_the_feature(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after, path = dropped(monkeypatch, shape)
    letter = ledger.load(memory.project(after).tree)["letter"]
    assert path in {record.target.path for record in letter.records if record.left}
    assert any(record.left and record.target.requires == "rich>=13" for record in letter.records), (
        "it is imported there"
    )
    assert advice(after) == []
    assert_same(update(after), after, "update; update = update")
    assert_same(memory.remove(memory.add(after, "parcel"), "parcel"), after, "others come and go")

    gone = memory.remove(after, "letter", "stamp")
    assert gone[path] == after[path]
    assert advice(gone) == []
    for files, names in ((after, ("letter", "stamp")), (gone, ("letter",))):
        assert_same(memory.run(files, Request(remove=names, delete_edited=True)), before, "with all that was edited")


def test_what_the_user_then_deletes_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after, path = dropped(monkeypatch)
    del after[path]
    assert advice(after) == []
    assert_same(memory.remove(update(after), "letter", "stamp"), before, "out")
    assert_same(memory.remove(after, "letter", "stamp"), before, "out without an update")


def test_a_version_that_wants_it_again_has_it_as_the_user_left_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after, path = dropped(monkeypatch)
    Release("0.4.0", FEATURES, OLD.templates).use(monkeypatch)
    again = update(after)
    assert again[path] == after[path]
    assert not any(
        record.left
        for record in ledger.load(memory.project(again).tree)["letter"].records
        if record.target.path == path
    )
    assert_same(memory.run(again, Request(remove=("letter", "stamp"), delete_edited=True)), before, "out")


# Ledgers of other versions


def test_a_feature_that_this_version_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    old = installed()
    Release("0.3.0", {name: item for name, item in FEATURES.items() if name != "stamp"}, NEW.templates).use(monkeypatch)
    plan = planned(old)
    assert "stamp" not in plan.updated
    assert [note.feature for note in plan.notes if note.level == "warning"] == ["stamp"]
    after = memory.applied(old, plan)
    assert after[".laterctl/feature-stamp.json"] == old[".laterctl/feature-stamp.json"]
    (refusal,) = refusals(old, "stamp")
    assert refusal.code == "unknown-feature"
    assert_same(
        memory.remove(memory.add(after, "letter"), "letter", "parcel", "stamp"),
        project_files(shape_named("flat")),
        "out",
    )


def test_what_is_not_installed_cannot_be_updated() -> None:
    (refusal,) = refusals(installed("flat", "letter"), "parcel")
    assert (refusal.code, refusal.remedy) == ("not-installed", "laterctl add parcel")


def test_a_ledger_of_a_newer_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    NEW.use(monkeypatch)
    made = installed()
    OLD.use(monkeypatch)
    with pytest.raises(Refused) as refused:
        planned(made)
    assert {item.code for item in refused.value.refusals} == {"ledger-newer"}
