"""Small web servers on the loopback, each answering as one test needs it."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from styledag.loopback import served

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00"
    b"\x90wS\xde\x00\x00\x00\x0cIDATx\x9cc\xf8\xcf\xc0\x00\x00\x03\x01\x01\x00\xc9\xfe\x92\xef"
    b"\x00\x00\x00\x00IEND\xaeB`\x82"
)


@dataclass(frozen=True)
class Reply:
    """One answer; ``stream`` writes the body itself, after headers without a length."""

    body: bytes = b""
    status: int = 200
    content_type: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: Callable[[Any], None] | None = None


Route = Reply | Callable[["Site"], Reply]


@dataclass
class Site:
    """A running server.

    Attributes:
        routes: Answers by path with query; a callable is called for each request.
        asked: Requests so far, by path with query.
        last_headers: Headers of the newest request, by path with query.
    """

    routes: dict[str, Route]
    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    last_headers: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def answer(self, path: str) -> Reply:
        """Return what the server answers to a path."""
        self.asked[path] += 1
        route = self.routes.get(path, Reply(b"no such page", 404))
        return route if isinstance(route, Reply) else route(self)


@contextmanager
def serving(routes: dict[str, Route], site: Site | None = None) -> Iterator[Site]:
    """Serve routes on a free port of the loopback."""
    site = site or Site({})
    site.routes = routes

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.last_headers[self.path] = dict(self.headers)
            reply = site.answer(self.path)
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            if reply.stream is None and "Content-Length" not in reply.headers:
                self.send_header("Content-Length", str(len(reply.body)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if reply.stream is None:
                self.wfile.write(reply.body)
                return
            try:
                reply.stream(self.wfile)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    with served(server) as site.url:
        yield site


def image(content: bytes = PNG, **headers: str) -> Reply:
    """Return a PNG's answer."""
    return Reply(content, content_type="image/png", headers=headers)


def page(html: str, **headers: str) -> Reply:
    """Return an HTML page's answer."""
    return Reply(html.encode(), headers=headers)
