# From laterctl: factory.
"""One notifier: sms."""

import logging

logger = logging.getLogger(__name__)


class SmsNotifier:
    """Logs until it does something; what it needs, its constructor takes."""

    async def send(self, to: str, text: str) -> None:
        """Log a text."""
        logger.info('sms to %s: %s', to, text)
