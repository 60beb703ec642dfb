"""Where an element's image really is: pages show a stand-in until a script has run."""

import re
from collections.abc import Iterator, Sequence

from selectolax.lexbor import LexborNode

from styledag.collect.web.srcset import Size, candidates, largest

_SETS = ("srcset", "data-srcset", "data-lazy-srcset")
_SOURCES = ("data-src", "data-original", "data-lazy-src", "src", "content", "href")
_OPENED = re.compile(r"image/(?:p?jpe?g|a?png|gif|webp|avif|bmp|tiff)\b|\s*$", re.IGNORECASE)
"""Types of a picture's sources that are taken where there is a choice, as browsers do."""
_WIDTH = "{width}"
_UNFILLED = re.compile(
    r"\{\{|\$\{|<%|\{(?:width|height|size|quality|format|w|h|q)\}", re.IGNORECASE
)
"""What a script is to fill in: Shopify's ``fox_{width}x.jpg``, and templates of page builders."""
_FURTHER_SOURCES = ("xlink:href", "poster")
_WORD = re.compile(r"[a-z]+|\d+", re.IGNORECASE)
_STAND_INS = frozenset(
    _WORD.findall(
        "blank placeholder spacer transparent loading loader spinner preloader lazy lazyload dummy "
        "pixel clear empty grey gray"
    )
)
_BESIDE_THEM = frozenset(_WORD.findall("img image default bg load x px gif png"))
_IMAGE = re.compile(
    r"[^\s{}<>\"]+\.(?:jpe?g|png|gif|webp|avif|bmp|tiff?)(?:[?#]\S*)?", re.IGNORECASE
)
_ANY_ADDRESS = re.compile(r"(?:https?:)?//\S+", re.IGNORECASE)
_OF_IMAGES = re.compile("src|img|image|orig|full|large|background|-bg|lazy|photo", re.IGNORECASE)
_SMALLER = re.compile("thumb|small|avatar|icon|hover|preview|low", re.IGNORECASE)
_CSS_URL = re.compile(r"url\(\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s)\"']+))\s*\)", re.IGNORECASE)


def image_addresses(elements: Sequence[LexborNode], named: str | None = None) -> list[str]:
    """Return the address of each element's image, as the page writes it; empty if it has none.

    Of what an element offers, the attribute that is named counts, then the largest of its sets,
    then what its usual attributes name. A stand-in is passed over where anything else is offered:
    an address that several elements share though they offer different others, or one that is
    called so, as ``blank.gif``.

    Args:
        elements: Images, or links to them, of one page.
        named: Attribute that the style file names, such as ``data-zoom-image``.
    """
    offers = [list(dict.fromkeys(_offers(element, named))) for element in elements]
    rest: dict[str, set[tuple[str, ...]]] = {}
    for offered in filter(None, offers):
        rest.setdefault(offered[0], set()).add(tuple(offered[1:]))
    shared = {first for first, others in rest.items() if len(others - {()}) > 1}

    def is_stand_in(url: str) -> bool:
        return url in shared or _is_called_stand_in(url)

    return [
        next((url for url in offered if not is_stand_in(url)), next(iter(offered), ""))
        for offered in offers
    ]


def _is_called_stand_in(url: str) -> bool:
    """Return whether a file's name says no more than that something else is to come: 1x1.gif."""
    stem = url.partition("?")[0].rpartition("/")[2].partition(".")[0].lower()
    words = _WORD.findall(stem)
    others = {word for word in words if not word.isdecimal()} - _STAND_INS - _BESIDE_THEM
    return not others and (bool(_STAND_INS.intersection(words)) or stem == "1x1")


def _offers(element: LexborNode, named: str | None) -> Iterator[str]:
    """Yield the addresses that an element offers, the likeliest first.

    Inline pixels, and what a script is to fill in, are a stand-in until a script has run.
    """
    widths = _WORD.findall(attribute(element, "data-widths"))
    widest = max(filter(str.isdecimal, widths), key=int, default=_WIDTH)
    first = attribute(element, named) if named else ""
    for offered in (first, *_named(element), *_hidden(element)):
        url = offered.replace(_WIDTH, widest)
        if _UNFILLED.search(url):
            continue
        if url and not url.startswith(("data:", "blob:", "about:", "javascript:")):
            yield url


def _named(element: LexborNode) -> Iterator[str]:
    elements = [element]
    around = element.parent
    if around is not None and around.tag == "picture":
        elements += around.css("source")
    offered: list[tuple[str, Size]] = []
    others: list[tuple[str, Size]] = []
    for each in elements:
        is_opened = each.tag != "source" or _OPENED.match(attribute(each, "type"))
        for name in _SETS:
            found = candidates(attribute(each, name))
            (offered if is_opened else others).extend(found)
    yield largest(each for each in offered if not each[0].startswith("data:")) or ""
    for name in _SOURCES:
        yield attribute(element, name)
    yield largest(others) or ""


def _hidden(element: LexborNode) -> Iterator[str]:
    """Yield addresses from where scripts keep them, and browsers without scripts find them."""
    for name in _FURTHER_SOURCES:
        yield attribute(element, name)
    yield from _css_urls(attribute(element, "style"))
    # The smaller versions last, else in the order of the page.
    names = (name for name in element.attributes if name.startswith("data-"))
    for name in sorted(names, key=lambda name: bool(_SMALLER.search(name))):
        value = attribute(element, name)
        if "srcset" in name or name == "data-bgset":
            yield largest(candidates(value)) or ""
        elif _IMAGE.fullmatch(value) or (_OF_IMAGES.search(name) and _ANY_ADDRESS.fullmatch(value)):
            yield value
        else:
            yield from _css_urls(value)
    for around in (element, element.parent):
        twin = None if around is None else _without_script(around)
        if twin is not None:
            yield from _named(twin)


def _without_script(element: LexborNode) -> LexborNode | None:
    """Return the only image of the ``noscript`` behind an element."""
    behind = element.next
    while behind is not None and not behind.is_element_node:
        behind = behind.next
    if behind is None or behind.tag != "noscript":
        return None
    images = behind.css("img")
    return images[0] if len(images) == 1 else None


def _css_urls(style: str) -> Iterator[str]:
    for match in _CSS_URL.finditer(style):
        yield (match[1] or match[2] or match[3] or "").strip()


def attribute(element: LexborNode, name: str) -> str:
    """Return an attribute without the blanks around it; empty if there is none."""
    return (element.attributes.get(name) or "").strip()
