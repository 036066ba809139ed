"""The entry point of the `laterctl` command.

Nothing above `_distrust_folders` may import what a file of the project could stand for: these modules are built into
the interpreter or loaded before it looks at any path, `__future__` and `typing` are not.
"""

import atexit
import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typer.models import CommandInfo


def main() -> None:
    """Run the command line; exits with the code that the outcome means."""
    _distrust_folders()
    # A command ends before there is garbage worth collecting, and looking for it costs an eighth of the time.
    gc.disable()
    atexit.register(gc.freeze)  # nor at the end
    from laterctl.cli.app import app

    # Typer makes all commands before it looks at which is wanted; what it would suggest needs them all.
    wanted = [command for command in app.registered_commands if sys.argv[1:2] == [_name(command)]]
    app.registered_commands = wanted or app.registered_commands
    try:
        app()
    except Exception as error:  # noqa: BLE001 - what nobody foresaw
        from laterctl.cli.crash import crashed

        sys.exit(crashed(error, sys.argv[1:]))


def _distrust_folders() -> None:
    """Keep the project's modules from being imported for ones of the standard library, or of laterctl's dependencies.

    `python -m` puts the current folder in front of them, `PYTHONPATH` any folder. What the variable names comes last
    instead; the current folder is dropped unless laterctl itself is in it.
    """
    try:
        here = os.path.realpath(os.getcwd())
    except OSError:  # the folder was deleted
        here = ""
    own = os.path.realpath(os.path.dirname(os.path.dirname(__file__)))
    if __name__ == "__main__" and not sys.flags.safe_path and os.path.realpath(sys.path[0]) == here:
        first = sys.path.pop(0)
        if here == own:
            sys.path.append(first)
    given = "" if sys.flags.ignore_environment else os.environ.get("PYTHONPATH", "")
    named = {os.path.realpath(path) for path in given.split(os.pathsep)} if given else set()
    last = [path for path in sys.path if os.path.realpath(path) in named]
    kept = [path for path in last if here == own or os.path.realpath(path) != here]
    sys.path[:] = [path for path in sys.path if path not in last] + kept


def _name(command: "CommandInfo") -> str:
    return command.name or command.callback.__name__ if command.callback is not None else ""


if __name__ == "__main__":
    main()
