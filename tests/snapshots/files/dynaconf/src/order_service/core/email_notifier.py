# From laterctl: factory.
"""One notifier: email."""

import logging

logger = logging.getLogger(__name__)


class EmailNotifier:
    """Logs until it does something; what it needs, its constructor takes."""

    async def send(self, to: str, text: str) -> None:
        """Log a text."""
        logger.info('email to %s: %s', to, text)
