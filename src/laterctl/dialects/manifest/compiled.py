"""Compiled requirements files, by pip-compile or `uv pip compile`: what their header says, and compiling them again."""

from __future__ import annotations

import posixpath
import re
import shlex
import shutil
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from laterctl import install
from laterctl.dialects.manifest.base import Manifest, read_as_text
from laterctl.install import Argv
from laterctl.patterns import pattern
from laterctl.project.places import Place
from laterctl.project.requirements_file import HEADER, beside, generated, includes
from laterctl.project.tomlfile import load_toml
from laterctl.project.tree import Tree
from laterctl.refusal import Note

_CALL = pattern(r"#\s{2,}(\S.*)")
_SOURCE = pattern(r"[\w./-]+\.(?:in|txt|toml|cfg|py)")
_PIP_COMPILE = "pip-compile"
_COMPILERS = ([_PIP_COMPILE], ["uv", "pip", "compile"])
_FLAG = pattern(
    "--(allow-unsafe|all-extras|generate-hashes|no-annotate|no-emit-index-url|no-header|(no-)?strip-extras|universal)"
)
_VALUED = pattern("-[co]|--(constraints?|extra|group|output-file|python-platform|python-version|resolver)")


class Compiled(Struct, frozen=True):
    """What the header of a compiled requirements file says: the line, the command, and the files that it reads.

    `tool` is the compiler, `""` where there is no header and hashes alone tell that the file was compiled. `command`
    is `()` when it is not known, or has words beside a compiler's own options and files of the project. `told` is the
    command as it is written there.
    """

    line: int
    tool: str = ""
    told: str = ""
    command: Argv = ()
    sources: tuple[str, ...] = ()


def compiled(tree: Tree, path: str) -> Compiled | None:
    """Return how a requirements file was compiled, `None` when it is written by hand."""
    text = read_as_text(tree, path) if path.endswith(".txt") else ""
    line, tool = generated(text) or (0, "")
    if not tool:
        return Compiled(line) if line else None
    calls = filter(None, map(_CALL.match, text.splitlines()[line:HEADER]))
    told = next((call[1].strip() for call in calls), "")
    command, sources = _call(path, told)
    if not all(map(tree.exists, sources)):  # it was called in another folder, most often in that of the file
        command, sources = (), tuple(item if tree.exists(item) else beside(path, item) for item in sources)
    return Compiled(line, tool, told, command, sources)


def _call(path: str, told: str) -> tuple[Argv, tuple[str, ...]]:
    """Return the command that compiles `path` again, `()` when what is told may do more, and the files that it reads."""
    try:
        words = shlex.split(told)
    except ValueError:
        words = []
    start = next((len(head) for head in _COMPILERS if words[: len(head)] == head), 0)
    options: list[str] = []
    sources: list[str] = []
    is_safe = start > 0
    rest = iter(words[start:] if start else ())
    for word in rest:
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            sources.append(posixpath.normpath(word))
        elif _VALUED.fullmatch(name):
            options += [name, value if equals else next(rest, "")]
            is_safe &= bool(re.fullmatch(r"[^-].*", options[-1]))
        else:
            options.append(word)
            is_safe &= bool(_FLAG.fullmatch(word))
    outputs = {value for option, value in pairwise(options) if option in {"-o", "--output-file"}}
    known = tuple(filter(_SOURCE.fullmatch, sources))
    is_inside = known == tuple(sources) != () and not any(source.startswith(("/", "..")) for source in sources)
    if not is_safe or not is_inside or not outputs <= {path}:
        return (), known
    return (*words[:start], *options, *(() if outputs else ("--output-file", path)), *sources), known


def compiling(tree: Tree, manifest: Manifest, changed: Sequence[str]) -> tuple[list[tuple[Argv, str]], list[Note]]:
    """Return the commands that compile files again with what they write, and what is left to the user.

    `changed` are the files of which declared dependencies change.
    """
    found: list[tuple[Argv, str]] = []
    notes = []
    for source in sorted(changed, key=lambda path: path != manifest.runtime.path):  # others may read what that becomes
        for path, made in manifest.compiled.items():
            if source not in (made.sources or (f"{path.removesuffix('.txt')}.in",)):
                continue
            if command := _command(tree, made):
                found.append((command, path))
            else:
                told = f"`{made.told}`" if made.told else "the command that made it"
                message = f"{path} is compiled from {source}, and is out of date then: run {told}"
                notes.append(Note("warning", message, Place(path, made.line)))
    return found, notes


def _command(tree: Tree, made: Compiled) -> Argv:
    """Return the command that compiles a file again, `()` when it is not there or could run code of the project's."""
    if not made.command or any(_may_build(tree, source, set()) for source in made.sources):
        return ()
    python = install.interpreter(tree.root) if made.command[0] == _PIP_COMPILE else None
    if python is not None and any((folder / "piptools").is_dir() for folder in install.site_packages(python)):
        return (str(python), "-m", "piptools", "compile", *made.command[1:])
    return made.command if shutil.which(made.command[0]) else ()


def _may_build(tree: Tree, path: str, seen: set[str]) -> bool:
    """Whether a source names a project on this machine, whose build would run, or is one with dynamic metadata."""
    if path in seen:
        return False
    seen.add(path)
    if path.endswith(".toml"):
        project = load_toml(tree, path) or {}
        return bool(project.get("project", {}).get("dynamic")) or "project" not in project
    text = (tree.read(path) or b"").decode("utf-8", "replace")
    local = any(
        line.lstrip().startswith(("-e", "--editable", ".", "/")) or "file:" in line for line in text.splitlines()
    )
    return local or any(_may_build(tree, beside(path, named), seen) for what, named, _ in includes(text) if what == "r")
