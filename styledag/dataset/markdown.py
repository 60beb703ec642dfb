"""Text from strangers inside Markdown: shown as it is, and never read as markup."""

import re
from typing import Any

from styledag.captions.cleaning.rules import clean_text

MOST_LETTERS = 200

_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def escape_markdown(value: Any) -> Any:
    """Return a value for a Markdown page; text becomes one line that no reader takes for markup.

    Every ASCII sign is escaped, those of HTML as entities and others by a backslash, as CommonMark
    allows, so that neither tags, links, tables nor headings come of it. Text longer than
    :data:`MOST_LETTERS` is cut and says so by an ellipsis. Numbers stay as they are.
    """
    if not isinstance(value, str):
        return value
    text = clean_text(value).text
    if len(text) > MOST_LETTERS:
        text = text[: MOST_LETTERS - 1] + "…"
    return _PUNCTUATION.sub(lambda sign: _ENTITIES.get(sign[0], "\\" + sign[0]), text)
