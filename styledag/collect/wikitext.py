"""Wikitext: its templates, its text as a reader sees it, and the captions in its galleries."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from styledag.collect.web.rendered_text import plain_text

# What is not closed reaches to the end of the page, so that every search is linear.
_GALLERY = re.compile(r"<gallery\b[^<>]*>(.*?)(?:</gallery\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_NOTE = re.compile(r"<ref\b[^<>/]*(?:/>|>.*?(?:</ref\s*>|\Z))", re.IGNORECASE | re.DOTALL)
_LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
_OUTWARD = re.compile(r"\[(?:https?:)?//[^\s\[\]]+\s*([^\[\]]*)\]", re.IGNORECASE)
_OPTION = re.compile(r"\s*(?:alt|link|page|lang|class)\s*=", re.IGNORECASE)
_QUOTES = re.compile(r"'{2,}")
_MARK = re.compile(r"\{\{|\}\}|\[\[|\]\]|\|")
_CLOSED_BY = {"{{": "}}", "[[": "]]"}
_NAMED = re.compile(r"\s*([\w -]+?)\s*=(.*)", re.DOTALL)
_INNERMOST = re.compile(r"\{\{([^{}]*)\}\}")
_MOST_NESTED = 40
"""As deep as MediaWiki itself expands templates."""
_SHOWS_ITS_TEXT = re.compile(r"[a-z]{1,3}(?:-[a-z]+)?|user|lang", re.IGNORECASE)
"""Names of templates around a text, such as ``{{en|1=A fox}}`` and ``{{w|fox}}``."""


@dataclass(frozen=True)
class Template:
    """A template as a page calls it.

    Attributes:
        name: As it is spelt, without blanks around it.
        values: Wikitext of its parameters by name, in lower case, or by number from 1.
        start: Index of its first character.
        end: Index after its last character.
    """

    name: str
    values: Mapping[str, str]
    start: int
    end: int


def templates(wikitext: str) -> list[Template]:
    """Return all templates, those inside others too, in the order in which they begin.

    Args:
        wikitext: Source of a page; what is not closed is no template.
    """
    found: list[Template] = []
    # Each has its opening mark, where it begins, and where its parameters are divided.
    still_open: list[tuple[str, int, list[int]]] = []
    closing: Counter[str] = Counter()
    for mark in _MARK.finditer(wikitext):
        if mark[0] in _CLOSED_BY:
            still_open.append((mark[0], mark.start(), []))
            closing[_CLOSED_BY[mark[0]]] += 1
        elif mark[0] == "|":
            if still_open and still_open[-1][0] == "{{":
                still_open[-1][2].append(mark.start())
        elif closing[mark[0]]:
            opened, start, bars = still_open.pop()
            while _CLOSED_BY[opened] != mark[0]:
                closing[_CLOSED_BY[opened]] -= 1
                opened, start, bars = still_open.pop()
            closing[mark[0]] -= 1
            if opened == "{{":
                bounds = [start + 2, *(bar + 1 for bar in bars), mark.end() - 1]
                parts = [wikitext[a : b - 1] for a, b in pairwise(bounds)]
                found.append(_template(parts, start, mark.end()))
    return sorted(found, key=lambda template: template.start)


def _template(parts: list[str], start: int, end: int) -> Template:
    values: dict[str, str] = {}
    number = 0
    for part in parts[1:]:
        named = _NAMED.fullmatch(part)
        if named is None:
            number += 1
        name, value = (str(number), part) if named is None else (named[1].lower(), named[2])
        values[name] = value.strip()
    return Template(parts[0].strip(), values, start, end)


def wikitext_words(wikitext: str) -> str:
    """Return wikitext as a reader sees it, on one line; templates around a text give the text."""
    text = _COMMENT.sub("", wikitext)
    for _ in range(_MOST_NESTED):
        text, count = _INNERMOST.subn(_shown, text)
        if not count:
            break
    text = _LINK.sub(r"\1", _NOTE.sub("", text))
    return plain_text(_QUOTES.sub("", _OUTWARD.sub(r"\1", text)))


def _shown(match: re.Match[str]) -> str:
    name, _, rest = match[1].partition("|")
    if _SHOWS_ITS_TEXT.fullmatch(name.strip()):
        values = _template(["", *rest.split("|")], 0, 0).values
        return values.get("1", "")
    namespace, colon, page = name.partition(":")
    return page if colon and namespace.strip().lower() == "creator" else ""


def gallery_captions(wikitext: str) -> dict[str, str]:
    """Return the caption of each image that stands in a gallery with one, by its file's name."""
    captions: dict[str, str] = {}
    for title, rest in _gallery_lines(wikitext):
        captions.setdefault(file_name(title), _caption(rest))
    return {name: caption for name, caption in captions.items() if name and caption}


def _gallery_lines(wikitext: str) -> Iterator[tuple[str, str]]:
    for gallery in _GALLERY.findall(_COMMENT.sub("", wikitext)):
        for line in gallery.splitlines():
            title, bar, rest = line.strip().partition("|")
            if bar:
                yield title, rest


def file_name(title: str) -> str:
    """Return a file's name as the wiki spells it, without namespace."""
    name = " ".join(title.rpartition(":")[2].replace("_", " ").split())
    return name[:1].upper() + name[1:]


def _caption(wikitext: str) -> str:
    words = wikitext_words(_LINK.sub(r"\1", wikitext))
    return "|".join(part for part in words.split("|") if not _OPTION.match(part)).strip()
