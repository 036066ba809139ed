"""Manifests: the files that declare dependencies, how an entry is written there, and the managers that install it.

Who stands outside asks the project's manifest, the form of a home, or a manager, and never which one that is. A manager
is a module of its name, with all that it does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from laterctl.dialects.manifest.base import Form, Manifest
    from laterctl.dialects.manifest.manager import Manager
    from laterctl.project.facts import DependencyHome, Requirement

RUN = ("uv", "poetry", "pdm", "pip")
"""The managers whose commands are run, in the order in which they are looked for and listed."""

MANAGERS = (*RUN, "pipenv", "conda")
"""All managers. The commands of the others are told."""


def named(name: str) -> Manager:
    """Return a manager by its name.

    Raises:
        laterctl.install.CannotInstall: there is none of that name.
    """
    if name not in MANAGERS:
        from laterctl.install import CannotInstall

        raise CannotInstall(f"laterctl does not know {name!r}, but {', '.join(MANAGERS)}")
    found: Manager = import_module(f"{__name__}.{name}").MANAGER
    return found


def form_of(home: DependencyHome) -> Form:
    """Return how entries are written in a home."""
    from laterctl.dialects.manifest import conda, poetry, pyproject, requirements, setup_cfg

    forms = (pyproject.Array, poetry.Constraints, requirements.Lines, conda.PipList, setup_cfg.IndentedLines)
    return next(form for form in forms if form.fits(home))(home)


def declared_range(item: Requirement) -> str:
    """Return a declared requirement as its home has it: PEP 508, or in a table of constraints the constraint alone."""
    return form_of(item.home).range_of(item) if item.home is not None else item.text


def may_have(manifest: Manifest, name: str, floor: str) -> bool:
    """Return whether the version of a distribution may be `floor` or newer: the locked one, else what is declared allows.

    What is not declared, or in a form that cannot be read, may have any version.
    """
    from laterctl.codemods import requirements

    locked = manifest.locked.get(name)
    ranges = (
        [f"{name}=={locked}"] if locked else map(declared_range, (i for i in manifest.requirements if i.name == name))
    )
    try:
        return all(requirements.satisfiable(allowed, f"{name}>={floor}") for allowed in ranges)
    except requirements.RequirementError:
        return True
