"""A person at a terminal: `laterctl` on a real pseudo-terminal, with what is typed and what is seen."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.cli.command import COMMAND, TIMEOUT, environment

ROWS = 60
CTRL_C, CTRL_D, ENTER = "\x03", "\x04", "\n"


class Terminal:
    """`laterctl ARGUMENTS` in a folder; use it in a `with` block, which ends it."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        term: str = "dumb",
        columns: int = 1000,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._seen = ""
        self._read = 0
        self._code: int | None = None
        self._closed = False
        self._process, self._terminal = pty.fork()
        if not self._process:  # pragma: no cover - the child
            os.chdir(folder)
            termios.tcsetwinsize(0, (ROWS, columns))
            kept = environment() | {"TERM": term, "COLUMNS": str(columns)} | dict(env or {})
            os.execve(COMMAND[0], [*COMMAND, *arguments], kept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)
        os.close(self._terminal)

    @property
    def screen(self) -> str:
        """Everything that was seen so far."""
        return self._seen.replace("\r\n", "\n")

    def sees(self, pattern: str) -> str:
        """Wait until something new that matches comes up; return the new text up to the end of it."""
        deadline = time.monotonic() + TIMEOUT
        while not (match := re.compile(pattern).search(self.screen, self._read)):
            assert self._more(deadline), f"{pattern!r} did not come up:\n{self.screen}"
        start, self._read = self._read, match.end()
        return self.screen[start : match.end()]

    def types(self, keys: str) -> None:
        """Press keys."""
        os.write(self._terminal, keys.encode())

    def ends(self, *, pressing: str = "") -> int:
        """Wait until the command ends and return its exit code.

        `pressing` is pressed now and then until it does: Python does not see a Ctrl-C that comes in the instant
        before it starts to wait for input, and people press again.
        """
        deadline = time.monotonic() + TIMEOUT
        while True:
            if pressing:
                self.types(pressing)
            while self._more(min(deadline, time.monotonic() + 2) if pressing else deadline):
                pass
            if self._closed or not pressing or time.monotonic() > deadline:
                break
        assert self._closed, self.screen
        self._code = os.waitstatus_to_exitcode(os.waitpid(self._process, 0)[1])
        assert "Traceback" not in self.screen, self.screen
        return self._code

    def _more(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            return False
        data = b""
        with contextlib.suppress(OSError):  # what Linux says when the other end is closed
            data = os.read(self._terminal, 65536)
        self._seen += data.decode(errors="replace")
        self._closed = not data
        return bool(data)
