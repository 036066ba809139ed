"""Runs the probe in a child process: the one place where the user's code runs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from laterctl import install
from laterctl.project.places import Place
from laterctl.proof.scratch import Scratch

PROBE = Path(__file__).with_name("probe.py")

_WINDOWS = os.name == "nt"
_GRACE = 10.0
"""Seconds beyond its time after which a child is ended that did not end itself."""
_TURN = 0.2
"""Seconds after which it is looked again how far a child is."""
_TAIL = 64 * 1024
"""Bytes of standard error that are kept, the last ones."""
_NOT_THEIRS = ("PYTHONHOME", "PYTHONINSPECT", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__")


@dataclass(frozen=True)
class Ended:
    """How the child ended: what it wrote down, why it ended early (`""`: it did not), and the line it was at then.

    `said` are the last lines that it printed on standard error.
    """

    report: Mapping[str, Any]
    reason: str = ""
    place: Place | None = None
    said: str = ""

    @property
    def needs_loop(self) -> bool:
        """Whether the app asked, while it was imported, for an event loop that runs: under uvicorn there is one."""
        error = self.report.get("error")
        return error is not None and "no running event loop" in error["reason"]


def run(
    scratch: Scratch,
    python: Path,
    request: Mapping[str, Any],
    timeout: float,
    started: Callable[[], None] = lambda: None,
) -> Ended:
    """Run the probe on a scratch copy, with the project's interpreter, for at most `timeout` seconds.

    It gets no input, and a process group of its own that is ended afterwards, however it went. `started` is called when
    it begins with the project's code.

    `request` names the import roots `first` and `others` relative to the project, `distributions` whose versions are
    wanted, and what to run. For the app that is `app` (`module:attr`), `factory`, `running` (whether the event loop
    runs while it is imported), `routers`, `middleware` and `lifespans` (dotted names to report about), `asks` (whether
    to send requests) and `lifespan`, the seconds that starting and stopping may each take. For the tests it is
    `tests`, the arguments of pytest.
    """
    report, begun = scratch.folder / "report.json", scratch.folder / "begun"
    begun.unlink(missing_ok=True)
    report.unlink(missing_ok=True)
    whole = {
        **request,
        "copy": os.fspath(scratch.root),
        "original": os.fspath(scratch.original),
        "omitted": scratch.omitted,
        "report": os.fspath(report),
        "begun": os.fspath(begun),
        "timeout": timeout,
    }
    process = subprocess.Popen(
        [os.fspath(python), os.fspath(PROBE), json.dumps(whole)],
        cwd=scratch.root,
        env=environment(scratch, python, request["first"] if "tests" in request else ()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=not _WINDOWS,
    )
    errors = bytearray()
    assert process.stderr is not None
    # A thread of its own: who left the group may hold the pipe open for good.
    reader = threading.Thread(target=_keep_tail, args=(process.stderr, errors), daemon=True)
    reader.start()
    code: int | None = None
    end, said = time.monotonic() + timeout + _GRACE, False
    try:
        while code is None and time.monotonic() < end:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(_TURN)
            if not said and begun.exists():
                said = True
                started()
    finally:
        _end(process)
    reader.join(1)
    return _ended(_read(report), code, errors.decode("utf-8", "replace"), scratch, timeout)


def _keep_tail(stream: IO[bytes], kept: bytearray) -> None:
    with stream:
        while chunk := os.read(stream.fileno(), 65536):
            kept += chunk
            del kept[:-_TAIL]


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if _WINDOWS:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(report: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _ended(report: Mapping[str, Any], code: int | None, errors: str, scratch: Scratch, timeout: float) -> Ended:
    late = re.search(r"^Timeout \(\d+:\d\d:\d\d", errors, re.MULTILINE)
    if code is None or (code == 1 and late):
        at = errors[late.end() :] if late else ""
        return Ended(report, f"it took longer than {timeout:g} seconds", _place(at, scratch))
    said = "; ".join([line.strip() for line in errors.splitlines() if line.strip()][-3:])
    if code == 0:
        return Ended(report, said=said)
    how = f"it was ended by signal {-code}" if code < 0 else f"it ended the process with {code}"
    return Ended(report, ": ".join(filter(None, (how, said))))


def _place(dump: str, scratch: Scratch) -> Place | None:
    """Return the innermost line of the project in a dump of the stacks, most recent call first."""
    for file, line in re.findall(r'File "([^"]+)", line (\d+)', dump):
        path = Path(os.path.realpath(file))
        if path.is_relative_to(scratch.root):
            return Place(path.relative_to(scratch.root).as_posix(), int(line))
    return None


def environment(scratch: Scratch, python: Path, roots: Sequence[str] = ()) -> dict[str, str]:
    """Return the environment of the child: the user's, as if the project's environment were active, in the copy.

    Nothing of laterctl's own environment is in it. Paths into the project lead into the copy, and temporary files go
    beside it. `roots` are folders of the project from which Python programs that the child starts import first.
    """
    kept = install.child_environment(scratch.original)
    values = {name: scratch.moved(value) for name, value in os.environ.items() if name in kept}
    home = python.parent.parent
    paths = [path for path in values.get("PATH", "").split(os.pathsep) if path]
    own = os.path.dirname(sys.executable)
    if sys.prefix != sys.base_prefix and own != os.fspath(python.parent):
        paths = [path for path in paths if path != own]
    if (home / "pyvenv.cfg").is_file():
        values["VIRTUAL_ENV"] = os.fspath(home)
        paths = [os.fspath(python.parent), *(path for path in paths if path != os.fspath(python.parent))]
    temporary = os.fspath(scratch.folder / "tmp")
    values |= {"PATH": os.pathsep.join(paths), "PWD": os.fspath(scratch.root), "PYTHONDONTWRITEBYTECODE": "1"}
    values |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), temporary)
    if roots:
        first = [os.path.normpath(scratch.root / root) for root in roots]
        values["PYTHONPATH"] = os.pathsep.join([*first, *filter(None, [values.get("PYTHONPATH", "")])])
    return {name: value for name, value in values.items() if name not in _NOT_THEIRS}
