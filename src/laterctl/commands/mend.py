"""`doctor --fix`: puts back wiring of installed features that is gone, as a run like any other."""

from __future__ import annotations

from pathlib import Path

from laterctl import plan as planning
from laterctl.commands.change import Prepared, checked, readable, survey
from laterctl.plan import Request


def prepare_mend(start: Path, app: str | None = None) -> Prepared:
    """Plan to put missing wiring back, and prove it statically; nothing is written.

    Raises:
        Refused, ProofFailed: as `laterctl.commands.change.prepare` does.
    """
    with readable():
        project, installed = survey(start, app)
        return checked(project, installed, Request(), planning.mend(project, installed))
