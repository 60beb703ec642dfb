"""Pages that send the visitor on by ``Refresh``, as redirects do by a status.

It is a header or ``<meta http-equiv=refresh>``.
https://html.spec.whatwg.org/multipage/semantics.html#attr-meta-http-equiv-refresh
"""

import re
from urllib.parse import urlsplit

from styledag.collect.web.client import MOST_REDIRECTS, Client, Page
from styledag.collect.web.html_page import HtmlPage
from styledag.errors import FetchError

_STATED = re.compile(rb"http-equiv\s*=\s*['\"]?\s*refresh", re.IGNORECASE)
_AT_ONCE_S, _SOON_S = 1, 5
"""Seconds after which a page sends on whatever it shows, and after which one without images does;
a page of a slide show has more to show."""


def page_read(client: Client, url: str) -> Page:
    """Return the page that a visitor ends at, who is sent on by pages on the same host.

    Raises:
        FetchError: With the reason for which one of the pages can't be had, and as for redirects:
            ``redirect_loop``, ``too_many_redirects``.
    """
    page, seen = client.page(url), {url}
    for _ in range(MOST_REDIRECTS + 1):
        seen.add(page.url)
        following = _sent_to(page)
        if not following:
            return page
        if following in seen:
            raise FetchError("redirect_loop", f"pages send on to each other, back to {following}")
        page = client.page(following)
    raise FetchError("too_many_redirects", f"more than {MOST_REDIRECTS} pages that send on")


def _sent_to(page: Page) -> str:
    """Return the address that a page sends on to; empty if it stays or leads to another host."""
    if not page.refresh and not _STATED.search(page.body):
        return ""
    seconds, following = HtmlPage(page).refresh
    if following in ("", page.url) or seconds > _SOON_S or _host(following) != _host(page.url):
        return ""
    if seconds > _AT_ONCE_S and HtmlPage(page).has("img, picture, svg, video, canvas"):
        return ""
    return following


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").removeprefix("www.")
