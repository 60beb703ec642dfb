"""A limit on a whole exchange: ``requests`` itself limits only each single read."""

import contextlib
import socket
import threading
from types import TracebackType


class Deadline:
    """Cuts the connection it holds once its time is up.

    A server that sends a byte now and then never runs into a read timeout; this ends it.

    Args:
        limit_s: Seconds from entering until the connection is cut.
    """

    def __init__(self, limit_s: float) -> None:
        self.expired = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(limit_s, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> "Deadline":
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        self._socket = None

    def hold(self, connected: socket.socket | None) -> None:
        """Say which connection to cut."""
        self._socket = connected
        if self.expired:
            self._cut()

    def _cut(self) -> None:
        self.expired = True
        held = self._socket
        if held is not None:
            with contextlib.suppress(OSError):
                # Not SSLSocket.shutdown: it takes the TLS state from under the waiting reader.
                socket.socket.shutdown(held, socket.SHUT_RDWR)
