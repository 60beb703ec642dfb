"""What a site's robots.txt lets us ask, how fast, and for what use."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from protego import Protego

from styledag.collect.settings import AGENT
from styledag.collect.web.opt_outs import usage_rules
from styledag.errors import FetchError

MOST_ROBOTS_BYTES = 500 * 1_024
"""What comes after is not read (RFC 9309, section 2.5)."""

MOST_CRAWL_DELAY_S = 300.0

_NO_RULES = re.compile("http_[234]")
_OUR_VERSION = re.compile(rf"^([ \t]*user[- ]?agent[ \t]*:[ \t]*{AGENT})/[^\r\n]*", re.I | re.M)
"""What follows a product token is no part of it (RFC 9309, section 2.2.1)."""
_UNAVAILABLE = ("redirect_loop", "too_many_redirects")


@dataclass(frozen=True)
class _Rules:
    crawling: Protego
    training: Protego


class Robots:
    """The rules of every site that is asked, each read once; may be used by several threads.

    Args:
        read: Returns the bytes of a robots.txt; a :class:`FetchError` says why there is none.
    """

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self._rules: dict[str, _Rules | FetchError] = {}
        self._locks: dict[str, threading.Lock] = {}

    def delay_s(self, url: str) -> float:
        """Return the seconds between two requests for which the URL's site asks.

        Raises:
            FetchError: If the URL may not be asked: ``robots_refused``, or the reason for which
                robots.txt can't be had (RFC 9309, section 2.3.1.4: that forbids everything).
        """
        rules = self._rules_of(url).crawling
        if not rules.can_fetch(url, AGENT):
            raise FetchError("robots_refused", "robots.txt forbids it")
        delay_s = float(rules.crawl_delay(AGENT) or 0.0)
        rate = rules.request_rate(AGENT)
        if rate is not None and rate.requests > 0:
            delay_s = max(delay_s, rate.seconds / rate.requests)
        if delay_s > MOST_CRAWL_DELAY_S:
            raise FetchError(
                "robots_refused", f"robots.txt asks for {delay_s:g} s between two requests"
            )
        return delay_s

    def allows_training(self, url: str) -> bool:
        """Return whether no ``Content-Usage`` rule declines training on what the URL gives.

        Raises:
            FetchError: The reason for which robots.txt can't be had.
        """
        return bool(self._rules_of(url).training.can_fetch(url, AGENT))

    def _rules_of(self, url: str) -> _Rules:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        with self._locks.setdefault(origin, threading.Lock()):
            if origin not in self._rules:
                self._rules[origin] = self._parsed(f"{origin}/robots.txt")
        rules = self._rules[origin]
        if isinstance(rules, FetchError):
            raise FetchError(rules.reason, rules.detail)
        return rules

    def _parsed(self, url: str) -> "_Rules | FetchError":
        try:
            text = robots_text(self._read(url))
        except FetchError as exc:
            # No robots.txt, or none for us: nothing is forbidden (RFC 9309, section 2.3.1.3). Nor
            # by an empty answer, such as 204, or a redirect that leads nowhere.
            is_missing = _NO_RULES.match(exc.reason) and exc.reason != "http_429"
            if not is_missing and exc.reason not in _UNAVAILABLE:
                return FetchError(exc.reason, f"robots.txt cannot be read: {exc.detail}")
            text = ""
        return _Rules(Protego.parse(text), Protego.parse(usage_rules(text)))


def robots_text(body: bytes) -> str:
    """Return a robots.txt as text: UTF-8, with or without a byte-order mark, cut at 500 KiB."""
    text = body[:MOST_ROBOTS_BYTES].decode("utf-8-sig", errors="replace")
    if len(body) > MOST_ROBOTS_BYTES:
        # The line that the limit cuts could forbid more, or less, than its whole.
        text = text.rpartition("\n")[0]
    return _OUR_VERSION.sub(r"\1", text)
