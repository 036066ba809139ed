"""Small real projects, with an environment of their own, for the tests of the dynamic proof."""

from __future__ import annotations

import os
import sysconfig
import time
import venv
from collections.abc import Callable, Mapping
from pathlib import Path

from laterctl.changeset import Change, Changeset
from laterctl.engine import ledger, plan
from laterctl.engine.ledger import Entry
from laterctl.engine.plan import Plan, Request
from laterctl.project.discover import discover
from laterctl.proof import dynamic
from laterctl.proof.dynamic import Observation, Report
from laterctl.proof.expectations import expectations
from laterctl.targets.base import Record
from laterctl.targets.dependency import Dependency
from tests.cli import command
from tests.cli.command import Ran
from tests.shapes import git

PACKAGES = Path(sysconfig.get_path("purelib"))
DEADLINE = 60.0
"""Seconds that a test waits for something that takes one or two."""
MANIFEST = """\
[project]
name = "shop"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["fastapi"]
"""
SHOP = """\
from fastapi import FastAPI

app = FastAPI(title="Shop")


@app.get("/items")
def items() -> list[str]:
    return ["nail"]


@app.get("/items/{number}")
def item(number: int) -> str:
    return "nail"
"""


def project(folder: Path, files: Mapping[str, str]) -> Path:
    """Write a project with a manifest and the environment of the tests, and return its folder, links resolved."""
    write(folder, {"pyproject.toml": MANIFEST, **files})
    environment(folder / ".venv")
    return folder.resolve()


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files into a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def committed(root: Path) -> Path:
    """Make a project a repository with one commit."""
    write(root, {".gitignore": ".venv/\n"})
    git(root, "init", "--quiet", "--initial-branch=main", "--template=")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=The project")
    return root


def run(root: Path, *arguments: str) -> Ran:
    """Run laterctl in a project, with what is private to the machine beside it."""
    return command.run(root, *arguments, env={"XDG_STATE_HOME": str(root.parent / "state")})


def environment(folder: Path, *, without: tuple[str, ...] | None = ()) -> Path:
    """Make an environment that has the packages of this one, but for those whose names start with one of `without`.

    With `None` it has none at all. Returns its own folder of packages.
    """
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    (site,) = [*folder.glob("lib/python*/site-packages"), *folder.glob("Lib/site-packages")]
    if without == ():
        (site / "these.pth").write_text(f"{PACKAGES}\n")
    elif without is not None:
        for path in PACKAGES.iterdir():
            if path.suffix != ".pth" and not path.name.startswith(("__editable__", "laterctl", *without)):
                (site / path.name).symlink_to(path)
    return site


def observed(folder: Path, **more: float) -> Observation:
    """Run the app of a project once."""
    return dynamic.observe(discover(folder), **more)


def edited(folder: Path, path: str, old: str, new: str, baseline: Observation | None = None) -> Report:
    """Compare an app with what it is after one edit to one file, which is written and stays."""
    facts = discover(folder)
    baseline = baseline or dynamic.observe(facts)
    assert baseline.ran, baseline.summary
    before = (folder / path).read_bytes()
    after = before.replace(old.encode(), new.encode())
    assert after != before
    made = Plan(Changeset({path: Change(before, after)}), {})
    carried_out(folder, made)
    return dynamic.compare(facts, made, baseline)


class Step:
    """A planned run on a project, with the app observed before it."""

    def __init__(self, folder: Path, request: Request) -> None:
        self.folder = folder
        self.facts = discover(folder)
        installed = ledger.load(self.facts.tree)
        self.plan = plan.make(self.facts, installed, request)
        assert not self.plan.refusals, self.plan.refusals
        self.expectations = expectations(self.plan, installed)
        self.baseline = dynamic.observe(self.facts, self.expectations)

    def execute(self) -> None:
        """Write what is planned."""
        carried_out(self.folder, self.plan)

    def compared(self) -> Report:
        """Compare the app with what it was."""
        return dynamic.compare(self.facts, self.plan, self.baseline)


def carried_out(folder: Path, made: Plan) -> None:
    """Write a plan's changeset."""
    for path, change in made.changeset.items():
        target = folder / path
        if change.after is None:
            target.unlink()
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(change.after)


def needing(requirement: str) -> Plan:
    """A plan that adds a feature with one runtime dependency and nothing else."""
    name = requirement.partition(">")[0]
    target = Dependency("pyproject.toml", "array", ("project", "dependencies"), name, requirement)
    entry = Entry("imaginary", "0", requested=True, records=(Record(target),))
    return Plan(Changeset({}), {"imaginary": entry}, ("imaginary",))


def tree(folder: Path) -> dict[str, bytes]:
    """The files of a project, without those of git and of its environment."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {".git", ".venv"} & set(path.relative_to(folder).parts)
    }


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
