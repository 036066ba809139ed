# From laterctl: rate-limit.
"""What clients have used of their rates, in the memory of one process."""

import time
from collections import OrderedDict

MAX_KEYS = 100_000


class RateStore:
    """When each key owes nothing any more, by the generic cell rate algorithm.

    Of more than ``MAX_KEYS`` the one that was let in longest ago is forgotten.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._paid: OrderedDict[str, int] = OrderedDict()

    async def take(self, key: str, step: int, window: int) -> int:
        """Return what a key owes with one more step, in microseconds.

        What is above the window is refused, and does not count.
        """
        now = time.monotonic_ns() // 1000
        debt = max(self._paid.get(key, now) - now, 0) + step
        if debt <= window:
            self._paid[key] = now + debt
            self._paid.move_to_end(key)
        if len(self._paid) > MAX_KEYS:
            self._paid.popitem(last=False)
        return debt


rate_store = RateStore()
