"""The demo wiki: real artwork behind a small web server on the loopback."""

import errno
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from styledag import __version__
from styledag.demo.wiki_artwork import twemoji_articles
from styledag.demo.wiki_site import Answer, WikiSite
from styledag.errors import StyledagError
from styledag.loopback import LOOPBACK, served

logger = logging.getLogger("styledag.demo")

DEFAULT_PORT = 8931
SERVER_NAME = "styledag-wiki"


class DemoWiki:
    """A running wiki.

    Attributes:
        site: Its pages.
        url: Its address, without a slash at the end.
        served: Answers so far by (status, kind); kinds are ``page``, ``image`` and ``robots``.
    """

    def __init__(self, site: WikiSite, url: str) -> None:
        self.site = site
        self.url = url
        self.served: Counter[tuple[int, str]] = Counter()
        self._lock = threading.Lock()

    def count(self, status: int, kind: str) -> None:
        """Count one answer."""
        with self._lock:
            self.served[status, kind] += 1


@contextmanager
def serve_wiki(
    *,
    port: int = DEFAULT_PORT,
    extra: Path | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
    limit_per_category: int | None = None,
) -> Iterator[DemoWiki]:
    """Serve the wiki on the loopback for as long as the context lasts.

    Args:
        port: Port to listen on; 0 for any that is free.
        extra: Folder of images ``<category>/<name>.png`` that are pages too, at once when added.
        categories: Slugs of the artwork to show, by category; all when left out.
        limit_per_category: Most pages of artwork in one category.

    Yields:
        The running wiki.

    Raises:
        StyledagError: If the artwork is not installed or the port is taken.
        DataError: If ``categories`` names what there isn't.
    """
    articles = twemoji_articles(categories=categories, limit_per_category=limit_per_category)
    try:
        server = ThreadingHTTPServer((LOOPBACK, port), _Handler)
    except OSError as exc:
        reason = "is in use" if exc.errno == errno.EADDRINUSE else os.strerror(exc.errno or 0)
        raise StyledagError(
            f"the demo wiki cannot listen on port {port} of {LOOPBACK}, which {reason}: end what "
            "uses it, or choose another port"
        ) from exc
    wiki = DemoWiki(WikiSite(articles, extra=extra), f"http://{LOOPBACK}:{server.server_port}")
    server.RequestHandlerClass = type("_WikiHandler", (_Handler,), {"wiki": wiki})
    with served(server):
        yield wiki


@contextmanager
def shared_wiki(*, extra: Path | None = None) -> Iterator[str]:
    """Yield the address of the wiki on its own port: the one that runs there, else a new one.

    Args:
        extra: As for :func:`serve_wiki`; a wiki that runs already keeps its own.

    Raises:
        StyledagError: If something else has taken the port, or the artwork is not installed.
    """
    url = f"http://{LOOPBACK}:{DEFAULT_PORT}"
    if _is_wiki(url):
        yield url
        return
    with serve_wiki(port=DEFAULT_PORT, extra=extra) as wiki:
        yield wiki.url


def _is_wiki(url: str) -> bool:
    with requests.Session() as session:
        session.trust_env = False  # no proxy stands before the loopback
        try:
            answer = session.head(url, timeout=2)
        except requests.RequestException:
            return False
    return answer.headers.get("Server", "").startswith(SERVER_NAME)


class _Handler(BaseHTTPRequestHandler):
    wiki: DemoWiki
    protocol_version = "HTTP/1.1"
    server_version = f"{SERVER_NAME}/{__version__}"
    sys_version = ""
    timeout = 30
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        answer = self.wiki.site.answer(self.path)
        self._send(answer, with_body=True)

    def do_HEAD(self) -> None:
        answer = self.wiki.site.answer(self.path)
        self._send(answer, with_body=False)

    def _send(self, answer: Answer, *, with_body: bool) -> None:
        known = [tag.strip() for tag in self.headers.get("If-None-Match", "").split(",")]
        unchanged = answer.status == 200 and (answer.etag in known or "*" in known)
        status = 304 if unchanged else answer.status
        self.wiki.count(status, answer.kind)
        self.send_response(status)
        if status != 404:
            self.send_header("ETag", answer.etag)
            self.send_header("Cache-Control", "no-cache")
        if not unchanged:
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if with_body and not unchanged:
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        logger.debug(format, *args)
