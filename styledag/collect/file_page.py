"""Licence, author and description from a file's page on a wiki, where the API has none.

The page calls a template of facts (``{{Information|author=...}}`` and its like), and the templates
of licences below a heading such as *Licensing*, which MediaWiki's own upload form writes.
"""

import re
from dataclasses import dataclass

from styledag.collect.wikitext import Template, templates, wikitext_words

_AUTHOR = ("author", "artist", "creator", "photographer", "autor", "auteur", "urheber")
_DESCRIPTION = ("description", "beschreibung", "descripción", "descrição", "desc")
_LICENCE = ("licence", "license", "licensing", "permission", "copyright", "lizenz")
_HEADING = re.compile(r"^(={1,6})(.+?)\1[ \t]*$", re.MULTILINE)
_LICENCE_HEADING = re.compile("licen|lizenz|лиценз|ライセンス|许可|授權|授权", re.IGNORECASE)
_LISTS_LICENCES = ("self", "self2", "license", "licence", "dual")
_IS_LICENCE = re.compile(
    r"(?:cc|pd|public[ -]?domain|gfdl|gpl|lgpl|mit|apache|fal|fair[ -]?use|copyright|ogl)\b|cc0"
    r"|fairuse",
    re.IGNORECASE,
)
_PAGE_LINKS = re.compile(r"^[ \t]*(?:\[\[[^\[\]|:]+:[^\[\]]*\]\][ \t]*)+$", re.MULTILINE)
"""Lines of nothing but links with a namespace: categories, and the same page in other languages."""


@dataclass(frozen=True)
class FilePage:
    """What a page says, as plain text; empty where it says nothing."""

    description: str = ""
    author: str = ""
    licence: str = ""


def read_file_page(wikitext: str) -> FilePage:
    """Return what a file's page says of it."""
    called = templates(wikitext)
    return FilePage(
        description=_value(called, _DESCRIPTION) or _first_words(wikitext),
        author=_value(called, _AUTHOR),
        licence=_licence(wikitext, called),
    )


def _value(called: list[Template], names: tuple[str, ...]) -> str:
    """Return the first parameter of one of some names that says anything."""
    for template in called:
        for name in names:
            words = wikitext_words(template.values.get(name, ""))
            if words:
                return words
    return ""


def _sections(wikitext: str) -> list[tuple[str, str]]:
    """Return the heading and the text of each section; the first has no heading."""
    headings = list(_HEADING.finditer(wikitext))
    ends = [*(heading.start() for heading in headings), len(wikitext)]
    texts = [wikitext[: ends[0]]]
    texts += [wikitext[head.end() : end] for head, end in zip(headings, ends[1:], strict=True)]
    return list(zip(["", *(heading[2] for heading in headings)], texts, strict=True))


def _first_words(wikitext: str) -> str:
    for heading, text in _sections(wikitext):
        words = wikitext_words(_PAGE_LINKS.sub("", text))
        if words and not _LICENCE_HEADING.search(heading):
            return words
    return ""


def _licence(wikitext: str, called: list[Template]) -> str:
    for heading, text in _sections(wikitext):
        if _LICENCE_HEADING.search(heading):
            words = _names(templates(text)) or wikitext_words(_PAGE_LINKS.sub("", text))
            if words:
                return words
    for template in called:
        for name in _LICENCE:
            value = template.values.get(name, "")
            words = _names(templates(value)) or wikitext_words(value)
            if words:
                return words
    return _names([each for each in called if _IS_LICENCE.match(each.name)])


def _names(called: list[Template]) -> str:
    """Return the licences that templates stand for, those inside others left out."""
    found: list[str] = []
    end = 0
    for template in called:
        if template.start < end:
            continue
        end = template.end
        if template.name.lower() in _LISTS_LICENCES:
            values = template.values
            found += [values[key] for key in sorted(values) if key.isdecimal() and values[key]]
        else:
            found.append(template.name)
    return ", ".join(dict.fromkeys(found))
