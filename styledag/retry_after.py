"""How long a server asks to wait before it is asked again."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"\d+(?:\.\d*)?", re.ASCII)
_MOST_S = 1e9


def retry_after_s(header: str | None, *, date: str | None = None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for.

    Args:
        header: Seconds, also with a fraction, or an HTTP date in any of its three forms (RFC
            9110, sections 5.6.7 and 10.2.3). Of several lines, joined by commas, the longest
            wait counts.
        date: The answer's own ``Date``, which a date is compared with: this machine's clock,
            which is when it is left out, may be wrong.

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
    until = _moment(text)
    if until is None:
        return None
    seconds = (until - (_moment(date or "") or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), _MOST_S)


def _moment(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
