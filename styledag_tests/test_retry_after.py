from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from styledag.retry_after import retry_after_s

NOW = "Wed, 01 Jan 2025 00:00:00 GMT"


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
    assert retry_after_s(header, date=NOW) == expected


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_a_date_counts_by_the_clock_where_the_answer_has_none(date: str | None) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert retry_after_s(later, date=date) == pytest.approx(89.5, abs=5)
