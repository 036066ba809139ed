"""pip, in the project's own environment; where that has no pip of its own, uv does it."""

from __future__ import annotations

import shutil
from pathlib import Path

from laterctl import install
from laterctl.dialects.manifest.base import PYPROJECT, Manifest, read_as_text
from laterctl.dialects.manifest.manager import Change, Image, Manager
from laterctl.install import Argv, CannotInstall
from laterctl.project.requirements_file import beside, includes
from laterctl.project.tomlfile import load_toml
from laterctl.project.tree import Tree

UV_FOR_IMAGE = 'pip install --no-cache-dir "uv>=0.8,<1"'
IMAGE_VARIABLES = "UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never"


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

    def image(self, tree: Tree, manifest: Manifest) -> Image | None:
        return installed_in_image(tree, manifest)


def installed_in_image(tree: Tree, manifest: Manifest) -> Image:
    """Return how an image gets what a manifest lists that has no lock, or what is compiled from it."""
    made = (path for path, item in manifest.compiled.items() if manifest.runtime.path in item.sources)
    path = next(made, manifest.runtime.path)
    files, finish = [path], ""
    if path.endswith((".txt", ".in")):
        for file in files:
            named = (beside(file, other) for _, other, _ in includes(read_as_text(tree, file)))
            files += [other for other in dict.fromkeys(named) if other not in files and tree.exists(other)]
    else:
        tables, has_setup = load_toml(tree, PYPROJECT) or {}, tree.exists("setup.py")
        # One for the settings of tools alone may be ours, and installs nothing.
        present = {PYPROJECT: not tables.keys().isdisjoint({"build-system", "project"}), "setup.py": has_setup}
        files += [other for other, counts in present.items() if counts and other != path]
        is_package = has_setup or "build-system" in tables
        finish = "uv pip install --no-deps -e ." if is_package else ""
    return Image(IMAGE_VARIABLES, UV_FOR_IMAGE, files, f"uv venv && uv pip install -r {path}", finish)


def installed_by_uv(change: Change) -> Argv:
    """Return the command by which uv installs what pip would. Raises `CannotInstall` without an environment."""
    return ("uv", "pip", "install", "--python", str(_environment(change)), *change.new)


def _environment(change: Change) -> Path:
    if change.python is None:
        raise CannotInstall(f"no virtual environment was found; install {', '.join(change.new)} into yours")
    return change.python


MANAGER = Pip()
