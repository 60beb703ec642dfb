"""Small web servers on the loopback, each for as long as a block runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer

LOOPBACK = "127.0.0.1"


@contextmanager
def served(server: HTTPServer) -> Iterator[str]:
    """Let a server answer in a thread; yield its address, without a slash at the end."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    with server:
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
