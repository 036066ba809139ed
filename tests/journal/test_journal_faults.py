"""All or nothing: a fault at every call to the system, and signals."""

# ruff: noqa: PT012, PT017 - leaving the block is what raises, and a loop goes through many outcomes
from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from laterctl import journal
from laterctl.journal import (
    ChangedError,
    JournalError,
    RestoreError,
    WriteError,
)
from tests.journal.faulty_os import (
    JOBS,
    Choice,
    FaultyOs,
    changes_something,
    each_call,
    every_call,
    failing,
    failing_install,
    faults,
    needs_space,
    scene,
)
from tests.journal.journal_scene import (
    CHANGES,
    COMMAND,
    LOCK,
    MAIN,
    SCRIPT,
    Tree,
    begun,
    build,
    change,
    look,
    posix,
    recover,
    waiting_run,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


FAULTS = pytest.mark.parametrize(
    ("error", "choice"),
    [(lambda: OSError(errno.EIO, "Input/output error"), every_call), (KeyboardInterrupt, changes_something)],
    ids=["EIO", "interrupt"],
)


@JOBS
@FAULTS
def test_one_fault_at_every_call(
    fast: Path, trees: tuple[Tree, Tree], error: Callable[[], BaseException], choice: Choice, undoing: bool
) -> None:
    job, prepare, start, end = scene(undoing, trees)
    restored = 0
    for at, name, root in each_call(fast, job, prepare, choice):
        where = f"call {at}: {name}"
        try:
            with faults(FaultyOs(at, failing(error))):
                job(root)
        except (JournalError, KeyboardInterrupt) as caught:
            if isinstance(error(), OSError):
                assert isinstance(caught, JournalError), where
                assert str(caught), where
            if journal.pending(root) is None:
                # What comes after the commit cannot take the run back any more.
                assert look(root) in ([start] if isinstance(caught, WriteError) else [start, end]), where
                restored += look(root) == start
            recover(root)
            assert look(root) in (start, end), where
        else:
            assert look(root) == end, where
        assert journal.pending(root) is None, where
        if look(root) == start:
            job(root)
        assert look(root) == end, where
    assert restored > 20


@FAULTS
def test_a_second_fault_while_everything_is_put_back(
    fast: Path, trees: tuple[Tree, Tree], error: Callable[[], BaseException], choice: Choice
) -> None:
    before, _ = trees
    for at, name, root in each_call(fast, failing_install, choice=choice):
        with suppress(JournalError, KeyboardInterrupt), faults(FaultyOs(at, failing(error))):
            failing_install(root)
        recover(root)
        assert look(root) == before, f"call {at}: {name}"
        assert journal.pending(root) is None


def test_a_fault_while_everything_is_put_back_is_reported_and_the_rest_restored(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = look(root)
    stubborn = root / MAIN
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        if target == stubborn:
            raise OSError(errno.EIO, "Input/output error")
        real(source, target)

    with pytest.raises(RestoreError, match=f"{MAIN}: Input/output error") as caught, begun(root) as open_run:
        open_run.apply()
        monkeypatch.setattr(os, "replace", replace)
        raise ZeroDivisionError
    monkeypatch.undo()
    assert caught.value.paths == (MAIN,)
    assert look(root) == before | {MAIN: ("file", CHANGES[MAIN].after, before[MAIN][2])}
    assert journal.pending(root) == journal.Pending(COMMAND, (*CHANGES, LOCK), os.getpid(), running=False)
    recover(root)
    assert look(root) == before


def test_the_disk_fills_up_at_every_call_and_stays_full(fast: Path, trees: tuple[Tree, Tree]) -> None:
    before, after = trees
    for at, name, root in each_call(fast, change, choice=needs_space):
        system = FaultyOs(at, failing(lambda: OSError(errno.ENOSPC, "No space left on device")), needs_space)
        where = f"call {at}: {name}"
        try:
            with faults(system):
                change(root)
        except WriteError as error:
            assert error.cause.errno == errno.ENOSPC
            assert error.paths
            assert look(root) == before, where
            assert journal.pending(root) is None, where
        else:
            assert look(root) == after, where


def test_a_file_saved_between_two_replacements_is_not_overwritten(root: Path) -> None:
    before = look(root)

    def save_another(real: Callable[..., Any], arguments: tuple[Any, ...], _options: dict[str, Any]) -> Any:
        if Path(arguments[1]) == root / MAIN:
            (root / SCRIPT).write_bytes(b"saved\n")
        return real(*arguments)

    with pytest.raises(ChangedError) as caught, faults(FaultyOs(0, save_another, lambda name, _: name == "replace")):
        change(root)
    assert caught.value.paths == (SCRIPT,)
    assert look(root) == before | {SCRIPT: ("file", b"saved\n", before[SCRIPT][2])}
    assert journal.pending(root) is None


def test_short_writes_lose_nothing(fast: Path, trees: tuple[Tree, Tree]) -> None:
    def one_byte(real: Callable[..., Any], arguments: tuple[Any, ...], _options: dict[str, Any]) -> Any:
        return real(arguments[0], arguments[1][:1])

    root = build(fast / "short")
    with faults(FaultyOs(0, one_byte, lambda name, _: name == "write")):
        change(root)
    assert look(root) == trees[1]


@posix
def test_a_state_folder_on_another_file_system(fast: Path, trees: tuple[Tree, Tree]) -> None:
    def other_device(_real: Callable[..., Any], arguments: tuple[Any, ...], _options: dict[str, Any]) -> Any:
        if f"{os.sep}reserve{os.sep}" in str(arguments[0]):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        os.replace(*arguments)

    root = build(fast / "device")
    with faults(FaultyOs(0, other_device, lambda name, _: name == "replace")):
        failing_install(root)
    assert look(root) == trees[0]


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_take_an_open_run_back(root: Path, number: signal.Signals) -> None:
    before = look(root)
    with waiting_run(root) as child:
        assert look(root) != before
        child.send_signal(number)
        output, errors = child.communicate(timeout=60)
        assert output == b"interrupted", errors
        assert b"KeyboardInterrupt" in errors
    assert look(root) == before
    assert journal.pending(root) is None


@posix
def test_signals_during_the_restoration_do_not_stop_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = look(root)
    real = os.replace
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]

    def replace(source: Path, target: Path) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
        real(source, target)

    with suppress(ZeroDivisionError), begun(root) as open_run:
        open_run.apply()
        monkeypatch.setattr(os, "replace", replace)
        raise ZeroDivisionError
    assert look(root) == before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == handlers


@posix
def test_signals_during_the_commit_come_too_late(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        real(source, target)

    with begun(root) as open_run:
        open_run.apply()
        monkeypatch.setattr(os, "replace", replace)
        open_run.commit()
        monkeypatch.undo()
    assert journal.last_run(root) is not None
    assert (root / MAIN).read_bytes() == CHANGES[MAIN].after


@posix
def test_a_hang_up_that_the_process_ignores_stays_ignored(root: Path) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with begun(root, extra=()) as open_run:
            os.kill(os.getpid(), signal.SIGHUP)
            open_run.apply()
            open_run.commit()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, previous)
