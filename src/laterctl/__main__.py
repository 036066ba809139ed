"""The entry point of the `laterctl` command."""

from __future__ import annotations

import atexit
import gc
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typer.models import CommandInfo


def main() -> None:
    """Run the command line; exits with the code that the outcome means."""
    # A command ends before there is garbage worth collecting, and looking for it costs an eighth of the time.
    gc.disable()
    atexit.register(gc.freeze)  # nor at the end
    from laterctl.cli.app import app

    # Typer makes all commands before it looks at which is wanted; what it would suggest needs them all.
    wanted = [command for command in app.registered_commands if sys.argv[1:2] == [_name(command)]]
    app.registered_commands = wanted or app.registered_commands
    app()


def _name(command: CommandInfo) -> str:
    return command.name or command.callback.__name__ if command.callback is not None else ""


if __name__ == "__main__":
    main()
