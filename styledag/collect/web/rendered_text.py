"""The text of an element as a reader sees it, on one line (``innerText`` of the HTML standard)."""

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

_WORDS = re.compile(r"\w+")
_HIDDEN = frozenset(
    _WORDS.findall(
        "area audio base canvas datalist head iframe link meta noembed noframes noscript object "
        "param rp script style template title video"
    )
)
_BLOCKS = frozenset(
    _WORDS.findall(
        "address article aside blockquote body br caption center dd details dialog dir div dl dt "
        "fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li "
        "listing main menu nav ol optgroup option p plaintext pre search section summary table "
        "tbody td tfoot th thead tr ul xmp"
    )
)
_HIDING_STYLE = re.compile(
    r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse))\s*(?:!|;|$)",
    re.IGNORECASE,
)


def rendered_text(element: LexborNode) -> str:
    """Return an element's text on one line.

    Line breaks and the bounds of blocks and cells separate words, inline elements do not, and
    what is hidden is left out. An element that is itself hidden gives all its text.
    """
    pieces: list[str] = []
    # Nodes still to visit; a string is a piece of text to add.
    waiting: list[LexborNode | str] = _children(element)
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            pieces.append(node)
        elif node.is_text_node:
            pieces.append(node.text_content or "")
        elif node.is_element_node and not _is_hidden(node):
            if node.tag in _BLOCKS:
                pieces.append(" ")
                waiting.append(" ")
            waiting += _children(node)
    return one_line("".join(pieces))


def plain_text(html: str) -> str:
    """Return the text of a fragment of HTML on one line."""
    body = LexborHTMLParser(f"<body>{html}").body
    return rendered_text(body) if body is not None else ""


def one_line(text: str) -> str:
    """Return text with single spaces in place of all white space."""
    return " ".join(text.split())


def _children(node: LexborNode) -> list["LexborNode | str"]:
    """Return the children, last first."""
    found: list[LexborNode | str] = list(node.iter(include_text=True))
    return found[::-1]


def _is_hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    return (
        node.tag in _HIDDEN
        or "hidden" in attributes
        or bool(_HIDING_STYLE.search(attributes.get("style") or ""))
    )
