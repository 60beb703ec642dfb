"""One HTML page: its links, its images, and the texts about them."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from styledag.collect.settings import NearImage, TextOf
from styledag.collect.web.client import Page
from styledag.collect.web.encoding import decode_page
from styledag.collect.web.image_address import attribute, image_addresses
from styledag.collect.web.links import absolute_url
from styledag.collect.web.opt_outs import meta_opt_outs
from styledag.collect.web.rendered_text import one_line, rendered_text
from styledag.errors import FetchError, StyleFileError

MOST_OPEN_TAGS = 5_000
"""A page that leaves more tags of one name open is not parsed: that takes quadratic time."""

_TAG = re.compile(
    r"<(/?)(div|span|b|i|u|s|a|font|em|strong|table|ul|ol|section|article|svg|g)\b", re.I
)
_REFRESH = re.compile(
    r"\s*(?P<seconds>\d{1,9}|(?=\.))[\d.]*(?:\s*[;,]\s*|\s+|$)(?:url\s*=\s*)?"
    r"(?:(?P<quote>[\"'])(?P<quoted>.*?)(?:(?P=quote).*)?|(?P<bare>.*))$",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)


@dataclass(frozen=True)
class ImageOnPage:
    """An image that a page shows.

    Attributes:
        url: Absolute address of the largest version that its element offers.
        alt: Alternative text; of a link, that of the image in it.
        alone_in: Its element and those around it that show no other image, innermost first.
    """

    url: str
    alt: str
    element: LexborNode
    alone_in: Sequence[LexborNode]


class HtmlPage:
    """A page parsed as HTML5; every address that it gives is absolute.

    Attributes:
        url: What answered.
        opt_outs: Directives of its headers and ``meta`` elements, such as ``noimageai``.

    Raises:
        FetchError: ``page_too_deep`` if its elements are nested beyond reason.
    """

    def __init__(self, page: Page) -> None:
        text, self._encoding = decode_page(page.body, page.content_type)
        _check_depth(text)
        self._tree = LexborHTMLParser(text)
        self.url = self._base = page.url
        self._refresh = page.refresh
        metas = self._tree.css("meta[name][content]")
        self.opt_outs = page.opt_outs | meta_opt_outs(
            (attribute(meta, "name"), attribute(meta, "content")) for meta in metas
        )
        base = self._tree.css_first("base[href]")
        if base is not None:
            self._base = self._absolute(attribute(base, "href"))

    @property
    def refresh(self) -> tuple[int, str]:
        """Seconds after which the page sends on, and where to; an empty address if it does not.

        The header counts first, then the first element that says so; none in ``<noscript>``.
        """
        metas = self._tree.css("meta[http-equiv=refresh i][content]")
        shown = (attribute(meta, "content") for meta in metas if not _is_inside(meta, "noscript"))
        for stated in (self._refresh, *shown):
            if found := _REFRESH.match(stated):
                link = found["quoted"] if found["quote"] else found["bare"]
                return int(found["seconds"] or 0), self._absolute(link.strip()) if link else ""
        return 0, ""

    def links(self, selector: str) -> list[str]:
        """Return where the selected links lead, each once, in the page's order."""
        found = (attribute(link, "href") for link in self._tree.css(selector))
        return list(dict.fromkeys(self._absolute(link) for link in found if link))

    def has(self, selector: str) -> bool:
        """Return whether the page has an element that a selector matches."""
        return self._tree.css_first(selector) is not None

    def text(self, selector: str | None) -> str:
        """Return the first selected element's text on one line; empty if there is none."""
        element = self._tree.css_first(selector) if selector else None
        return "" if element is None else _text(element)

    def text_of(self, of: TextOf, image: ImageOnPage) -> str:
        """Return a text of the page, or one that stands with an image and no other."""
        if not isinstance(of, NearImage):
            return self.text(of)
        element = image.element if of.near is None else _nearest(of.near, image)
        found = ""
        if element is not None and of.attribute is not None:
            found = one_line(attribute(element, of.attribute))
        elif element is not None and of.near is not None:
            found = _text(element)
        return found or of.text

    def images(self, selector: str, named: str | None = None) -> list[ImageOnPage]:
        """Return the selected images that have an address, the largest version of each.

        Args:
            selector: Which elements they are, or links to them.
            named: Attribute that has their addresses, where it is not one that browsers read.
        """
        elements = self._tree.css(selector)
        found = zip(elements, image_addresses(elements, named), strict=True)
        shown = [(element, self._absolute(url)) for element, url in found if url]
        around: defaultdict[int, set[str]] = defaultdict(set)
        for element, url in shown:
            for each in _outwards(element):
                around[each.mem_id].add(url)
        return [
            ImageOnPage(
                url=url,
                alt=_alt(element),
                element=element,
                alone_in=[each for each in _outwards(element) if len(around[each.mem_id]) == 1],
            )
            for element, url in shown
        ]

    def without_address(self, selector: str, named: str | None = None) -> int:
        """Return how many selected images name no address, or only pixels inside the page."""
        return image_addresses(self._tree.css(selector), named).count("")

    def _absolute(self, link: str) -> str:
        try:
            return absolute_url(self._base, link, encoding=self._encoding)
        except FetchError:
            # Kept as it stands: asking for it fails and is counted, under the page's own words.
            return link


def check_selectors(**selectors: str | None) -> None:
    """Check CSS selectors before anything is fetched.

    Raises:
        StyleFileError: Naming the key and the selector that cannot be read.
    """
    empty = LexborHTMLParser("")
    for key, selector in selectors.items():
        if selector is None:
            continue
        try:
            empty.css(selector)
        except SelectolaxError as exc:
            raise StyleFileError(f"{key}: {selector!r} is not a CSS selector") from exc


def _is_inside(element: LexborNode, tag: str) -> bool:
    around = element.parent
    while around is not None and around.tag != tag:
        around = around.parent
    return around is not None


def _check_depth(text: str) -> None:
    """Raise an error for a page whose parsing would take minutes; browsers stop at 512."""
    if text.count("<") < MOST_OPEN_TAGS:
        return
    still_open: Counter[str] = Counter()
    for closing, name in _TAG.findall(text):
        still_open[name.lower()] += -1 if closing else 1
    name, count = max(still_open.items(), key=lambda each: each[1], default=("", 0))
    if count > MOST_OPEN_TAGS:
        raise FetchError("page_too_deep", f"{count} <{name}> elements are never closed")


def _alt(element: LexborNode) -> str:
    stating = element if "alt" in element.attributes else element.css_first("img[alt]")
    return "" if stating is None else one_line(attribute(stating, "alt"))


def _outwards(element: LexborNode) -> Iterator[LexborNode]:
    around: LexborNode | None = element
    while around is not None and around.is_element_node:
        yield around
        around = around.parent


def _nearest(selector: str, image: ImageOnPage) -> LexborNode | None:
    """Return the first match in the smallest element around an image that has one."""
    for around in image.alone_in:
        found = around.css_first(selector)
        if found is not None:
            return found
    return None


def _text(element: LexborNode) -> str:
    if element.tag == "meta":
        return one_line(attribute(element, "content"))
    return rendered_text(element)
