"""The one part that writes to the user's project: all of a changeset, or nothing.

    with journal.lock(root) as held:
        journal.recover(held)                      # what a run that died left behind
        changeset = ...                            # discover, plan, preview, ask
        with journal.begin(held, changeset, command="laterctl add jwt", extra=["uv.lock"]) as run:
            run.apply()
            ...                                    # install, prove: whatever raises takes everything back
            run.commit()

Before the first write, all bytes that were there and all that are to come are on disk in a folder private to this
machine, so that the next changing command can take back what `kill -9` or a power cut interrupted. `undo` takes back
the last finished run; `pending`, `last_run` and `last_written` only read.
"""

from laterctl.journal.disk import digest
from laterctl.journal.errors import BusyError, ChangedError, JournalError, KeptError, RestoreError, WriteError
from laterctl.journal.locking import Lock, lock
from laterctl.journal.restore import Recovered, recover
from laterctl.journal.run import LastRun, Pending, Run, begin, begin_undo, last_run, last_written, pending, undo
from laterctl.state_dir import state_dir

__all__ = [
    "BusyError",
    "ChangedError",
    "JournalError",
    "KeptError",
    "LastRun",
    "Lock",
    "Pending",
    "Recovered",
    "RestoreError",
    "Run",
    "WriteError",
    "begin",
    "begin_undo",
    "digest",
    "last_run",
    "last_written",
    "lock",
    "pending",
    "recover",
    "state_dir",
    "undo",
]
