# From laterctl: factory.
"""What each notifier can do."""

from typing import Protocol


class Notifier(Protocol):
    """Put here what the code that asks for one calls."""

    async def send(self, to: str, text: str) -> None:
        """Send a text to somebody."""
