"""A polite and stubborn HTTP client: robots.txt, pace, retries, redirects, conditional requests."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType

from styledag import __version__
from styledag.collect.settings import FetchSettings
from styledag.collect.web.addresses import checked_url
from styledag.collect.web.links import absolute_url, header_url
from styledag.collect.web.received import Received, ReceivedBodies
from styledag.collect.web.robots import AGENT, Robots
from styledag.collect.web.transport import Answer, Transport
from styledag.collect.web.waiting import Pace, backoff_s, retry_after_s
from styledag.errors import FetchError, is_transient
from styledag.store.workspace import Workspace

logger = logging.getLogger("styledag.collect")

MOST_REDIRECTS = 8
MOST_FAILURES = 5
"""Addresses in a row that a host fails to answer, each with all retries, before it is given up."""
PAGES, IMAGES = "pages", "downloads"
_ACCEPT = {PAGES: "text/html,application/json;q=0.9,*/*;q=0.5", IMAGES: "image/*,*/*;q=0.5"}
_REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page as it was received.

    Attributes:
        url: What answered, after redirects.
        body: The bytes.
        content_type: As the server declared it.
        retry_after_s: Seconds for which the server asks although it answered; ``None`` mostly.
    """

    url: str
    body: bytes
    content_type: str
    retry_after_s: float | None = None


class Client:
    """Fetches one source's pages and images, one at a time.

    Counts the bodies it receives in ``workspace.work`` as ``pages`` and ``downloads``; what a
    server says is unchanged is neither received nor counted.

    Args:
        settings: Manners and limits.
        workspace: Where bodies are kept, as soon as they are there.
        sleep: Waits for a number of seconds.
    """

    def __init__(
        self,
        settings: FetchSettings,
        workspace: Workspace,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings
        self.sleep = sleep
        self._workspace = workspace
        self._bodies = ReceivedBodies(workspace)
        self._transport = Transport(
            timeout_s=settings.timeout_s, private_hosts=settings.allow_private_hosts
        )
        self._robots = Robots(self._robots_text)
        self._pace = Pace(sleep)
        self._unchanged = 0
        self._failures: Counter[str] = Counter()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._transport.close()
        logger.info("%d bodies were unchanged at the source", self._unchanged)

    def page(self, url: str, *, obey_robots: bool = True) -> Page:
        """Return a page.

        Args:
            url: Its address.
            obey_robots: False for an interface that is made for programs, such as an API, which
                robots.txt (made for crawlers) commonly closes as a whole.

        Raises:
            FetchError: With the reason for which it can't be had.
        """
        max_bytes = self.settings.max_page_bytes
        received, answer = self._fetch(url, PAGES, max_bytes, obey_robots=obey_robots)
        asked = None if answer is None else answer.headers.get("Retry-After")
        return Page(
            url=received.final_url,
            body=self._bodies.body(received) if answer is None else answer.body,
            content_type=received.content_type,
            retry_after_s=retry_after_s(asked),
        )

    def image(self, url: str, *, sha1: str = "") -> Received:
        """Return the record of an image whose bytes are in ``workspace.blobs``.

        Args:
            url: Its address.
            sha1: The image's sha1, if the source has said it: where it is that of the bytes at
                hand, nothing is asked.

        Raises:
            FetchError: With the reason for which it can't be had; ``not_an_image`` if what came
                is something else.
        """
        known = self._bodies.find(url)
        if known is not None and self._needs_no_asking(known, sha1.lower()):
            self._unchanged += 1
            received = known
        else:
            received, _ = self._fetch(url, IMAGES, self.settings.max_image_bytes)
        if not received.image_type:
            said = received.content_type or "no content type"
            raise FetchError("not_an_image", f"the answer is no image ({said})")
        return received

    def _needs_no_asking(self, known: Received, sha1: str) -> bool:
        return known.sha1 == sha1 if sha1 else self._bodies.is_of_this_build(known)

    def _fetch(
        self, url: str, kind: str, max_bytes: int, *, obey_robots: bool = True
    ) -> tuple[Received, Answer | None]:
        """Follow redirects to a body; the answer is ``None`` where the known one is unchanged."""
        known = self._bodies.find(url)
        hop, seen = url, {url}
        for _ in range(MOST_REDIRECTS + 1):
            headers = {"Accept": _ACCEPT[kind]}
            if known is not None and known.final_url == hop:
                headers |= known.validators
            answer = self._ask(hop, headers, max_bytes, obey_robots=obey_robots)
            if answer.status == 304 and known is not None:
                self._unchanged += 1
                return known, None
            if answer.status == 200:
                return self._kept(url, hop, kind, answer), answer
            if answer.status not in _REDIRECTS or "Location" not in answer.headers:
                raise FetchError(f"http_{answer.status}", f"the server answers {answer.status}")
            hop = absolute_url(hop, header_url(answer.headers["Location"]))
            if hop in seen:
                raise FetchError("redirect_loop", f"redirects come back to {hop}")
            seen.add(hop)
        raise FetchError("too_many_redirects", f"more than {MOST_REDIRECTS} redirects")

    def _kept(self, url: str, hop: str, kind: str, answer: Answer) -> Received:
        received = Received.of(
            answer.body,
            url=url,
            final_url=hop,
            content_type=answer.headers.get("Content-Type", ""),
            etag=answer.headers.get("ETag", ""),
            last_modified=answer.headers.get("Last-Modified", ""),
        )
        # A page that cannot be asked for again conditionally is of no further use.
        if kind == IMAGES or received.validators:
            self._bodies.keep(received, answer.body)
        self._workspace.work[kind] += 1
        return received

    def _ask(
        self, url: str, headers: Mapping[str, str], max_bytes: int, *, obey_robots: bool
    ) -> Answer:
        """Ask one address, again if it is busy or the connection breaks.

        Raises:
            FetchError: ``host_given_up`` if the host failed :data:`MOST_FAILURES` times in a row.
        """
        host = checked_url(url).netloc
        if self._failures[host] >= MOST_FAILURES:
            raise FetchError(
                "host_given_up", f"{host} did not answer {MOST_FAILURES} requests in a row"
            )
        delay_s = self.settings.delay_s
        if obey_robots:
            delay_s = max(delay_s, self._robots.delay_s(url))
        contact = f" (+{self.settings.contact})" if self.settings.contact else ""
        agent = f"{AGENT}/{__version__}{contact}"
        attempt = 0
        while True:
            last = attempt >= self.settings.retries
            self._pace.wait(host, delay_s)
            try:
                answer = self._transport.get(
                    url, {**headers, "User-Agent": agent}, max_bytes=max_bytes
                )
            except FetchError as exc:
                if last or not is_transient(exc.reason):
                    self._failures[host] += is_transient(exc.reason)
                    raise
                wait_s, why = backoff_s(url, attempt), exc.detail
            else:
                is_busy = is_transient(f"http_{answer.status}")
                if last or not is_busy:
                    self._failures[host] = self._failures[host] + 1 if is_busy else 0
                    return answer
                asked_s = retry_after_s(answer.headers.get("Retry-After"))
                wait_s = backoff_s(url, attempt) if asked_s is None else asked_s
                why = f"the server answers {answer.status}"
            logger.info("%s: %s; trying again in %.1f s", url, why, wait_s)
            self.sleep(wait_s)
            attempt += 1

    def _robots_text(self, url: str) -> str:
        return self.page(url, obey_robots=False).body.decode("utf-8", errors="replace")
