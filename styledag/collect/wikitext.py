"""The captions that a wiki page's galleries give to their images."""

import re

from styledag.collect.web.rendered_text import plain_text

_GALLERY = re.compile(r"<gallery\b[^>]*>(.*?)</gallery\s*>", re.IGNORECASE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")
_NOTE = re.compile(r"<ref\b[^>/]*(?:/>|>.*?</ref\s*>)", re.IGNORECASE | re.DOTALL)
_LINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
_OUTWARD = re.compile(r"\[(?:https?:)?//\S+\s*([^\]]*)\]", re.IGNORECASE)
_OPTION = re.compile(r"\s*(?:alt|link|page|lang|class)\s*=", re.IGNORECASE)
_QUOTES = re.compile(r"'{2,}")


def gallery_captions(wikitext: str) -> dict[str, str]:
    """Return the caption of each image that stands in a gallery with one, by its file's name.

    Args:
        wikitext: Source of a page.
    """
    captions: dict[str, str] = {}
    for gallery in _GALLERY.findall(_COMMENT.sub("", wikitext)):
        for line in gallery.splitlines():
            title, bar, rest = line.strip().partition("|")
            if bar:
                captions.setdefault(file_name(title), _caption(rest))
    return {name: caption for name, caption in captions.items() if name and caption}


def file_name(title: str) -> str:
    """Return a file's name as the wiki spells it, without namespace."""
    name = " ".join(title.rpartition(":")[2].replace("_", " ").split())
    return name[:1].upper() + name[1:]


def _caption(wikitext: str) -> str:
    text = wikitext
    while (shorter := _TEMPLATE.sub("", text)) != text:
        text = shorter
    text = _LINK.sub(r"\1", _NOTE.sub("", text))
    text = _QUOTES.sub("", _OUTWARD.sub(r"\1", text))
    kept = [part for part in text.split("|") if not _OPTION.match(part)]
    return plain_text("|".join(kept))
