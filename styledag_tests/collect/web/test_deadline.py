"""One thread cuts every connection whose time is up, and no other."""

import socket
import threading
import time

from styledag.collect.web.deadline import Deadline


def is_cut(connected: socket.socket, within_s: float) -> bool:
    connected.settimeout(within_s)
    try:
        return connected.recv(1) == b""
    except TimeoutError:
        return False


def test_the_earliest_deadline_counts_whenever_it_was_set() -> None:
    here, there = zip(*(socket.socketpair() for _ in range(3)), strict=True)
    limits_s = (60.0, 0.2, 30.0)
    with Deadline(limits_s[0]) as late, Deadline(limits_s[1]) as soon, Deadline(limits_s[2]) as mid:
        for deadline, connected in zip((late, soon, mid), here, strict=True):
            deadline.hold(connected)
        assert is_cut(there[1], 10)
        assert soon.expired
        assert not is_cut(there[0], 0.05)
        assert not is_cut(there[2], 0.05)
        assert not late.expired
    for each in (*here, *there):
        each.close()


def test_a_connection_that_comes_too_late_is_cut_at_once() -> None:
    here, there = socket.socketpair()
    with here, there, Deadline(0.01) as deadline:
        while not deadline.expired:
            time.sleep(0.005)
        deadline.hold(here)
        assert is_cut(there, 10)


def test_an_exchange_that_ended_in_time_is_left_alone() -> None:
    here, there = socket.socketpair()
    with here, there:
        with Deadline(0.5) as deadline:
            deadline.hold(here)
        assert not is_cut(there, 0.8)
        assert not deadline.expired


def test_thousands_of_deadlines_are_one_thread() -> None:
    before = threading.active_count()
    deadlines = [Deadline(5) for _ in range(2_000)]
    for deadline in deadlines:
        deadline.__enter__()
    assert threading.active_count() <= before + 1
    for deadline in deadlines:
        deadline.__exit__(None, None, None)
