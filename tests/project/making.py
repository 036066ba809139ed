"""Small projects written into a temporary folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from laterctl.project.discover import Project, discover


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below `root`: text is dedented, bytes are written as they are."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else dedent(content).lstrip("\n").encode())
    return root


def make(root: Path, files: Mapping[str, str | bytes], app: str | None = None) -> Project:
    """Write files and discover them."""
    return discover(write(root, files), app=app)


def codes(project: Project) -> list[str]:
    """The codes of what could not be decided about the application."""
    return [item.code for item in project.undecided if "app" in item.code]
