"""What chat models put around a caption: markup, prefaces, quotes, and refusals in its place.

Pure functions of a text on one line; they are rules of :mod:`styledag.captions.rules`, whose
version changes with them.
"""

import re

_FLAGS = re.IGNORECASE | re.ASCII
_SPECIAL = re.compile(
    r"<\|[a-z0-9_]{1,40}\|>|</?s>|<loc_\d+>|<(?:pad|eos|bos|unk|end_of_turn)>", _FLAGS
)
"""Tokens that mark the ends of texts, where a server takes them for words."""
_EMPHASIS = re.compile(r"\*\*+|`+")
_HEADING = re.compile(r"^#{1,6} +(?:(?:image +)?(?:description|caption):? +)?", _FLAGS)
_ABOUT = r"(?:caption|description|image|picture|photo|photograph|sentence|summary|prompt)"
_PREFACE = re.compile(
    rf"^(?:(?:sure|certainly|of course|absolutely|okay|ok)(?: thing)?[!,.:]* +)?"
    rf"(?:here(?:'s| is|\u2019s)[^:.!?]{{0,60}}{_ABOUT}[^:.!?]{{0,40}}:"
    rf"|(?:[a-z]+ )?(?:caption|description|answer) ?:"
    rf"|(?:assistant|answer) ?:) *",
    _FLAGS,
)
_OFFER = re.compile(r" +(?:let me know|feel free to|would you like me to)[^.!?]*[.!?]?$", _FLAGS)
_APOSTROPHE = "(?:'|\u2019)?"
_REFUSAL = re.compile(
    rf"^(?:(?:i{_APOSTROPHE}m|i +am|we{_APOSTROPHE}re) +(?:so +|very +)?"
    rf"(?:sorry|unable|not +able|afraid)\b"
    rf"|(?:sorry|apologies|unfortunately)\b[ ,]+(?:but +)?i\b"
    rf"|i +(?:can(?:not|{_APOSTROPHE}t| +not)|could(?: +not|n{_APOSTROPHE}t)|won{_APOSTROPHE}t) +"
    rf"(?:assist|help|provide|describe|comply|fulfil|view|see|process|identify|generate|create)"
    rf"|as +an +ai\b)",
    _FLAGS,
)
_QUOTES = ('""', "''", "\u201c\u201d", "\u2018\u2019", "\xab\xbb", "\u201e\u201c", "\u300c\u300d")
_WORD = re.compile(r"[^\x00-/:-@\[-`{-\x7f\u2000-\u206f\u3000-\u3003\ufffd]")
"""A letter or digit of any script, or a pictograph: all but signs of ASCII and general ones."""


def drop_special_tokens(text: str) -> str:
    """Return the text without tokens such as ``<|im_end|>`` and ``</s>``."""
    without = _SPECIAL.sub(" ", text)
    return text if without == text else " ".join(without.split())


def drop_markdown(text: str) -> str:
    """Return the text without the marks of a heading, of emphasis and of code."""
    return _EMPHASIS.sub("", _HEADING.sub("", text))


def drop_preface(text: str) -> str:
    """Return the text without "Sure! Here is a caption:" in front and an offer of more behind."""
    return _OFFER.sub("", _PREFACE.sub("", text))


def drop_quotes(text: str) -> str:
    """Return the text without quotation marks around all of it."""
    if len(text) > 2 and text[0] + text[-1] in _QUOTES:
        inside = text[1:-1]
        if text[0] not in inside and text[-1] not in inside:
            return inside.strip(" ")
    return text


def drop_refusal(text: str) -> str:
    """Return nothing for a text that refuses to describe the image, or has no word; else it."""
    return "" if _REFUSAL.match(text) or not _WORD.search(text) else text
