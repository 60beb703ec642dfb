"""What a site's robots.txt lets us ask, and how fast."""

from collections.abc import Callable
from urllib.parse import urlsplit

from protego import Protego

from styledag.errors import FetchError

AGENT = "styledag"
"""The name by which robots.txt may address us."""

MOST_CRAWL_DELAY_S = 300.0


class Robots:
    """The rules of every site that is asked, each read once.

    Args:
        read: Returns the text of a robots.txt; a :class:`FetchError` says why there is none.
    """

    def __init__(self, read: Callable[[str], str]) -> None:
        self._read = read
        self._rules: dict[str, Protego | FetchError] = {}

    def delay_s(self, url: str) -> float:
        """Return the seconds between two requests for which the URL's site asks.

        Raises:
            FetchError: If the URL may not be asked: ``robots_refused``, or the reason for which
                robots.txt can't be had (RFC 9309, section 2.3.1.4: that forbids everything).
        """
        rules = self._rules_of(url)
        if not rules.can_fetch(url, AGENT):
            raise FetchError("robots_refused", "robots.txt forbids it")
        delay_s = float(rules.crawl_delay(AGENT) or 0.0)
        if delay_s > MOST_CRAWL_DELAY_S:
            raise FetchError(
                "robots_refused", f"robots.txt asks for {delay_s:g} s between two requests"
            )
        return delay_s

    def _rules_of(self, url: str) -> Protego:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._rules:
            self._rules[origin] = self._parsed(f"{origin}/robots.txt")
        rules = self._rules[origin]
        if isinstance(rules, FetchError):
            raise FetchError(rules.reason, rules.detail)
        return rules

    def _parsed(self, url: str) -> "Protego | FetchError":
        try:
            return Protego.parse(self._read(url))
        except FetchError as exc:
            # No robots.txt, or none for us: nothing is forbidden (RFC 9309, section 2.3.1.3).
            if exc.reason.startswith("http_4") and exc.reason != "http_429":
                return Protego.parse("")
            return FetchError(exc.reason, f"robots.txt cannot be read: {exc.detail}")
