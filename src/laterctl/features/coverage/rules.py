"""Doctor rules of `coverage`: settings that have no effect, or that measure something else than one thinks.

Each rule takes one configuration file, already parsed, with the facts it needs, and yields (rule id, line, reason,
fix). What the settings mean: https://coverage.readthedocs.io/en/latest/config.html
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from laterctl.doctor.code import Found
from laterctl.project.coverage_config import FILES, Home, homes
from laterctl.project.places import Place

if TYPE_CHECKING:
    from laterctl.project.discover import Project

FLOOR = (7, 11, 1)
"""The first version that falls back, instead of failing, where the default core cannot trace greenlets."""


NEEDLES: tuple[bytes, ...] = ()


def check_project(project: Project) -> Iterator[tuple[str, Place, str, str]]:
    """Run the rules over the project's configuration of coverage.py."""
    texts = {}
    for name in FILES:
        data = project.tree.read(name)
        if data is not None:
            texts[name] = data.decode("utf-8", errors="replace")
    found = homes(texts)
    if not found:
        return
    used = found[0]
    for home in found[1:]:
        yield from _placed(home, check_cov001(home, used))
    files = project.python_files
    folders = {"/".join(path.split("/")[:depth]) for path in files for depth in range(1, path.count("/") + 1)}
    modules = {path.removesuffix(".py").rpartition("/")[2] for path in files} | {
        folder.rpartition("/")[2] for folder in folders
    }
    yield from _placed(used, check_cov002(used, modules, folders))
    manifest = project.manifest
    if manifest is None:
        return
    asynchronous = any(item.name == "sqlalchemy" and "asyncio" in item.text for item in manifest.requirements)
    yield from _placed(used, check_cov003(used, async_sqlalchemy=asynchronous))
    yield from _placed(used, check_cov004(used))
    version = manifest.locked.get("coverage", "")
    yield from _placed(used, check_cov005(used, version, python_314="3.14" in manifest.requires_python))


def _placed(home: Home, found: Iterable[Found]) -> Iterator[tuple[str, Place, str, str]]:
    for rule, line, reason, fix in found:
        yield rule, Place(home.path, line), reason, fix


def check_cov001(home: Home, used: Home) -> Iterator[Found]:
    """The file is ignored: coverage.py takes its settings from one file, and another one comes first."""
    if home.path != used.path:
        reason = f"these settings have no effect: coverage reads {used.path} and nothing else"
        yield "COV001", home.line(), reason, f"keep the settings in one of {used.path} and {home.path}"


def check_cov002(home: Home, modules: Collection[str], folders: Collection[str]) -> Iterator[Found]:
    """What is to be measured does not exist, so nothing is measured and no test fails.

    Args:
        home: the configuration in force.
        modules: top-level names of the project's own modules and packages.
        folders: the project's folders, relative to its root, with forward slashes.
    """
    for option in ("source", "source_pkgs", "source_dirs"):
        for entry in home.values("run", option):
            if re.search(r"[^\w./-]", entry):
                continue  # an environment variable, or an absolute path of another system
            place = entry.removeprefix("./").rstrip("/")
            is_folder = option != "source_pkgs" and (place in folders or place in {"", "."} or entry.startswith("/"))
            is_module = option != "source_dirs" and entry.partition(".")[0] in modules
            if not (is_folder or is_module):
                reason = f"{option} names {entry!r}, which is no {_KINDS[option]} of this project: nothing is measured"
                yield "COV002", home.line(option), reason, f"name what exists: {', '.join(sorted(modules)) or 'src'}"


def check_cov003(home: Home, *, async_sqlalchemy: bool) -> Iterator[Found]:
    """The project uses SQLAlchemy's asyncio, which runs in greenlets, and coverage.py is not told so.

    https://coverage.readthedocs.io/en/latest/config.html#run-concurrency
    """
    told = {"greenlet", "gevent", "eventlet"} & set(home.values("run", "concurrency"))
    if async_sqlalchemy and not told:
        reason = "SQLAlchemy's asyncio runs in greenlets, and coverage is not told so"
        yield "COV003", home.line("concurrency"), reason, 'set concurrency = ["thread", "greenlet"]'


def check_cov004(home: Home) -> Iterator[Found]:
    """The list of excluded lines replaces coverage.py's own, so that `# pragma: no cover` means nothing any more."""
    lines = home.values("report", "exclude_lines")
    if lines and not any("pragma" in line for line in lines):
        reason = "exclude_lines replaces the built-in list: `# pragma: no cover` is no longer heeded"
        yield "COV004", home.line("exclude_lines"), reason, "rename it to exclude_also, which adds to the list"


def check_cov005(home: Home, version: str, *, python_314: bool) -> Iterator[Found]:
    """This coverage.py fails on Python 3.14 when it has to trace greenlets with its default core.

    Args:
        home: the configuration in force.
        version: the locked version of coverage.py, or the lowest that the project allows; `""` when unknown.
        python_314: whether the project runs on Python 3.14 or later.
    """
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    greenlet = "greenlet" in home.values("run", "concurrency")
    if version and python_314 and greenlet and numbers < FLOOR and home.value("run", "core") in {"", "sysmon"}:
        reason = f"coverage {version} cannot trace greenlets on Python 3.14: its default core there is sysmon"
        yield "COV005", home.line("concurrency"), reason, 'require coverage>=7.11.1, and set core = "ctrace"'


_KINDS = {"source": "folder or package", "source_pkgs": "package", "source_dirs": "folder"}
