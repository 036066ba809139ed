"""Pipenv, whose Pipfile has two tables of poetry's form."""

from __future__ import annotations

from laterctl.dialects.manifest.base import Manifest
from laterctl.dialects.manifest.manager import Change, Manager
from laterctl.dialects.manifest.poetry import Constraints
from laterctl.install import Argv
from laterctl.project.facts import DependencyHome
from laterctl.project.tomlfile import load_toml, table
from laterctl.project.tree import Tree

PIPFILE = "Pipfile"


class Pipenv(Manager):
    name = "pipenv"
    lock = f"{PIPFILE}.lock"
    left = "left to you: pipenv locks every version anew"

    def steps(self, change: Change) -> tuple[Argv, ...]:
        return ("pipenv", "lock"), ("pipenv", "sync", "--dev")


MANAGER = Pipenv()


def find(tree: Tree) -> Manifest | None:
    """Return the manifest of a Pipfile.

    Raises:
        Unreadable: it is not TOML, or not UTF-8.
    """
    data = load_toml(tree, PIPFILE)
    if data is None:
        return None
    text = (tree.read(PIPFILE) or b"").decode("utf-8-sig")
    runtime, dev = (DependencyHome(Constraints.kind, PIPFILE, (name,)) for name in ("packages", "dev-packages"))
    requirements = [
        requirement
        for home, group in ((runtime, ""), (dev, "dev"))
        for requirement in Constraints(home).requirements(text, table(data, *home.table), group)
    ]
    python = table(data, "requires").get("python_version")
    range_ = f"=={python}.*" if isinstance(python, str) else ""
    return Manifest(MANAGER.name, PIPFILE, runtime, dev, range_, tuple(requirements))
