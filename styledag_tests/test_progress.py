"""Lines for logs and pipes: soon after the start, and few of them in a long task."""

from types import SimpleNamespace

import pytest

from styledag import progress
from styledag.progress import LineProgress


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def lines_of(clock: Clock, steps: int, step_s: float, *, total: int | None) -> list[str]:
    lines: list[str] = []
    with LineProgress(lines.append).task("training", total) as advance:
        for _ in range(steps):
            clock.now += step_s
            advance(1, loss=0.5)
    return lines


def test_a_task_of_seconds_is_one_line(clock: Clock) -> None:
    assert lines_of(clock, 140, 0.1, total=140) == ["training: 140 in 14.0 s"]


@pytest.mark.parametrize(
    ("lasting_s", "most"), [(60, 6), (3600, 30), (10 * 3600, 60), (24 * 3600, 105)]
)
def test_a_long_task_is_reported_soon_and_often_but_not_in_thousands_of_lines(
    clock: Clock, lasting_s: int, most: int
) -> None:
    lines = lines_of(clock, lasting_s, 1.0, total=lasting_s)
    assert lines[0] == f"training: 15 of {lasting_s} in 15.0 s, " + lines[0].split(", ", 1)[1]
    assert lasting_s / 1200 < len(lines) <= most


def test_a_line_names_subject_state_time_left_and_figures(clock: Clock) -> None:
    lines: list[str] = []
    with LineProgress(lines.append, "ema_unet cats.full").task("training", 100, done=60) as advance:
        clock.now += 20
        advance(10, loss=0.5)
        clock.now += 700
        advance(10)
    assert lines == [
        "ema_unet cats.full, training: 70 of 100 in 20.0 s, 0:01:00 left, loss 0.5",
        "ema_unet cats.full, training: 80 of 100 in 0:12:00, 0:23:20 left",
        "training: 20 in 0:12:00",
    ]


def test_what_an_earlier_run_did_does_not_shorten_the_time_left(clock: Clock) -> None:
    """19,000 of 20,000 captions come from the cache in three seconds, the rest at two a second."""
    lines: list[str] = []
    with LineProgress(lines.append).task("captions", 20_000) as advance:
        for _ in range(19_000):
            clock.now += 3 / 19_000
            advance(1)
        for _ in range(30):
            clock.now += 0.5
            advance(1)
    assert lines[0].startswith("captions: 19024 of 20000 in 15.0 s, 0:08:")


def test_waiting_is_reported_without_a_time_left_that_nobody_knows(clock: Clock) -> None:
    lines: list[str] = []
    with LineProgress(lines.append).task("list pages", None) as advance:
        clock.now += 30
        advance(0, waiting_s=60)
    assert lines == ["list pages: 0 in 30.0 s, waiting_s 60"]
