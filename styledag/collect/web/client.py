"""A polite and stubborn HTTP client: robots.txt, pace, retries, redirects, conditional requests."""

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from styledag.collect.settings import CONTENT_USAGE, FetchSettings
from styledag.collect.web.addresses import checked_url
from styledag.collect.web.challenge import challenge_by
from styledag.collect.web.links import absolute_url, header_url
from styledag.collect.web.opt_outs import header_opt_outs, refusal_detail
from styledag.collect.web.received import Received, ReceivedBodies
from styledag.collect.web.request_headers import PassingCookies, RequestHeaders
from styledag.collect.web.robots import MOST_ROBOTS_BYTES, Robots
from styledag.collect.web.signatures import without_signature
from styledag.collect.web.thumbnails import WIDTH_REFUSED, thumbnail_refusal
from styledag.collect.web.transport import Answer, Transport
from styledag.collect.web.turns import HostTurns
from styledag.collect.web.waiting import MOST_WAIT_S, Pace, backoff_s
from styledag.errors import FetchError, is_transient
from styledag.store.store import Store
from styledag.store.workspace import Workspace

logger = logging.getLogger("styledag.collect")

MOST_REDIRECTS = 8
PAGES, QUESTIONS, IMAGES = "pages", "questions", "downloads"
_ACCEPT = {
    PAGES: "text/html,*/*;q=0.5",
    QUESTIONS: "application/json,text/plain,*/*;q=0.5",
    IMAGES: "image/*,*/*;q=0.5",
}
_REDIRECTS = {301, 302, 303, 307, 308}
_SHOWN_WAIT_S = 2.0
"""Waits from this on are shown; shorter ones are the usual pace."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page as it was received.

    Attributes:
        url: What answered, after redirects.
        content_type: As the server declared it.
        retry_after_s: Seconds for which the server asks although it answered; ``None`` mostly.
        opt_outs: Directives of its headers, such as ``noai``.
        refresh: Header of that name, by which it sends the visitor on.
    """

    url: str
    body: bytes
    content_type: str
    retry_after_s: float | None = None
    opt_outs: frozenset[str] = frozenset()
    refresh: str = ""


@dataclass(frozen=True)
class _Question:
    """What is asked, and how."""

    kind: str
    max_bytes: int
    obeys_robots: bool = True
    referer: str = ""
    is_cut: bool = False


class Client:
    """Fetches one source's pages and images; may be used by several threads.

    Counts the bodies it receives in ``workspace.work`` as ``pages``, ``downloads``, and
    ``questions`` to an API or for a robots.txt, which seldom can tell that nothing has changed;
    what a server says is unchanged is neither received nor counted.

    Args:
        settings: Manners and limits.
        workspace: Where bodies are kept, as soon as they are there.
        hosts: The source's own hosts, to which its headers go.
        project: Folder that a file of cookies is relative to.
        sleep: Waits for a number of seconds.

    Attributes:
        on_wait: Called with the seconds of each longer wait, before it; does nothing at first.
    """

    def __init__(
        self,
        settings: FetchSettings,
        workspace: Workspace,
        *,
        hosts: Collection[str] = (),
        project: Path = Path(),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings
        self.on_wait: Callable[[float], object] = float
        self._sleep = sleep
        self._workspace = workspace
        self._bodies = ReceivedBodies(workspace)
        self._headers = RequestHeaders(settings, hosts=hosts, project=project)
        self._robots = Robots(self._robots_body)
        self._turns = HostTurns(Pace(self.sleep))
        self._own = threading.local()
        self._transports: list[Transport] = []
        self._counting = threading.Lock()
        self._unchanged = 0
        self._ends_at_s = time.monotonic() + 60 * settings.max_minutes

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_exception: object) -> None:
        for transport in self._transports:
            transport.close()
        logger.info("%d bodies were unchanged at the source", self._unchanged)

    def sleep(self, seconds: float) -> None:
        """Wait, and show it if it is longer than the usual pace."""
        if seconds >= _SHOWN_WAIT_S:
            self.on_wait(seconds)
        self._sleep(seconds)

    def page(self, url: str, *, obey_robots: bool = True, max_bytes: int | None = None) -> Page:
        """Return a page.

        Args:
            url: Its address.
            obey_robots: False for an interface that is made for programs, such as an API, which
                robots.txt (made for crawlers) commonly closes as a whole.
            max_bytes: Most bytes of it, where ``max_page_bytes`` is not what counts.

        Raises:
            FetchError: With the reason for which it can't be had.
        """
        limit = self.settings.max_page_bytes if max_bytes is None else max_bytes
        kind = PAGES if obey_robots else QUESTIONS
        received, answer = self._fetch(url, _Question(kind, limit, obeys_robots=obey_robots))
        return Page(
            url=received.final_url,
            body=self._bodies.body(received) if answer is None else answer.body,
            content_type=received.content_type,
            retry_after_s=None if answer is None else answer.retry_after_s,
            opt_outs=self._opt_outs(received) if obey_robots else frozenset(),
            refresh=received.refresh,
        )

    def image(self, url: str, *, sha1: str = "", referer: str = "") -> Received:
        """Return the record of an image whose bytes are in ``workspace.blobs``.

        Args:
            url: Its address.
            sha1: The image's sha1, if the source has said it: where it is that of the bytes at
                hand, nothing is asked.
            referer: Page that shows it.

        Raises:
            FetchError: With the reason for which it can't be had; ``not_an_image`` if what came
                is something else; ``opted_out`` if its owner declines the use.
        """
        return self.ask_image(url, sha1=sha1, referer=referer)()

    def ask_image(
        self, url: str, *, sha1: str = "", referer: str = "", known_as: str = ""
    ) -> Callable[[], Received]:
        """Ask for an image; return what hashes, keeps and checks it, as :meth:`image` does.

        So the next image can be asked for meanwhile.

        Args:
            url: Its address, as it is asked.
            sha1: As for :meth:`image`.
            referer: As for :meth:`image`.
            known_as: Its lasting address, if the one to ask is signed for a while.

        Raises:
            FetchError: With the reason for which it can't be had.
        """
        name = known_as or url
        known = self._bodies.find(name)
        if known is not None and self._needs_no_asking(known, sha1.lower()):
            self._note_unchanged()
            return partial(self._checked, known)
        question = _Question(IMAGES, self.settings.max_image_bytes, referer=referer)
        answered = self._answered(url, question, known)

        def keep() -> Received:
            if isinstance(answered, Received):
                return self._checked(answered)
            return self._checked(self._kept(name, IMAGES, *answered))

        return keep

    def _checked(self, received: Received) -> Received:
        refused = refusal_detail(self._opt_outs(received), self.settings.opt_outs, "its server")
        if refused:
            raise FetchError("opted_out", refused)
        if not received.image_type:
            said = received.content_type or "no content type"
            what = "is no image" if received.size_bytes else "has no bytes"
            raise FetchError("not_an_image", f"the answer {what} ({said})")
        return received

    def _needs_no_asking(self, known: Received, sha1: str) -> bool:
        return known.sha1 == sha1 if sha1 else self._bodies.is_of_this_build(known)

    def _opt_outs(self, received: Received) -> frozenset[str]:
        found = frozenset(received.opt_outs.split())
        if CONTENT_USAGE in self.settings.opt_outs:
            url = received.final_url
            return found if self._robots.allows_training(url) else found | {CONTENT_USAGE}
        return found

    def _note_unchanged(self) -> None:
        with self._counting:
            self._unchanged += 1

    def _fetch(self, url: str, question: _Question) -> tuple[Received, Answer | None]:
        """Return a body's record, and its answer unless the known body is unchanged."""
        answered = self._answered(url, question, self._bodies.find(url))
        if isinstance(answered, Received):
            return answered, None
        return self._kept(url, question.kind, *answered), answered[1]

    def _answered(
        self, url: str, question: _Question, known: Received | None
    ) -> Received | tuple[str, Answer]:
        """Return what answered after redirects, with its answer; the known body if unchanged."""
        answered_before = "" if known is None else without_signature(known.final_url)
        hop, seen = url, {url}
        cookies = PassingCookies()
        for _ in range(MOST_REDIRECTS + 1):
            headers = {"Accept": _ACCEPT[question.kind], **cookies.of(hop)}
            if known is not None and answered_before == without_signature(hop):
                headers |= known.validators
            answer = self._ask(hop, headers, question)
            if answer.status == 304 and known is not None:
                self._note_unchanged()
                return known
            if answer.status == 200:
                return hop, answer
            if answer.status not in _REDIRECTS or "Location" not in answer.headers:
                asked_s = answer.retry_after_s
                later = f" and asks to wait {asked_s:g} s" if asked_s else ""
                detail = f"the server answers {answer.status}{later}"
                raise FetchError(f"http_{answer.status}", detail)
            answered_by, hop = hop, absolute_url(hop, header_url(answer.headers["Location"]))
            is_told_more = cookies.take(answered_by, answer.headers.getlist("Set-Cookie"))
            if hop in seen and not is_told_more:
                raise FetchError("redirect_loop", f"redirects come back to {hop}")
            seen.add(hop)
        raise FetchError("too_many_redirects", f"more than {MOST_REDIRECTS} redirects")

    def _kept(self, url: str, kind: str, final_url: str, answer: Answer) -> Received:
        headers = answer.headers
        opt_outs = header_opt_outs(
            headers.getlist("X-Robots-Tag"), headers.getlist("Content-Usage")
        )
        received = Received.of(
            answer.body,
            url=url,
            final_url=final_url,
            content_type=headers.get("Content-Type", ""),
            etag=headers.get("ETag", ""),
            last_modified=headers.get("Last-Modified", ""),
            opt_outs=" ".join(sorted(opt_outs)),
            refresh=headers.get("Refresh", ""),
        )
        # A page that cannot be asked for again conditionally is of no further use.
        if kind == IMAGES or received.validators:
            self._bodies.keep(received, answer.body)
        with self._counting:
            self._workspace.work[kind] += 1
        return received

    def _ask(self, url: str, headers: Mapping[str, str], question: _Question) -> Answer:
        """Ask one address, again if it is busy or the connection breaks.

        Raises:
            FetchError: ``host_given_up`` if the host failed too often in a row;
                ``over_max_minutes`` if the source's time is up.
        """
        host = checked_url(url).netloc
        self._turns.check(host)
        delay_s = self.settings.delay_s
        if question.obeys_robots:
            delay_s = max(delay_s, self._robots.delay_s(url))
        own = self._headers.of(url, referer=question.referer)
        both = [each["Cookie"] for each in (own, headers) if "Cookie" in each]
        headers = {**headers, **own, **({"Cookie": "; ".join(both)} if both else {})}
        for attempt in range(self.settings.retries + 1):
            if time.monotonic() > self._ends_at_s:
                minutes = self.settings.max_minutes
                raise FetchError("over_max_minutes", f"max_minutes is {minutes:g}")
            last = attempt == self.settings.retries
            asked_s = None
            try:
                with self._turns.turn(host, delay_s):
                    answer = self._transport().get(
                        url, headers, max_bytes=question.max_bytes, is_cut=question.is_cut
                    )
            except FetchError as exc:
                if last or not is_transient(exc.reason):
                    self._turns.note(host, has_failed=is_transient(exc.reason))
                    raise
                why = exc.detail
            else:
                self._refuse_challenge(host, answer, question)
                asked_s = answer.retry_after_s
                is_busy = is_transient(f"http_{answer.status}")
                refused = thumbnail_refusal(answer.status, answer.body)
                if refused is not None and (last or refused.reason == WIDTH_REFUSED):
                    self._turns.note(host, has_failed=False)
                    raise refused
                asks_too_much = is_busy and (asked_s or 0) > MOST_WAIT_S
                if last or not is_busy or asks_too_much:
                    self._turns.note(host, has_failed=is_busy, is_final=asks_too_much)
                    return answer
                why = f"the server answers {answer.status}"
            # Many say 0, or a time that is past, and mean nothing by it.
            wait_s = asked_s or backoff_s(url, attempt)
            logger.info("%s: %s; trying again in %.1f s", url, why, wait_s)
            self.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    def _refuse_challenge(self, host: str, answer: Answer, question: _Question) -> None:
        """Refuse an answer that asks for a browser, and give its host up: so would be the next.

        A robots.txt that cannot be had forbids nothing.

        Raises:
            FetchError: ``challenged``.
        """
        guard = "" if question.is_cut else challenge_by(answer.status, answer.headers, answer.body)
        if guard:
            self._turns.note(host, has_failed=True, is_final=True)
            raise FetchError(
                "challenged",
                f"{host} shows a challenge of {guard} to programs: ask its owner, ask less often "
                "(fetch.delay_s), or give what a browser was let in with (fetch.cookies and "
                "fetch.user_agent)",
            )

    def _transport(self) -> Transport:
        """Return the connections of the thread that asks."""
        transport: Transport | None = getattr(self._own, "transport", None)
        if transport is None:
            transport = self._own.transport = Transport(
                timeout_s=self.settings.timeout_s,
                private_hosts=self.settings.allow_private_hosts,
            )
            self._transports.append(transport)
        return transport

    def _robots_body(self, url: str) -> bytes:
        question = _Question(QUESTIONS, MOST_ROBOTS_BYTES, obeys_robots=False, is_cut=True)
        received, answer = self._fetch(url, question)
        return self._bodies.body(received) if answer is None else answer.body


@contextmanager
def forgetful_client(settings: FetchSettings, host: str, project: Path) -> Iterator[Client]:
    """Yield a client of one host that keeps nothing of what it receives."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"{folder}/store")
        workspace = Workspace(Path(folder), Path(folder), store.blobs, store.items)
        with Client(settings, workspace, hosts=[host], project=project) as client:
            yield client
