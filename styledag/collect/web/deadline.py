"""A limit on a whole exchange: ``requests`` itself limits only each single read."""

import contextlib
import heapq
import itertools
import socket
import threading
import time


class Deadline:
    """Cuts the connection it holds once its time is up.

    A server that sends a byte now and then never runs into a read timeout; this ends it.
    """

    def __init__(self, limit_s: float) -> None:
        self.expired = False
        self._limit_s = limit_s
        self._is_over = False
        self._socket: socket.socket | None = None

    def __enter__(self) -> "Deadline":
        _WATCHDOG.watch(self, time.monotonic() + self._limit_s)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._is_over = True
        self._socket = None

    def hold(self, connected: socket.socket | None) -> None:
        """Say which connection to cut."""
        self._socket = connected
        if self.expired:
            self._cut()

    def expire(self) -> None:
        """Cut the connection, unless the exchange is over."""
        if not self._is_over:
            self.expired = True
            self._cut()

    def _cut(self) -> None:
        held = self._socket
        if held is not None:
            with contextlib.suppress(OSError):
                # Not SSLSocket.shutdown: it takes the TLS state from under the waiting reader.
                socket.socket.shutdown(held, socket.SHUT_RDWR)


class _Watchdog:
    """One thread for all deadlines, which runs while there are any."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, Deadline]] = []
        self._numbers = itertools.count()
        self._is_running = False

    def watch(self, deadline: Deadline, ends_at_s: float) -> None:
        with self._changed:
            heapq.heappush(self._waiting, (ends_at_s, next(self._numbers), deadline))
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="deadlines", daemon=True).start()
            elif self._waiting[0][2] is deadline:
                self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while self._waiting:
                ends_at_s, _, deadline = self._waiting[0]
                left_s = ends_at_s - time.monotonic()
                if left_s > 0:
                    self._changed.wait(left_s)
                else:
                    heapq.heappop(self._waiting)
                    deadline.expire()
            self._is_running = False


_WATCHDOG = _Watchdog()
