"""One HTML page: its links, its images, and the texts about them."""

import re
import warnings
from collections.abc import Iterator

import soupsieve
from bs4 import BeautifulSoup, Tag, XMLParsedAsHTMLWarning

from styledag.collect.client import Page, absolute_url
from styledag.collect.srcset import offered
from styledag.errors import FetchError, StyleFileError

_SOURCES = ("data-src", "data-original", "data-lazy-src", "src", "content", "href")
_CHARSET = re.compile(r"charset=[\"']?([\w.:-]+)", re.IGNORECASE)


class HtmlPage:
    """A page parsed by BeautifulSoup; every address that it gives is absolute.

    Args:
        page: As it was received.
    """

    def __init__(self, page: Page) -> None:
        charset = _CHARSET.search(page.content_type)
        with warnings.catch_warnings():
            # XHTML served as HTML is read as HTML, as browsers do.
            warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
            self._soup = BeautifulSoup(
                page.body, "html.parser", from_encoding=charset[1] if charset else None
            )
        self.url = page.url
        base = self._soup.select_one("base[href]")
        self._base = page.url if base is None else absolute_url(page.url, _text_of(base, "href"))

    def links(self, selector: str) -> list[str]:
        """Return where the selected links lead, each once, in the page's order."""
        found = (_text_of(link, "href") for link in self._soup.select(selector))
        return list(dict.fromkeys(self._absolute(link) for link in found if link))

    def text(self, selector: str | None) -> str:
        """Return the first selected element's text on one line; empty if there is none."""
        element = self._soup.select_one(selector) if selector else None
        if element is None:
            return ""
        if element.name == "meta":
            return _one_line(_text_of(element, "content"))
        return _one_line(element.get_text())

    def images(self, selector: str) -> Iterator[tuple[str, str]]:
        """Yield address and alternative text of the selected images, the largest of each."""
        for element in self._soup.select(selector):
            url = _image_url(element)
            if url:
                yield self._absolute(url), _one_line(_text_of(element, "alt"))

    def _absolute(self, link: str) -> str:
        try:
            return absolute_url(self._base, link)
        except FetchError:
            # Kept as it stands: asking for it fails and is counted, under the page's own words.
            return link


def check_selectors(**selectors: str | None) -> None:
    """Check CSS selectors before anything is fetched.

    Raises:
        StyleFileError: Naming the key and the selector that cannot be read.
    """
    for key, selector in selectors.items():
        if selector is None:
            continue
        try:
            soupsieve.compile(selector)
        except soupsieve.SelectorSyntaxError as exc:
            reason = str(exc).splitlines()[0]
            raise StyleFileError(f"{key}: {selector!r} is not a CSS selector: {reason}") from exc


def plain_text(html: str) -> str:
    """Return the text of a fragment of HTML on one line."""
    # The angle bracket keeps BeautifulSoup from taking the text for a file name or an address.
    return _one_line(BeautifulSoup(f"<p>{html}</p>", "html.parser").get_text())


def _image_url(element: Tag) -> str:
    """Return the largest image an element offers; a link's target if it is a link."""
    around = element.parent
    elements = [element]
    if around is not None and around.name == "picture":
        elements += around.select("source")
    for each in elements:
        url = offered({name: _text_of(each, name) for name in each.attrs})
        if url:
            return url
    for name in _SOURCES:
        url = _text_of(element, name)
        # Inline pixels in an attribute are a placeholder until a script has run.
        if url and not url.startswith("data:"):
            return url
    return ""


def _text_of(element: Tag, attribute: str) -> str:
    value = element.get(attribute)
    return (value if isinstance(value, str) else " ".join(value or ())).strip()


def _one_line(text: str) -> str:
    return " ".join(text.split())
