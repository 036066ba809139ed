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


@contextmanager
def outcomes(*, as_json: bool = False, looks: bool = False) -> Iterator[None]:
    """Turn what commands raise into words on the screen (or JSON) and an exit code.

    A command that only `looks` does not say that nothing was written.
    """
    from laterctl.catalogue import UnknownFeature
    from laterctl.cli import show
    from laterctl.commands.change import Dirty, InstallFailed, ProofFailed
    from laterctl.outcome import Refused

    try:
        yield
    except typer.BadParameter as error:
        if not as_json:
            raise
        show.failure("usage", error.message, as_json=True)
        raise typer.Exit(Exit.USAGE) from error
    except UnknownFeature as error:
        show.unknown_feature(error, as_json=as_json)
        raise typer.Exit(Exit.USAGE) from error
    except Refused as error:
        show.refused(error.refusals, as_json=as_json, looks=looks)
        raise typer.Exit(Exit.REFUSED) from error
    except ProofFailed as error:
        show.proof_failed(error, as_json=as_json)
        raise typer.Exit(Exit.PROOF) from error
    except InstallFailed as error:
        show.install_failed(error, as_json=as_json)
        raise typer.Exit(Exit.INSTALL) from error
    except Dirty as error:
        show.dirty(error.paths, as_json=as_json)
        raise typer.Exit(Exit.UNANSWERED) from error
    except (KeyboardInterrupt, typer.Abort) as error:
        show.failure("interrupted", "interrupted; every file is as it was", as_json=as_json)
        raise typer.Exit(Exit.INTERRUPTED) from error
    except BrokenPipeError as error:
        # Whoever read what was printed has seen enough; the interpreter must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.DONE) from error
    except OSError as error:
        show.failure("system", f"{error.filename or ''}: {error.strerror or error}".lstrip(": "), as_json=as_json)
        raise typer.Exit(Exit.REFUSED) from error
    except Exception as error:
        from laterctl.journal import JournalError

        if not isinstance(error, JournalError):
            raise
        show.journal_error(error, as_json=as_json)
        raise typer.Exit(Exit.REFUSED) from error
