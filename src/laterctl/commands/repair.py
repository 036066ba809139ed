"""`doctor --fix`: puts back wiring of installed features that is gone, as a run like any other."""

from __future__ import annotations

from pathlib import Path

from laterctl.commands.change import Prepared, checked, load_project
from laterctl.commands.readable import readable
from laterctl.engine import plan as planning
from laterctl.engine.plan import Request


def prepare_repair(start: Path, app: str | None = None) -> Prepared:
    """Plan to put missing wiring back, and prove it statically; nothing is written, nothing will be installed.

    Raises:
        Refused, ProofFailed: as `laterctl.commands.change.prepare` does.
    """
    with readable():
        project, installed = load_project(start, app)
        return checked(project, installed, Request(), planning.repair(project, installed), install=False)
