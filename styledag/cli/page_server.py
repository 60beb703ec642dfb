"""A small web server on the loopback for published pages, beside the web UI, which has none."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from styledag import __version__
from styledag.errors import StyledagError
from styledag.graph.pages import read_page
from styledag.loopback import LOOPBACK, served
from styledag.store.store import Store

logger = logging.getLogger("styledag.pages")

POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox"
)
"""Pages contain all that they show: they may load nothing, send nothing and store nothing."""


@contextmanager
def serve_pages(store: Store, *, port: int) -> Iterator[str]:
    """Serve the store's published HTML, PNG and GIF for as long as the context lasts.

    Yields:
        Its address, without a slash at the end.

    Raises:
        StyledagError: If the port cannot be used.
    """
    try:
        server = ThreadingHTTPServer((LOOPBACK, port), _Handler)
    except (OSError, OverflowError) as exc:
        raise StyledagError(f"port {port} of {LOOPBACK} cannot be used: {exc}") from exc
    server.RequestHandlerClass = type("_PageHandler", (_Handler,), {"store": store})
    with served(server) as url:
        yield url


class _Handler(BaseHTTPRequestHandler):
    store: Store
    server_version = f"styledag-pages/{__version__}"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        # A page elsewhere whose name was made to lead here has its own name in this header.
        host = self.headers.get("Host", "").rpartition(":")[0]
        page = None
        if host in (LOOPBACK, "localhost"):
            page = read_page(self.store, self.path.partition("?")[0])
        self.send_response(404 if page is None else 200)
        content = b"no such page: it may not be made yet\n" if page is None else page.content
        content_type = "text/plain; charset=utf-8" if page is None else page.content_type
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "no-cache")
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        logger.debug(format, *args)
