"""A proof around a change: what is looked at before, and compared after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from laterctl.proof import dynamic, suite
from laterctl.proof.expectations import expectations
from laterctl.proof.levels import Level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from laterctl.engine.ledger import Entry
    from laterctl.engine.plan import Plan
    from laterctl.project.discover import Project
    from laterctl.proof.dynamic import Report, Say


class Proving:
    """One proof of a plan, begun before it is carried out.

    Args:
        project: the facts before the change.
        plan: what will be done.
        installed: the ledger before.
        level: how far it goes, `APP` or `TESTS`.
        say: told what is started, when it is.
    """

    def __init__(self, project: Project, plan: Plan, installed: Mapping[str, Entry], level: Level, say: Say) -> None:
        self._project = project
        self._plan = plan
        self._say = say
        self._app = dynamic.observe(project, expectations(plan, installed), say=say)
        self._tests = suite.observe(project, say=say) if level is Level.TESTS else None

    @property
    def impossible(self) -> str:
        """Why there can be no proof of the level that was asked for; `""` when nothing speaks against it."""
        if self._tests is not None:
            return self._tests.reason and f"the tests cannot be run: {self._tests.reason}"
        return "" if self._app.started else self._app.summary

    def finish(self) -> Report:
        """Compare, after the plan was carried out."""
        report = dynamic.compare(self._project, self._plan, self._app, say=self._say)
        if report.failures or self._tests is None:
            return report
        if self._tests.reason:
            return replace(report, tests=f"the tests cannot be run: {self._tests.reason}")
        found = suite.compare(self._project, self._plan, self._tests, say=self._say)
        if found.reason:
            return replace(report, tests=f"the tests cannot be run: {found.reason}")
        return replace(report, tests=found.summary, tested=not found.failures, failures=found.failures)
