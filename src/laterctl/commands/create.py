"""`laterctl new`: writes the foundation project to disk."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from laterctl.commands.new import foundation
from laterctl.engine import plan as planning
from laterctl.engine.plan import Request
from laterctl.project.discover import Project
from laterctl.project.installed import FOLDER
from laterctl.project.places import Place
from laterctl.project.tree import Tree
from laterctl.refusal import Refusal, Refused

BUILT_IN = ("security-headers",)
"""Features that a new project has from the start, as code of its own."""


def files(name: str, *, settings: str = "dynaconf", python: str = "3.12") -> dict[str, bytes]:
    """Return the files of a new project.

    What it shares with features is made by the features themselves, so that `laterctl add` finds it equal later.

    Raises:
        ValueError: the name, the settings system or the Python version is not one that works.
    """
    made = foundation(name, settings=settings, python=python)
    with tempfile.TemporaryDirectory() as empty:
        plan = planning.make(Project(Tree(Path(empty), made)), {}, Request(add=BUILT_IN))
    if plan.refusals:
        raise Refused(*plan.refusals)
    return made | _built_in(plan)


def _built_in(plan: planning.Plan) -> dict[str, bytes]:
    owned = {
        record.target.path: other.created() or b""
        for entry in plan.entries.values()
        for record in entry.records
        if record.target.whole_file
        for other in record.target.alternatives()
    }
    return {
        path: owned.get(path, change.after)
        for path, change in plan.changeset.items()
        if change.after is not None and not path.startswith(f"{FOLDER}/")
    }


def create(directory: Path, name: str, *, settings: str = "dynaconf", python: str = "3.12") -> list[str]:
    """Write a new project into `directory`/`name`, all of it or nothing; return the paths of its files.

    Raises:
        ValueError: as `files` does.
        Refused: there is something at that place already.
        OSError: it cannot be written; what was written is gone again.
    """
    made = files(name, settings=settings, python=python)
    target = directory / name
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Refused(
            Refusal(
                "folder-exists",
                f"{name} exists already",
                Place(name, 1),
                expected="nothing, or an empty folder",
                remedy="choose another name, or another place: laterctl -C DIR new NAME",
            )
        )
    fresh = not target.exists()
    try:
        for path, data in made.items():
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        if not fresh:
            target.mkdir(exist_ok=True)
        raise
    return sorted(made)
