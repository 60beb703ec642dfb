"""How long to wait: between two requests to a host, and before trying again."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from styledag.randomness import seed_for

MOST_BACKOFF_S = 120.0
MOST_WAIT_S = 900.0
"""A server that asks for more is not asked again in this run."""

_SECONDS = re.compile(r"\d+(?:\.\d*)?", re.ASCII)
_MOST_S = 1e9


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


def retry_after_s(header: str | None, *, now: datetime | None = None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for.

    Args:
        header: Seconds, also with a fraction, or an HTTP date in any of its three forms (RFC
            9110, sections 5.6.7 and 10.2.3). Of several lines, joined by commas, the longest
            wait counts.
        now: The present, for a date; the clock's when left out.

    Returns:
        Seconds, at least 0; ``None`` if there is no header or it makes no sense.
    """
    if header is None:
        return None
    text = header.strip()
    numbers = [part.strip() for part in text.split(",")]
    if all(_SECONDS.fullmatch(part) for part in numbers):
        # A number of a thousand digits is a float too, if a meaningless one.
        return min(max(map(float, numbers)), _MOST_S)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    seconds = (date - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), _MOST_S)


def backoff_s(url: str, attempt: int) -> float:
    """Return the seconds to wait before trying a URL again: doubling, and spread by its name.

    Args:
        url: What is asked; its name decides where in the upper half of the interval the wait
            lies, so that many clients don't come back in step.
        attempt: Failed tries before this wait, counted from 0.
    """
    spread: float = 0.5 + seed_for("retry", url, attempt) / 2**64
    return min(0.5 * float(1 << attempt) * spread, MOST_BACKOFF_S)
