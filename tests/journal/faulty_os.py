"""The `os` module with faults, for the modules of the journal to see in its place."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from laterctl.journal import (
    capture,
    disk,
    locking,
    record,
    restore,
    run,
)
from tests.journal.journal_scene import (
    Tree,
    begun,
    build,
    change,
    in_child,
    install,
    take_back,
)

Action = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
Choice = Callable[[str, tuple[Any, ...]], bool]

PURE = {"fspath", "fsencode", "fsdecode", "getpid", "_exit"}
NEEDS_SPACE = {"write", "mkdir", "makedirs"}
CHANGES_NOTHING = {"lstat", "read", "close", "listdir", "access", "lseek"}


class FaultyOs:
    """The `os` module with something happening at call number `at`, and at all later ones that `lasting` admits."""

    def __init__(self, at: int, action: Action, lasting: Choice | None = None) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self._at = at
        self._action = action
        self._lasting = lasting

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if not callable(real) or name in PURE:
            return real

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append((name, arguments))
            number = len(self.calls) - 1
            if self._lasting is not None:
                hit = number >= self._at and self._lasting(name, arguments)
            else:
                hit = number == self._at
            return self._action(real, arguments, options) if hit else real(*arguments, **options)

        return call


@contextmanager
def faults(system: FaultyOs) -> Iterator[None]:
    modules = (capture, disk, locking, record, restore, run)
    with pytest.MonkeyPatch.context() as patcher:
        for module in modules:
            patcher.setattr(module, "os", system)
        yield


def failing(error: Callable[[], BaseException]) -> Action:
    def act(real: Callable[..., Any], arguments: tuple[Any, ...], _options: dict[str, Any]) -> Any:
        if real is os.close:  # whatever it says, the file is closed
            real(*arguments)
        raise error()

    return act


def nothing(real: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    return real(*arguments, **options)


def needs_space(name: str, arguments: tuple[Any, ...]) -> bool:
    return name in NEEDS_SPACE or (name == "open" and bool(arguments[1] & os.O_CREAT))


def every_call(_name: str, _arguments: tuple[Any, ...]) -> bool:
    return True


def changes_something(name: str, arguments: tuple[Any, ...]) -> bool:
    return bool(arguments[1] & os.O_CREAT) if name == "open" else name not in CHANGES_NOTHING


def each_call(
    folder: Path,
    job: Callable[[Path], None],
    prepare: Callable[[Path], None] = lambda _: None,
    choice: Choice = every_call,
) -> Iterator[tuple[int, str, Path]]:
    """Yield the number and name of every call that `job` makes and `choice` admits, each with a fresh project."""
    model = build(Path(tempfile.mkdtemp(dir=folder)))
    prepare(model)
    system = FaultyOs(-1, nothing)
    with faults(system):
        job(model)
    assert {"open", "fsync", "replace", "unlink"} <= {name for name, _ in system.calls}
    for at, (name, arguments) in enumerate(system.calls):
        if choice(name, arguments):
            root = build(Path(tempfile.mkdtemp(dir=folder)))
            prepare(root)
            yield at, name, root
            shutil.rmtree(root.parent)


JOBS = pytest.mark.parametrize("undoing", [False, True], ids=["run", "undo"])


def scene(undoing: bool, trees: tuple[Tree, Tree]) -> tuple[Callable[[Path], None], Callable[[Path], None], Tree, Tree]:
    """A job, what goes before it, and the trees that it leads from and to."""
    before, after = trees
    if undoing:
        return take_back, change, after, before
    return change, lambda _: None, before, after


def failing_install(root: Path) -> None:
    """Write everything, then fail."""
    with suppress(ZeroDivisionError), begun(root) as open_run:
        open_run.apply()
        install(root)
        raise ZeroDivisionError


def stop(_real: Callable[..., Any], _arguments: tuple[Any, ...], _options: dict[str, Any]) -> None:
    os._exit(9)


def stop_half_way(real: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    try:
        if real is os.write:
            real(arguments[0], arguments[1][: len(arguments[1]) // 2])
        else:
            real(*arguments, **options)
    finally:
        os._exit(9)


def stopped_job(root: Path, job: Callable[[Path], None], at: int, how: Action) -> int:
    def dying() -> None:
        with faults(FaultyOs(at, how)):
            job(root)

    return in_child(dying)
