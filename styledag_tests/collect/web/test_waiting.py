from styledag.collect.web.waiting import Pace, backoff_s


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
