"""The entry point of the `laterctl` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line; exits with the code that the outcome means."""
    from laterctl.cli.app import app

    app()


if __name__ == "__main__":
    main()
