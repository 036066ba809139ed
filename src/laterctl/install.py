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
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from laterctl.masking import masked
from laterctl.patterns import pattern

Argv = tuple[str, ...]

_WINDOWS = os.name == "nt"
_GRACE = 5.0
"""Seconds that a child has to end by itself."""
_TURN = 0.2
"""Seconds after which it is looked again what a child has printed."""

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


def run(
    argv: Sequence[str], folder: Path, *, timeout: float = 900, heard: Callable[[str], None] = lambda _: None
) -> Outcome:
    """Run one command in `folder`, for at most `timeout` seconds, and return how it ended; it prints nothing.

    Each line that it would print is `heard` soon after, with credentials masked. It gets no input and is asked for no password. On a timeout, and on any exception such as Ctrl-C, the command
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
            output = _heard(process, timeout, lambda line: heard(mask(line, environment)))
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


def _heard(process: subprocess.Popen[str], timeout: float, hear: Callable[[str], None]) -> str:
    """Return what a child printed when it ended, having told its lines as they came.

    Raises:
        subprocess.TimeoutExpired: it has not ended in time.
    """
    told, end = 0, time.monotonic() + timeout
    while process.returncode is None:
        try:
            output, _ = process.communicate(timeout=min(_TURN, max(end - time.monotonic(), 0)))
            lines = output.splitlines()
        except subprocess.TimeoutExpired as error:
            if time.monotonic() >= end:
                raise
            # What came so far is bytes, whole characters or not, and on Windows there is none of it.
            output = error.output.decode("utf-8", "replace") if isinstance(error.output, bytes) else ""
            lines = output[: output.rfind("\n") + 1].splitlines()
        for line in lines[told:]:
            hear(line)
        told = max(told, len(lines))
    return output


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
    python = python_in(environment)
    used = python is not None and any((site / "fastapi").is_dir() for site in site_packages(python))
    return not used and folder.resolve() not in environment.resolve().parents


# Secrets

_FIELDS = pattern(
    r"(?i)((?:authorization:?\s*(?:basic|bearer)|[?&;\s](?:access_token|api[_-]?key|auth|password|secret|token)\s*[=:])\s*)"
    r"[^\s&'\"]+"
)
_SECRET_NAME = pattern(r"PASSWORD|PASSWD|TOKEN|SECRET|CREDENTIAL|API_?KEY", re.IGNORECASE)


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


def interpreter(root: Path, told: Iterable[Path] = ()) -> Path | None:
    """Return the Python of the project's own virtual environment, or `None` when none is found.

    Looked for: the environments that its manager is `told` to use, `.venv` and `venv` beside the manifest and in the
    folders above up to that of the repository, and the active environment unless it is laterctl's own.
    """
    return next(filter(None, map(python_in, [*told, *_environments(root)])), None)


def _environments(root: Path) -> list[Path]:
    found = []
    for folder in [root, *root.resolve().parents]:
        found += [folder / ".venv", folder / "venv"]
        if (folder / ".git").exists():
            break
    else:
        found = found[:2]
    active = os.environ.get("VIRTUAL_ENV")
    if active and not _is_our_own(Path(active), root):
        found.append(Path(active))
    return found


def python_in(environment: Path) -> Path | None:
    """Return the Python of a virtual environment, `None` when it is none."""
    python = environment / ("Scripts/python.exe" if _WINDOWS else "bin/python")
    return python.absolute() if (environment / "pyvenv.cfg").is_file() and python.exists() else None


def site_packages(python: Path) -> list[Path]:
    """Return the folders that hold the packages of the environment of `python`."""
    base = python.parent.parent
    return [*base.glob("lib/python*/site-packages"), *base.glob("Lib/site-packages")]
