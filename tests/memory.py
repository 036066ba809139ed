"""Runs the engine in memory: a project is a mapping of paths to bytes, a run maps one to the next."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from laterctl.codemods import newer
from laterctl.engine import ledger, plan
from laterctl.engine.plan import Plan, Request
from laterctl.project.discover import Project
from laterctl.project.tree import Tree
from laterctl.refusal import Refusal

Files = Mapping[str, bytes]
EMPTY = Path(tempfile.mkdtemp(prefix="laterctl-empty-"))
atexit.register(shutil.rmtree, EMPTY, ignore_errors=True)


class Refusing(AssertionError):
    """The engine refused; `refusals` say why."""

    def __init__(self, refusals: tuple[Refusal, ...]) -> None:
        super().__init__("; ".join(f"{item.code}: {item.message} ({item.place})" for item in refusals))
        self.refusals = refusals


def project(files: Files, app: str = "") -> Project:
    """Return the facts about files that exist in memory only."""
    return Project(Tree(EMPTY, dict(files), repair=newer.repaired), app)


def planned(files: Files, request: Request, app: str = "") -> Plan:
    """Plan a run over files in memory."""
    facts = project(files, app)
    return plan.make(facts, ledger.load(facts.tree), request)


def run(files: Files, request: Request, app: str = "") -> dict[str, bytes]:
    """Return the files after a run. Raises `Refusing` when the engine does."""
    return applied(files, planned(files, request, app))


def applied(files: Files, made: Plan) -> dict[str, bytes]:
    """Return the files after a plan was carried out. Raises `Refusing` when it holds refusals."""
    if made.refusals:
        raise Refusing(made.refusals)
    after = dict(files)
    for path, change in made.changeset.items():
        assert files.get(path) == change.before
        if change.after is None:
            del after[path]
        else:
            after[path] = change.after
    return after


def add(files: Files, *names: str, app: str = "") -> dict[str, bytes]:
    """Return the files after `add`."""
    return run(files, Request(add=names), app)


def remove(files: Files, *names: str, app: str = "") -> dict[str, bytes]:
    """Return the files after `remove`."""
    return run(files, Request(remove=names), app)


def read(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder, without those of git."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts and "__pycache__" not in path.parts
    }
