"""Finds the database of a project."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from laterctl.dialects.database.base import Database, Made, Signs
from laterctl.dialects.database.reading import PACKAGES, Reading, imports_of_app
from laterctl.dialects.database.sqlalchemy_async import SqlAlchemyAsync
from laterctl.dialects.database.sqlalchemy_sync import SqlAlchemySync
from laterctl.dialects.database.sqlmodel import SqlModel
from laterctl.project.facts import App, Evidence, Undecided
from laterctl.project.names import Names
from laterctl.project.unreadable import unread

_HINT = "database in [tool.laterctl], as module:name of the engine"
_DIALECTS: tuple[type[Database], ...] = (SqlModel, SqlAlchemyAsync, SqlAlchemySync)


def find_database(
    names: Names, app: App | None, asked: str = "", runs: Callable[[str], bool] = bool
) -> tuple[Database | None, tuple[Undecided, ...]]:
    """Find the database: its engine, and what belongs to it.

    Args:
        names: the resolver.
        app: the application; of several engines those count that its file imports.
        asked: the user's `module:name` of the engine.
        runs: whether a file runs in the application. What a function elsewhere makes is that of a script, and what a
            module keeps elsewhere counts only when nothing else does.
    """
    reading = Reading(names)
    running = [made for made in reading.engines if asked or runs(made.place.path)]
    found = running or [made for made in reading.engines if made.held != "function"]
    if not found:
        return None, unread(names.tree, PACKAGES)
    engines = _chosen(names, app, asked, found)
    if not engines:
        shown = ", ".join(_spelled(made) for made in reading.engines)
        return None, (Undecided("database-not-found", f"no engine {asked}; found: {shown}", _HINT),)
    if len({(made.module, made.name) for made in engines}) > 1:
        shown = ", ".join(dict.fromkeys(_spelled(made) for made in engines))
        places = tuple(made.place for made in engines)
        return None, (Undecided("several-engines", f"several database engines: {shown}", _HINT, places),)
    asynchronous = ["async" in made.call.rpartition(".")[2] for made in engines]
    if len(set(asynchronous)) > 1:
        reason = f"{engines[0].name} is asynchronous in one branch and synchronous in another"
        return None, (Undecided("mixed-engines", reason, _HINT, tuple(made.place for made in engines)),)
    return _described(reading, engines, asynchronous[0]), ()


def _chosen(names: Names, app: App | None, asked: str, engines: Sequence[Made]) -> list[Made]:
    if asked:
        return [made for made in engines if _spelled(made) == asked]
    kept = [made for made in engines if made.held != "function"] or list(engines)
    if len({(made.module, made.name) for made in kept}) < 2:
        return kept
    return imports_of_app(names, app, kept)


def _spelled(made: Made) -> str:
    return f"{made.module}:{made.name}" if made.name else f"{made.module} ({made.place})"


def _described(reading: Reading, engines: Sequence[Made], asynchronous: bool) -> Database:
    factories, models = reading.factories, reading.models
    sessions, create_all = reading.sessions(), reading.create_all()
    signs = Signs(asynchronous, models, tuple(made.call for made in engines))
    dialect = next(item for item in _DIALECTS if item.fits(signs))
    evidence = [
        *(Evidence(f"engine {made.name}".rstrip(), made.place) for made in engines),
        *(Evidence(f"session factory {made.name}".rstrip(), made.place) for made in factories),
        *(Evidence(f"models of {item.name}", item.place) for item in models),
        *(Evidence(f"sessions from {item.name} ({item.kind})", item.place) for item in sessions),
        *(Evidence(f"create_all in {item.scope or 'the module'}", item.place) for item in create_all),
    ]
    return dialect(
        asynchronous=asynchronous,
        place=engines[0].place,
        engines=tuple(engines),
        factories=factories,
        models=models,
        tables=reading.tables,
        sessions=sessions,
        create_all=create_all,
        evidence=tuple(evidence),
    )
