"""How long to wait: between two requests to a host, and before trying again."""

import time
from collections.abc import Callable

from styledag.randomness import seed_for

MOST_BACKOFF_S = 120.0
MOST_WAIT_S = 900.0
"""A server that asks for more is not asked again in this run."""


class Pace:
    """Keeps the least time between two requests to one host."""

    def __init__(
        self,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sleep = sleep
        self._clock = clock
        self._last_s: dict[str, float] = {}

    def wait(self, host: str, delay_s: float) -> None:
        """Return once ``delay_s`` seconds have passed since the last call for this host."""
        last_s = self._last_s.get(host)
        if last_s is not None:
            left_s = last_s + delay_s - self._clock()
            if left_s > 0:
                self._sleep(left_s)
        self._last_s[host] = self._clock()


def backoff_s(url: str, attempt: int) -> float:
    """Return the seconds to wait before trying a URL again: doubling, and spread by its name.

    Args:
        url: What is asked; its name decides where in the upper half of the interval the wait
            lies, so that many clients don't come back in step.
        attempt: Failed tries before this wait, counted from 0.
    """
    spread: float = 0.5 + seed_for("retry", url, attempt) / 2**64
    return min(0.5 * float(1 << attempt) * spread, MOST_BACKOFF_S)
