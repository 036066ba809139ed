"""Doctor rules of `coverage`: settings that have no effect, or that measure something else than one thinks.

What the settings mean: https://coverage.readthedocs.io/en/latest/config.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from laterctl.dialects.manifest import may_have
from laterctl.doctor.code import Codebase, once
from laterctl.doctor.rule import Found, Rule, Severity
from laterctl.project.coverage_config import FILES, Home, homes
from laterctl.project.places import Place, is_test_or_docs

FLOOR = "7.11.1"
"""The first version that falls back, instead of failing, where the default core cannot trace greenlets."""

_KINDS = {"source": "folder or package", "source_pkgs": "package", "source_dirs": "folder"}


@once
def configured(codebase: Codebase) -> list[Home]:
    """Return the files that configure coverage.py, the one in force first."""
    return homes(dict(codebase.texts(FILES)))


def ignored_file(codebase: Codebase) -> Iterator[Found]:
    """Look for settings in a file that another one hides."""
    for home in configured(codebase)[1:]:
        used = configured(codebase)[0].path
        reason = f"these settings have no effect: coverage reads {used} and nothing else"
        yield Found(Place(home.path, home.line()), reason, f"keep the settings in one of {used} and {home.path}")


def source_that_is_not_there(codebase: Codebase) -> Iterator[Found]:
    """Look for folders and packages in `source` and its kin that do not exist."""
    used = configured(codebase)[:1]
    files = codebase.project.python_files if used else []
    folders = {"/".join(path.split("/")[:depth]) for path in files for depth in range(1, path.count("/") + 1)}
    modules = {path.removesuffix(".py").rpartition("/")[2] for path in files}
    # A folder that imports start from is no package itself.
    packages = folders - set(codebase.project.names.roots)
    packages |= {folder for folder in folders if f"{folder}/__init__.py" in files}
    modules |= {folder.rpartition("/")[2] for folder in packages}
    outermost = {folder for folder in packages if folder.rpartition("/")[0] not in packages}
    ours = {folder.rpartition("/")[2] for folder in outermost if not is_test_or_docs(f"{folder}/__init__.py")}
    for home in used:
        for option, entry in [(name, entry) for name in _KINDS for entry in home.values("run", name)]:
            if re.search(r"[^\w./-]", entry):
                continue  # an environment variable, or an absolute path of another system
            place = entry.removeprefix("./").rstrip("/")
            is_folder = option != "source_pkgs" and (place in folders or place in {"", "."} or entry.startswith("/"))
            is_module = option != "source_dirs" and entry.partition(".")[0] in modules
            if not (is_folder or is_module):
                reason = f"{option} names {entry!r}, which is no {_KINDS[option]} of this project: it measures nothing"
                fix = f"name what exists: {', '.join(sorted(ours)) or '.'}"
                yield Found(Place(home.path, home.line(option)), reason, fix)


def greenlets_not_traced(codebase: Codebase) -> Iterator[Found]:
    """Look for SQLAlchemy's asyncio among the dependencies."""
    manifest = codebase.project.manifest
    requirements = manifest.requirements if manifest is not None else ()
    asynchronous = any(item.name == "sqlalchemy" and "asyncio" in item.text for item in requirements)
    for home in configured(codebase)[:1]:
        if asynchronous and not {"greenlet", "gevent", "eventlet"} & set(home.values("run", "concurrency")):
            place = Place(home.path, home.line("concurrency"))
            yield Found(place, "SQLAlchemy's asyncio runs in greenlets, and coverage is not told so")


def threads_not_traced(codebase: Codebase) -> Iterator[Found]:
    """Look for greenlets without threads, which the setting then leaves out."""
    for home in configured(codebase)[:1]:
        told = set(home.values("run", "concurrency"))
        if "greenlet" in told and "thread" not in told:
            reason = "only greenlets are traced: `def` routes run in threads, and their lines count as not covered"
            yield Found(Place(home.path, home.line("concurrency")), reason)


def built_in_list_replaced(codebase: Codebase) -> Iterator[Found]:
    """Look for `exclude_lines` without the pragma."""
    for home in configured(codebase)[:1]:
        lines = home.values("report", "exclude_lines")
        if lines and not any("pragma" in line for line in lines):
            reason = "exclude_lines replaces the built-in list: `# pragma: no cover` is no longer heeded"
            yield Found(Place(home.path, home.line("exclude_lines")), reason)


def greenlets_on_python_314(codebase: Codebase) -> Iterator[Found]:
    """Look at the locked version of coverage.py and the versions of Python that the project is for."""
    manifest = codebase.project.manifest
    version = manifest.locked.get("coverage", "") if manifest is not None else ""
    python_314 = manifest is not None and "3.14" in manifest.requires_python
    too_old = manifest is not None and version and not may_have(manifest, "coverage", FLOOR)
    for home in configured(codebase)[:1] if python_314 and too_old else ():
        if "greenlet" in home.values("run", "concurrency") and home.value("run", "core") in {"", "sysmon"}:
            reason = f"coverage {version} cannot trace greenlets on Python 3.14: its default core there is sysmon"
            yield Found(Place(home.path, home.line("concurrency")), reason)


_SHOP = {"src/shop/__init__.py": "", "src/shop/main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n"}
_PROJECT = '[project]\nname = "shop"\nrequires-python = ">=3.12"\ndependencies = ["sqlalchemy[asyncio]>=2"]\n\n'
_RUN = f"{_PROJECT}[tool.coverage.run]\n"
_TOLD = 'concurrency = ["thread", "greenlet"]'
_NEW = _RUN.replace(">=3.12", ">=3.14")


def _locked(version: str) -> str:
    """Return a lock file for an example."""
    return f'version = 1\n\n[[package]]\nname = "coverage"\nversion = "{version}"\n'


COV001 = Rule(
    id="COV001",
    title="A file with settings of coverage.py is ignored",
    why="coverage.py takes its settings from one file, and another one comes first. "
    "https://coverage.readthedocs.io/en/latest/config.html#configuration-reference",
    fix="keep the settings in one file",
    checks={Codebase: ignored_file},
    bad=({**_SHOP, ".coveragerc": "[run]\n", "pyproject.toml": "[tool.coverage.run]  # COV001\nbranch = true\n"},),
    good=({**_SHOP, "pyproject.toml": "[tool.coverage.run]\nbranch = true\n"},),
)
COV002 = Rule(
    id="COV002",
    title="What is to be measured does not exist",
    why="Nothing is measured then, and no test fails because of it.",
    fix="name a folder or a package of this project",
    checks={Codebase: source_that_is_not_there},
    bad=({**_SHOP, "pyproject.toml": '[tool.coverage.run]\nsource = ["scr"]  # COV002\n'},),
    good=({**_SHOP, "pyproject.toml": '[tool.coverage.run]\nsource = ["src"]\n'},),
)
COV003 = Rule(
    id="COV003",
    title="SQLAlchemy's asyncio runs in greenlets, and coverage.py is not told so",
    why="Lines that run after an `await` of the database count as not covered. "
    "https://coverage.readthedocs.io/en/latest/config.html#run-concurrency",
    fix='set concurrency = ["thread", "greenlet"]',
    checks={Codebase: greenlets_not_traced},
    bad=({**_SHOP, "pyproject.toml": f'{_RUN}concurrency = ["thread"]  # COV003\n'},),
    good=({**_SHOP, "pyproject.toml": f"{_RUN}{_TOLD}\n"},),
)
COV004 = Rule(
    id="COV004",
    title="The list of excluded lines replaces coverage.py's own",
    why="`# pragma: no cover` means nothing any more. "
    "https://coverage.readthedocs.io/en/latest/config.html#report-exclude-lines",
    fix="rename it to exclude_also, which adds to the list",
    checks={Codebase: built_in_list_replaced},
    bad=({**_SHOP, "pyproject.toml": '[tool.coverage.report]\nexclude_lines = ["if DEBUG:"]  # COV004\n'},),
    good=({**_SHOP, "pyproject.toml": '[tool.coverage.report]\nexclude_also = ["if DEBUG:"]\n'},),
)
COV005 = Rule(
    id="COV005",
    title="This coverage.py fails on Python 3.14 when it has to trace greenlets",
    why="Its default core there is sys.monitoring, which cannot; coverage.py falls back to another from 7.11.1 on.",
    fix='require coverage>=7.11.1, and set core = "ctrace"',
    severity=Severity.ERROR,
    checks={Codebase: greenlets_on_python_314},
    bad=({**_SHOP, "pyproject.toml": f"{_NEW}{_TOLD}  # COV005\n", "uv.lock": _locked("7.10.9")},),
    good=({**_SHOP, "pyproject.toml": f"{_NEW}{_TOLD}\n", "uv.lock": _locked("7.11.1")},),
)
COV006 = Rule(
    id="COV006",
    title="coverage.py is told of greenlets and not of threads",
    why="`concurrency` replaces its default, which is `thread`; FastAPI runs every `def` route in one. "
    "https://coverage.readthedocs.io/en/latest/config.html#run-concurrency",
    fix='set concurrency = ["thread", "greenlet"]',
    checks={Codebase: threads_not_traced},
    bad=({**_SHOP, "pyproject.toml": f'{_RUN}concurrency = ["greenlet"]  # COV006\n'},),
    good=({**_SHOP, "pyproject.toml": f"{_RUN}{_TOLD}\n"},),
)
