from datetime import UTC, datetime

import pytest

from styledag.collect.web.waiting import Pace, backoff_s, retry_after_s

NOW = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("9" * 400, 1e9),
        ("1.5", 1.5),
        ("2, 30", 30.0),
        ("2, soon", None),
        ("\u0663", None),
        ("1e3", None),
        ("+7", None),
        ("Wed, 01 Jan 2025 00:00:30 GMT", 30.0),
        ("Wed, 01 Jan 2025 00:00:30 -0000", 30.0),
        ("Wednesday, 01-Jan-25 00:00:30 GMT", 30.0),
        ("Wed Jan  1 00:00:30 2025", 30.0),
        ("Tue, 31 Dec 2024 23:00:00 GMT", 0.0),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 365 * 86_400.0),
        ("Wed, 99 Jan 2025 00:00:30 GMT", None),
        ("Wed, 01 Jan 99999 00:00:30 GMT", None),
    ],
)
def test_retry_after_in_every_form(header: str | None, expected: float | None) -> None:
    assert retry_after_s(header, now=NOW) == expected


def test_backoff_doubles_within_bounds_and_is_the_same_each_time() -> None:
    waits = [backoff_s("http://example.org/a", attempt) for attempt in range(11)]
    assert waits == [backoff_s("http://example.org/a", attempt) for attempt in range(11)]
    assert all(0.25 * 2**n <= wait <= 0.5 * 2**n for n, wait in enumerate(waits[:8]))
    assert max(waits) <= 120
    assert backoff_s("http://example.org/b", 0) != waits[0]


def test_the_pace_is_kept_for_each_host_alone() -> None:
    slept: list[float] = []
    now = [100.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(sleep, lambda: now[0])
    pace.wait("a", 2.0)
    pace.wait("b", 2.0)
    now[0] += 0.5
    pace.wait("a", 2.0)
    pace.wait("a", 2.0)
    assert slept == [1.5, 2.0]
