"""What people and their tools do between two runs: what comes next keeps it, refuses with its line, or takes it along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from laterctl.changeset import Change, Changeset
from laterctl.engine import ledger, plan
from laterctl.engine.plan import Request
from laterctl.proof.static import prove
from tests import memory
from tests.dialect_projects import NAMES, dialect
from tests.memory import Files, Refusing
from tests.shapes import shape_named
from tests.test_laws import assert_same, project_files
from tests.test_removal import advice, removed


def code(files: Files) -> dict[str, bytes]:
    """Return files without the ledger."""
    return {path: data for path, data in files.items() if not path.startswith(".laterctl/")}


def update(files: Files) -> dict[str, bytes]:
    """Return the files after an update of all that is installed."""
    return memory.run(files, Request(update=tuple(ledger.load(memory.project(files).tree))))


def by_ruff(files: Files, folder: Path, *arguments: str) -> dict[str, bytes]:
    """Return files after a command of ruff, with an option or rule that is not the project's."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    command = [sys.executable, "-m", "ruff", *arguments, "--isolated", "--no-cache", "--quiet", str(folder)]
    subprocess.run(command, check=True)
    return {path: (folder / path).read_bytes() for path in files}


SORTED: Final = ("check", "--fix", "--select=I", "--config=lint.isort.force-single-line=true")
FUTURE: Final = (
    "check",
    "--fix",
    "--select=I",
    "--config=lint.isort.required-imports=['from __future__ import annotations']",
)
JOINED: Final = ("format", "--config=format.skip-magic-trailing-comma=true", "--config=format.quote-style='single'")


@pytest.mark.parametrize(
    ("project", "names", "arguments"),
    [
        ("dynaconf", ("cors", "profiling", "versioning"), SORTED),
        ("getter", ("cors", "profiling", "versioning"), SORTED),
        ("factory", ("shutdown", "websocket"), JOINED),
        ("relative", ("cache", "logging"), JOINED),
    ],
)
def test_a_tool_goes_over_all_files(
    project: str, names: tuple[str, ...], arguments: tuple[str, ...], tmp_path: Path
) -> None:
    """Nothing is missed or changed, and what is left without them is what the tool makes of the project without them."""
    base = dialect(project) if project in NAMES else project_files(shape_named(project))
    whole = memory.add(base, *names)
    tidy = by_ruff(whole, tmp_path / "whole", *arguments)
    assert set(advice(tidy)) <= set(advice(whole))
    assert_same(memory.add(tidy, *names), tidy, "add; add = add")
    assert code(update(tidy)) == code(tidy)
    without, _ = removed(tidy, *names)
    left, wanted = (by_ruff(code(files), tmp_path / name, *arguments) for name, files in (("a", without), ("b", base)))
    assert_same(left, wanted, "remove")


def test_a_sorter_was_there_before_the_ledger_was_lost(tmp_path: Path) -> None:
    """What each line imports is found again, and nothing is imported twice."""
    tidy = code(by_ruff(memory.add(dialect("none"), "jwt", "cors"), tmp_path / "whole", *SORTED))
    assert_same(code(memory.add(tidy, "jwt", "cors")), tidy, "add")


def test_statements_in_a_file_of_ours_keep_their_layout(tmp_path: Path) -> None:
    """The project's quotes are others by now, and so is the text of the file that they are in."""
    whole = memory.add(project_files(shape_named("router_loop")), "tasks")
    tidy = by_ruff(whole, tmp_path, "format", "--config=format.quote-style='double'", "--line-length=40")
    assert_same(code(update(tidy)), code(tidy), "update")


def test_a_tool_puts_a_line_into_all_files(tmp_path: Path) -> None:
    """What it put in is by now what is written into such a project: an update has nothing to merge."""
    whole = memory.add(dialect("object"), "secrets", "websocket")
    mine = by_ruff(whole, tmp_path, *FUTURE)
    assert code(update(mine)) == code(mine)
    assert removed(update(mine), "secrets", "websocket")[0] == by_ruff(dialect("object"), tmp_path / "base", *FUTURE)


def test_a_module_of_ours_is_renamed() -> None:
    """It is the user's from then on, with the import that was adapted; an update changes neither."""
    whole = memory.add(dialect("object"), "websocket")
    old, new = (f"src/order_service/api/{name}.py" for name in ("ws", "live"))
    main = "src/order_service/main.py"
    mine = {**whole, main: whole[main].replace(b"api.ws ", b"api.live ")}
    mine[new] = mine.pop(old)
    assert mine[main] != whole[main]
    assert code(update(mine)) == code(mine)
    assert memory.add(mine, "websocket") == mine


def test_nothing_is_built_on_a_module_that_was_deleted() -> None:
    base = dialect("object")
    whole = memory.add(base, "cors")
    mine = {path: data for path, data in whole.items() if not path.endswith("core/feature_settings.py")}
    (refusal,) = memory.planned(mine, Request(add=("health",))).refusals
    assert (refusal.code, refusal.remedy) == ("deleted", "put it back: laterctl doctor --fix")
    assert memory.add(mine, "request-scope").keys() > mine.keys()

    untested = {path: data for path, data in whole.items() if not path.startswith("tests/")}
    assert memory.add(untested, "health").keys() > untested.keys()


def in_a_factory(files: Files) -> dict[str, bytes]:
    """Return files in which the application is made by a function now."""
    path = "src/order_service/main.py"
    head, made, rest = files[path].decode().partition("app = ")
    body = "".join(f"    {line}" for line in f"{made}{rest}".splitlines(keepends=True))
    text = f"{head}def create_app() -> FastAPI:\n{body}    return app\n\n\napp = create_app()\n"
    return {**files, path: text.encode()}


@pytest.mark.parametrize("names", [("versioning",), ("cors", "websocket")])
def test_the_application_is_made_by_a_function_now(names: tuple[str, ...]) -> None:
    """What stood beside it was moved, is not missed, and goes; an update knows the new place."""
    base = dialect("object")
    whole = memory.add(base, *names)
    mine = in_a_factory(whole)
    assert advice(mine) == advice(whole)
    assert memory.add(mine, *names) == mine
    assert removed(mine, *names)[0] == in_a_factory(base)
    updated = update(mine)
    assert code(updated) == code(mine)
    assert removed(updated, *names)[0] == in_a_factory(base)


LIFESPAN: Final = "    closing(stack, 'cache', get_cache().aclose)"


@pytest.mark.parametrize(
    ("project", "feature", "path", "line", "edited"),
    [
        ("pydantic", "websocket", "core/container.py", "    hub = providers.Singleton(Hub)", "{}  # ours"),
        ("pydantic", "websocket", "core/container.py", "    hub = providers.Singleton(Hub)", "    hub: object = 1"),
        ("none", "cache", "core/lifespan.py", LIFESPAN, f"{{}}\n{LIFESPAN}"),
        ("none", "cache", "core/lifespan.py", LIFESPAN, LIFESPAN.replace("closing", "_ = closing")),
    ],
)
def test_a_line_of_ours_is_edited(project: str, feature: str, path: str, line: str, edited: str) -> None:
    """What it stands on stays with it, the rest goes and comes back, and an update leaves it alone."""
    base, path = dialect(project), f"src/order_service/{path}"
    whole = memory.add(base, feature)
    text = whole[path].decode()
    assert text.count(line) == 1
    mine = {**whole, path: text.replace(line, edited.format(line)).encode()}
    assert memory.add(mine, feature) == mine
    assert code(update(mine)) == code(mine)
    without, _ = removed(mine, feature)
    assert advice(without) == advice(base)
    back = memory.add(without, feature)
    assert removed(back, feature, delete_edited=True)[0].keys() == base.keys()


def test_a_module_that_goes_is_not_imported_any_more() -> None:
    """The proof finds an import that was left, whoever left it."""
    whole, main = memory.add(dialect("none"), "cors"), "src/order_service/main.py"
    made = memory.planned(whole, Request(remove=("cors",)))
    change = made.changeset[main]
    line = b"from order_service.core.cors import CorsSettings\n"
    changes = {**made.changeset, main: Change(change.before, line + (change.after or b""))}
    found = prove(memory.project(whole), replace(made, changeset=Changeset(changes)))
    assert f"{main} would still import order_service.core.cors, which goes" in [item.message for item in found]


def renamed(files: Files) -> dict[str, bytes]:
    """Return files after their package was renamed, by a tool that leaves the ledger alone."""
    ours = {path: data for path, data in files.items() if path.startswith(".laterctl/")}
    theirs = {path: data for path, data in files.items() if path not in ours}
    old, new = "order_service", "shop_service"
    return ours | {path.replace(old, new): data.replace(old.encode(), new.encode()) for path, data in theirs.items()}


@pytest.mark.parametrize("feature", ["websocket", "versioning"])
def test_a_package_is_renamed(feature: str) -> None:
    """Nothing is removed or put back before an update has followed it to its new name."""
    base = dialect("object")
    now = renamed(memory.add(base, feature))
    with pytest.raises(Refusing) as refusing:
        memory.remove(now, feature)
    assert {item.code for item in refusing.value.refusals} == {"renamed"}
    assert any(item.endswith("is in its place: laterctl update") for item in advice(now))
    assert not plan.repair(memory.project(now), ledger.load(memory.project(now).tree)).changeset
    updated = update(now)
    assert advice(updated) == advice(base)
    without, wanted = removed(updated, feature)[0], renamed(base)
    assert {path: data for path, data in without.items() if path in wanted or data} == wanted  # its folders stay
