"""Exit codes, and how exceptions of the layers below become one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import typer


class Exit(IntEnum):
    """What the exit status of a command means."""

    DONE = 0
    PENDING = 1
    USAGE = 2
    REFUSED = 3
    PROOF = 4
    INSTALL = 5
    UNANSWERED = 6
    UNKNOWN = 7
    INTERRUPTED = 130


class InterruptedLate(Exception):
    """A run was interrupted when it was written already."""


@contextmanager
def outcomes(*, as_json: bool = False, looks: bool = False, quiet: bool = False) -> Iterator[None]:
    """Turn what commands raise into words on the screen (or JSON) and an exit code.

    A command that only `looks` does not say that nothing was written; a `quiet` one says nothing but that it failed.
    """
    from laterctl.cli import screen

    try:
        with screen.quiet(quiet):
            yield
    except typer.Exit:
        raise
    except (Exception, KeyboardInterrupt) as error:
        raise typer.Exit(_told(error, as_json=as_json, looks=looks)) from error


def _told(error: BaseException, *, as_json: bool, looks: bool) -> Exit:
    """Say what an exception means and return its exit code; raises it again when it is nobody's answer."""
    from laterctl.cli import show
    from laterctl.commands.change import Dirty, InstallFailed, ProofFailed, Unproved
    from laterctl.doctor.rules import UnknownRule
    from laterctl.features.catalogue import UnknownFeature
    from laterctl.journal import JournalError
    from laterctl.refusal import Refused

    match error:
        case typer.BadParameter() if as_json:
            show.failure("usage", error.message, as_json=True)
            return Exit.USAGE
        case UnknownFeature():
            show.unknown_feature(error, as_json=as_json)
            return Exit.USAGE
        case UnknownRule():
            show.unknown_rule(error, as_json=as_json)
            return Exit.USAGE
        case Refused():
            show.refused(error.refusals, as_json=as_json, looks=looks)
            return Exit.REFUSED
        case ProofFailed():
            show.proof_failed(error, as_json=as_json)
            return Exit.PROOF
        case Unproved():
            show.unproved(error, as_json=as_json)
            return Exit.UNKNOWN
        case InstallFailed():
            show.install_failed(error, as_json=as_json)
            return Exit.INSTALL
        case Dirty():
            show.dirty(error.paths, as_json=as_json)
            return Exit.UNANSWERED
        case KeyboardInterrupt() | typer.Abort():
            show.failure("interrupted", "interrupted; every file is as it was", as_json=as_json)
            return Exit.INTERRUPTED
        case InterruptedLate():
            show.failure("interrupted", f"interrupted; {error}", as_json=as_json)
            return Exit.INTERRUPTED
        case BrokenPipeError():
            # Whoever read what was printed has seen enough; the interpreter must not complain when it flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return Exit.DONE
        case OSError():
            show.failure("system", f"{error.filename or ''}: {error.strerror or error}".lstrip(": "), as_json=as_json)
            return Exit.REFUSED
        case JournalError():
            show.journal_error(error, as_json=as_json)
            return Exit.REFUSED
    raise error
