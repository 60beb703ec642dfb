"""Texts that people and programs write beside images, in files and in the cells of tables."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from styledag.collect.web.rendered_text import one_line
from styledag.edited_csv import encoding_of

_HALF = re.compile("[\ud800-\udfff]")
_MOST_WORDS_OF_A_TAG = 3
_ARTICLES = frozenset(("a", "an", "the"))


def decoded_text(content: bytes) -> str:
    """Return text in UTF-8, or in UTF-16 where a byte-order mark states it.

    Raises:
        ValueError: If it is neither.
    """
    try:
        return content.decode(encoding_of(content))
    except UnicodeDecodeError as exc:
        raise ValueError(
            f"byte {exc.start} is no {exc.encoding.upper()}: save it as UTF-8"
        ) from exc


def text_of(value: Any) -> str:
    """Return the text that a value of JSON or of a table means.

    ``None`` and NaN, by which pandas marks a missing text, are empty. A list of tags, which are
    words without articles, is joined by commas; of other lists, such as the captions of one image
    by several people, the first that says anything counts.

    Raises:
        ValueError: If it is an object with fields, or bytes that are no text.
    """
    if value is None or isinstance(value, bool) or value != value:
        return ""
    if isinstance(value, Mapping):
        names = ", ".join(map(str, list(value)[:3]))
        raise ValueError(f"it is no text, but an object with fields ({names})")
    if isinstance(value, bytes):
        return decoded_text(value)
    if not isinstance(value, list | tuple):
        # JSON may state half of a surrogate pair, where a program has cut a text inside an emoji.
        return _HALF.sub("\ufffd", str(value))
    texts = [text for text in map(text_of, value) if text.strip()]
    if texts and all(map(_is_tag, texts)):
        return ", ".join(texts)
    return next(iter(texts), "")


def cell_text(row: Mapping[str, Any], column: str, *, in_lines: bool = False) -> str:
    """Return a cell of a table's row; empty without a value or such a column.

    Args:
        row: The row.
        column: Its column.
        in_lines: Whether lines stay, as in captions, which may be one a line; else they are joined.

    Raises:
        ValueError: Naming the column, if the value is no text.
    """
    try:
        text = text_of(row.get(column))
    except ValueError as exc:
        raise ValueError(
            f"column {column!r}: {exc}: name a column of texts in the style file, or '' for none"
        ) from exc
    return text_in_lines(text) if in_lines else one_line(text)


def text_in_lines(text: str) -> str:
    """Return the lines of a text that say anything, with single spaces in place of blanks."""
    return "\n".join(filter(None, map(one_line, text.splitlines())))


class AlikeNames:
    """Finds names as people mean them: exactly, or else whatever their case and Unicode form are.

    macOS takes names apart into letters and accents, and Windows forgets their case, so that a
    list and the files that it is about may spell one name in two ways.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def find(self, name: str) -> str | None:
        """Return the name that is meant; ``None`` if there is none, or are several."""
        if name in self._names:
            return name
        alike = self._alike.get(_folded(name), ())
        return alike[0] if len(alike) == 1 else None

    @cached_property
    def _alike(self) -> Mapping[str, Sequence[str]]:
        alike: dict[str, list[str]] = {}
        for name in self._names:
            alike.setdefault(_folded(name), []).append(name)
        return alike


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _is_tag(text: str) -> bool:
    words = text.split()
    return len(words) <= _MOST_WORDS_OF_A_TAG and words[0].lower() not in _ARTICLES
