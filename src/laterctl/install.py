"""The dependency step: the project's own manager locks and installs, in a child process, without a shell.

A lock file is never written by hand. Nothing that runs here builds or installs the project itself, because that would
run the user's code (design, law 9).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from laterctl.masking import masked
from laterctl.project.facts import DependencyHome, Manifest

Argv = tuple[str, ...]

LOCKS: Mapping[str, str] = {"uv": "uv.lock", "poetry": "poetry.lock", "pdm": "pdm.lock", "pipenv": "Pipfile.lock"}

LEFT: Mapping[str, str] = {
    "pipenv": "left to you: pipenv locks every version anew",
    "conda": "left to you: conda solves the whole environment anew",
}
"""Managers whose commands are named and not run, and why."""

_WINDOWS = os.name == "nt"
_GRACE = 5.0
"""Seconds that a child has to end by itself."""

_QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "NO_COLOR": "1",
    "PDM_CHECK_UPDATE": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "UV_NO_PROGRESS": "1",
}


class CannotInstall(ValueError):
    """There is nothing to install into, or nothing to install with; the message says what the user can do."""


class Outcome(Struct, frozen=True):
    """How a command ended. `code` is `None` when it did not end by itself; `reason` is `""` when all went well.

    `output` is what it printed on both streams, in order, with credentials masked.
    """

    argv: Argv
    code: int | None
    output: str
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Say whether the command did what it was asked to do."""
        return not self.reason


# What to run


def commands(
    manager: str,
    manifest: Manifest,
    homes: Sequence[DependencyHome],
    new: Sequence[str],
    *,
    python: Path | None = None,
    version: Sequence[int] = (),
    lock: str = "",
    local: Sequence[str] = (),
) -> tuple[Argv, ...]:
    """Return the commands that bring lock and environment in line with a manifest that was just changed.

    `homes` are those that got entries, none when entries only went: then the lock alone follows. `new` are the
    PEP 508 entries; `python` is the project's interpreter, `version` the manager's, `lock` the text of its lock file,
    `""` when there is none, and `local` names projects on this machine that it depends on.
    Each command is a list of arguments, to be run in the folder of the manifest, in order.
    What is locked stays locked, packages that are installed but not in the lock are left alone, and neither hooks of
    the project's own nor its build run.

    Raises `CannotInstall` when the manager is unknown, or has no environment to install into.
    """
    if manager == "uv" and manifest.runtime.form != "lines":
        chosen = _options(homes, extra="--extra", group="--group")
        mine = ("--no-install-workspace", *(word for name in local for word in ("--no-install-package", name)))
        install = ("uv", "sync", "--frozen", "--inexact", "--no-install-project", *mine, *chosen)
        return (("uv", "lock"), install)[: 2 if homes else 1]
    if manager == "poetry":
        chosen = _options(homes, extra="--extras", group="--with")
        return (
            for_version(("poetry", "lock", "--no-interaction"), version),
            ("poetry", "install", "--no-root", "--no-interaction", *chosen),
        )[: 2 if homes else 1]
    if manager == "pdm":
        chosen = _options(homes, extra="--group", group="--group")
        return (
            ("pdm", "--non-interactive", "lock", "--skip", ":all", "--update-reuse", *_pdm_groups(lock, homes)),
            ("pdm", "--non-interactive", "install", "--skip", ":all", "--frozen-lockfile", "--no-self", *chosen),
        )[: 2 if homes else 1]
    if manager == "pipenv":
        return (("pipenv", "lock"), ("pipenv", "sync", "--dev"))[: 2 if homes else 1]
    if manager == "conda":
        return (("conda", "env", "update", "--file", manifest.path),) if homes else ()
    if manager in {"pip", "uv"}:
        return (_pip(manager, python, new),) if new else ()
    raise CannotInstall(f"laterctl does not know {manager!r}; install {', '.join(new)} with it")


def for_version(command: Argv, version: Sequence[int]) -> Argv:
    """Return a command as a version of its program takes it; `()` stands for the newest."""
    if command[:2] == ("poetry", "lock") and version and tuple(version) < (2,):
        # `poetry lock` moved every version up until 2.0 made `--no-update` the only way.
        return (*command[:2], "--no-update", *command[2:])
    return command


def _pip(manager: str, python: Path | None, new: Sequence[str]) -> Argv:
    if python is None:
        raise CannotInstall(f"no virtual environment was found; install {', '.join(new)} into yours")
    if manager == "uv" or not _has_pip(python):
        return ("uv", "pip", "install", "--python", str(python), *new)
    return (str(python), "-m", "pip", "install", *new)


def _has_pip(python: Path) -> bool:
    return any((folder / "pip").is_dir() for folder in site_packages(python)) or shutil.which("uv") is None


def _pdm_groups(lock: str, homes: Sequence[DependencyHome]) -> Argv:
    """Return the options that keep the groups which a lock file knows when it has to learn another one."""
    try:
        locked = tomllib.loads(lock).get("metadata", {}).get("groups", [])
    except tomllib.TOMLDecodeError:
        locked = []
    wanted = [name for _, name in _groups(homes)]
    if not locked or set(wanted) <= set(locked):
        return ()
    groups = sorted({*locked, *wanted} - {"default"})
    return tuple(option for group in groups for option in ("--group", group))


def _options(homes: Sequence[DependencyHome], *, extra: str, group: str) -> Argv:
    """Return the options that select the extras and groups of `homes` beside what is installed without being asked.

    All managers install the group `dev` unasked, and fail when they are asked for one that nothing declares.
    """
    chosen = [(kind, name) for kind, name in _groups(homes) if (kind, name) != ("group", "dev")]
    return tuple(option for kind, name in chosen for option in (extra if kind == "extra" else group, name))


def _groups(homes: Sequence[DependencyHome]) -> list[tuple[str, str]]:
    """Return what is beside the dependencies proper: kinds (`extra`, `group`) and names."""
    found = []
    for home in homes:
        keys = home.table
        if keys[:2] == ("project", "optional-dependencies") and len(keys) == 3:
            found.append(("extra", keys[2]))
        elif keys[:1] == ("dependency-groups",) and len(keys) == 2:
            found.append(("group", keys[1]))
        elif keys[:3] in {("tool", "poetry", "group"), ("tool", "pdm", "dev-dependencies")} and len(keys) > 3:
            found.append(("group", keys[3]))
    return found


def derived(manager: str, manifest: Manifest, root: Path | None = None) -> tuple[str, ...]:
    """Return the files that the commands write, relative to the project: lock files, there already or not.

    A member of uv's workspace below `root` is locked where the workspace is.
    """
    if manager not in LOCKS or (manager == "uv" and manifest.runtime.form == "lines"):
        return ()
    lock = manifest.lock if manifest.manager == manager and manifest.lock else LOCKS[manager]
    if manager == "uv" and root is not None and not (root / lock).exists():
        folder, above = root.resolve(), ""
        while not (folder / ".git").exists() and folder.parent != folder:
            folder, above = folder.parent, f"../{above}"
            if (folder / lock).is_file():
                return (f"{above}{lock}",)
    return (lock,)


def manager_version(manager: str, folder: Path) -> tuple[int, ...]:
    """Return the version that a manager reports, `()` when it does not run."""
    outcome = run((manager, "--version"), folder, timeout=60)
    found = re.search(r"\d+(?:\.\d+)+", outcome.output) if outcome.ok else None
    return tuple(map(int, found[0].split("."))) if found else ()


def relevant_version(manager: str, folder: Path) -> tuple[int, ...]:
    """Return the version of a manager whose commands depend on it, `()` for the others, which are not asked."""
    return manager_version(manager, folder) if manager == "poetry" else ()


# Running it


def run_all(argvs: Sequence[Argv], folder: Path, *, timeout: float = 900) -> Outcome | None:
    """Run commands in order and return the outcome of the first that failed, else `None`. For the rest see `run`."""
    for argv in argvs:
        outcome = run(argv, folder, timeout=timeout)
        if not outcome.ok:
            return outcome
    return None


def run(argv: Sequence[str], folder: Path, *, timeout: float = 900) -> Outcome:
    """Run one command in `folder`, for at most `timeout` seconds, and return how it ended; it prints nothing.

    It gets no input and is asked for no password. On a timeout, and on any exception such as Ctrl-C, the command
    and everything that it started are ended first; the exception then goes on.
    """
    program = shutil.which(argv[0])
    if program is None:
        return Outcome(tuple(argv), None, "", f"{argv[0]} is not on PATH")
    environment = child_environment(folder)
    try:
        process = subprocess.Popen(
            [program, *argv[1:]],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=not _WINDOWS,
        )
    except OSError as error:
        return Outcome(tuple(argv), None, "", f"{argv[0]} could not be started: {error.strerror}")
    reason = ""
    with process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _end(process)
            output = _rest(process)
            reason = f"it took longer than {timeout:g} seconds"
        except BaseException:
            _end(process)
            raise
    code = None if reason else process.returncode
    if not reason and code:
        reason = f"it was ended by signal {-code}" if code < 0 else f"it exited with {code}"
    return Outcome(tuple(map(mask, argv)), code, mask(output, environment), reason)


def _rest(process: subprocess.Popen[str]) -> str:
    """Return what an ended child printed; one of its own that left the group may hold the pipe open."""
    try:
        return process.communicate(timeout=_GRACE)[0]
    except subprocess.TimeoutExpired:
        return ""


def _end(process: subprocess.Popen[str]) -> None:
    """End a child and its group: ask first, and make sure also when a second Ctrl-C comes meanwhile."""
    try:
        _signal(process, signal.SIGTERM)
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _signal(process, signal.SIGTERM if _WINDOWS else signal.SIGKILL)


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    try:
        if _WINDOWS:
            process.terminate()
        else:
            os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def child_environment(folder: Path) -> dict[str, str]:
    """Return the environment of a child: ours, without prompts, and without our own virtual environment.

    When laterctl runs from an environment of its own, `VIRTUAL_ENV` would make managers install into that.
    """
    environment = {**os.environ, **_QUIET}
    active = environment.get("VIRTUAL_ENV")
    if active and _is_our_own(Path(active), folder):
        del environment["VIRTUAL_ENV"]
    return environment


def _is_our_own(environment: Path, folder: Path) -> bool:
    """Say whether `environment` is laterctl's and not one that the project uses too."""
    if not environment.is_dir() or not environment.samefile(sys.prefix):
        return False
    python = _python_in(environment)
    used = python is not None and any((site / "fastapi").is_dir() for site in site_packages(python))
    return not used and folder.resolve() not in environment.resolve().parents


# Secrets

_FIELDS = re.compile(
    r"(?i)((?:authorization:?\s*(?:basic|bearer)|[?&;\s](?:access_token|api[_-]?key|auth|password|secret|token)\s*[=:])\s*)"
    r"[^\s&'\"]+"
)
_SECRET_NAME = re.compile(r"PASSWORD|PASSWD|TOKEN|SECRET|CREDENTIAL|API_?KEY", re.IGNORECASE)


def mask(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Return `text` with credentials replaced by `***`.

    Covers user information in URLs, tokens in queries and headers, tokens of well-known make, and the values of those
    variables of `environment` whose names say that they are secret.
    """
    for name, value in (environment or {}).items():
        if _SECRET_NAME.search(name) and len(value) >= 6:
            text = text.replace(value, "***")
    return _FIELDS.sub(r"\1***", masked(text))


# The project's interpreter


def interpreter(root: Path, manager: str = "") -> Path | None:
    """Return the Python of the project's own virtual environment, or `None` when none is found.

    Looked for: what uv and pdm are told to use, `.venv` and `venv` beside the manifest and in the folders above up to
    that of the repository, the active environment unless it is laterctl's own, and what poetry says.
    """
    for environment in _environments(root, manager):
        python = _python_in(environment)
        if python is not None:
            return python
    if manager != "poetry" or shutil.which("poetry") is None:
        return None
    outcome = run(("poetry", "env", "info", "--path", "--no-interaction"), root, timeout=60)
    lines = outcome.output.strip().splitlines()
    return _python_in(Path(lines[-1])) if outcome.ok and lines else None


def _environments(root: Path, manager: str) -> list[Path]:
    found = []
    if manager == "uv" and (named := os.environ.get("UV_PROJECT_ENVIRONMENT")):
        found.append(root / named)
    if manager == "pdm" and (root / ".pdm-python").is_file():
        found.append(Path((root / ".pdm-python").read_text(encoding="utf-8").strip()).parent.parent)
    for folder in [root, *root.resolve().parents]:
        found += [folder / ".venv", folder / "venv"]
        if (folder / ".git").exists():
            break
    else:
        found = found[: found.index(root / "venv") + 1]
    active = os.environ.get("VIRTUAL_ENV")
    if active and not _is_our_own(Path(active), root):
        found.append(Path(active))
    return found


def _python_in(environment: Path) -> Path | None:
    python = environment / ("Scripts/python.exe" if _WINDOWS else "bin/python")
    return python.absolute() if (environment / "pyvenv.cfg").is_file() and python.exists() else None


def site_packages(python: Path) -> list[Path]:
    """Return the folders that hold the packages of the environment of `python`."""
    base = python.parent.parent
    return [*base.glob("lib/python*/site-packages"), *base.glob("Lib/site-packages")]


def packages(python: Path) -> dict[str, str]:
    """Return the packages installed beside `python`, canonical names with versions, without running it."""
    found = {}
    for folder in site_packages(python):
        for record in folder.glob("*.dist-info"):
            name, _, version = record.name.removesuffix(".dist-info").partition("-")
            found[re.sub(r"[-_.]+", "-", name).lower()] = version
    return found
