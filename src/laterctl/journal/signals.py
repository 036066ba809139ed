"""Ctrl-C and its relatives while a journal is open."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object] | int

_HANG_UP = [number for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if (number := getattr(signal, name, None))]


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP arrive as `KeyboardInterrupt`, unless the process ignores them (`nohup`)."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled([number for number in _HANG_UP if signal.getsignal(number) != signal.SIG_IGN], interrupt):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore all of them for the short time in which files are put back or a journal is closed."""
    with _handled([signal.SIGINT, *_HANG_UP], signal.SIG_IGN):
        yield


@contextmanager
def _handled(numbers: list[int], handler: Handler) -> Iterator[None]:
    previous: dict[int, Handler] = {}
    try:
        for number in numbers:
            old = signal.getsignal(number)
            try:
                signal.signal(number, handler)
            except ValueError:  # not in the main thread, which is the only one that signals reach
                break
            if old is not None:  # a handler that Python did not install cannot be put back
                previous[number] = old
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)
