"""The entry point of the `laterctl` command."""

from __future__ import annotations

import gc


def main() -> None:
    """Run the command line; exits with the code that the outcome means."""
    # A command ends before there is garbage worth collecting, and looking for it costs an eighth of the time.
    gc.disable()
    from laterctl.cli.app import app

    app()


if __name__ == "__main__":
    main()
