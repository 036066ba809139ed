"""pip, in the project's own environment; where that has no pip of its own, uv does it."""

from __future__ import annotations

import shutil
from pathlib import Path

from laterctl import install
from laterctl.dialects.manifest.manager import Change, Manager
from laterctl.install import Argv, CannotInstall


class Pip(Manager):
    name = "pip"

    def commands(self, change: Change) -> tuple[Argv, ...]:
        if not change.new:
            return ()
        python = _environment(change)
        has_pip = any((folder / "pip").is_dir() for folder in install.site_packages(python))
        if has_pip or shutil.which("uv") is None:
            return ((str(python), "-m", "pip", "install", *change.new),)
        return (installed_by_uv(change),)


def installed_by_uv(change: Change) -> Argv:
    """Return the command by which uv installs what pip would. Raises `CannotInstall` without an environment."""
    return ("uv", "pip", "install", "--python", str(_environment(change)), *change.new)


def _environment(change: Change) -> Path:
    if change.python is None:
        raise CannotInstall(f"no virtual environment was found; install {', '.join(change.new)} into yours")
    return change.python


MANAGER = Pip()
