"""What a run is doing, on standard error: each step as it begins, and after a second how long it takes and what it says."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from laterctl.cli.screen import erase, faint, is_quiet, overwrite, tell

_SOON = 1.0
"""Seconds after which a step is said to take its time."""
_TURN = 0.5
"""Seconds after which the time is shown anew."""


class Steps:
    """Tells the steps of a run one after the other; use it in a `with` block, whose end is that of the last step.

    Args:
        verbose: whether all that programs print is shown, and not their last line alone.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._begun = 0.0
        self._title = ""
        self._last = ""
        self._clock = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Self:
        if not is_quiet():
            self._clock.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with self._lock:
            self._end()

    def waits_for(self, title: str) -> None:
        """Begin a step that is seldom worth a word: it is shown for as long as it lasts, when that is long."""
        with self._lock:
            self._end()
            self._title, self._begun = title, time.monotonic()

    def begins(self, title: str) -> None:
        """Say that a step begins."""
        with self._lock:
            self._end()
            tell(faint(title), progress=True)
            self._begun = time.monotonic()

    def hears(self, line: str) -> None:
        """Take a line that the step's program prints."""
        with self._lock:
            self._last = line.strip() or self._last
            if self._verbose:
                erase()
                tell(f"  {line}", progress=True)

    def _end(self) -> None:
        erase()
        if self._begun and not self._title and self._seconds() >= _SOON:
            tell(faint(self._words()), progress=True)
        self._title, self._last, self._begun = "", "", 0.0

    def _seconds(self) -> float:
        return time.monotonic() - self._begun

    def _words(self) -> str:
        said = "" if self._verbose else self._last
        return f"  {': '.join(filter(None, (self._title, f'{self._seconds():.0f} s', said)))}"

    def _tick(self) -> None:
        while not self._over.wait(_TURN):
            with self._lock:
                if self._begun and not self._over.is_set() and self._seconds() >= _SOON:
                    overwrite(faint(self._words()))
