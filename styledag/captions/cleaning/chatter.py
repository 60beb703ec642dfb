"""What chat models put around a caption: markup, prefaces, quotes, and refusals in its place.

Pure functions of a text on one line; they are rules of :mod:`styledag.captions.cleaning.rules`,
whose version changes with them.
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
_APOSTROPHE = "(?:'|\u2019)?"
_YES = r"(?:sure|certainly|of course|absolutely|okay|ok)(?: thing)?"
_GLADLY = (
    rf"i(?:{_APOSTROPHE}d| +would) +(?:be +(?:happy|glad) +to|love +to|gladly)"
    r" +[^.:!?]{1,80}[.:!] +"
)
_PREFACE = re.compile(
    rf"^(?:{_YES}[!,.:]* +)?(?:{_GLADLY})?(?:(?:based +on|for) +(?:the|this) +[^:.!?,]{{1,40}}, +)?"
    rf"(?:here(?:'s| is|\u2019s)[^:.!?]{{0,60}}{_ABOUT}[^:.!?]{{0,40}}:"
    rf"|(?:[a-z]+ )?(?:caption|description|answer) ?:"
    rf"|(?:assistant|answer) ?:) *"
    rf"|^{_YES}[!,.:]+ +(?:{_GLADLY})?|^{_GLADLY}",
    _FLAGS,
)
_OFFER = re.compile(r" +(?:let me know|feel free to|would you like me to)[^.!?]*[.!?]?$", _FLAGS)
_CANNOT = (
    rf"(?:can(?:not|{_APOSTROPHE}t| +not)|could(?: +not|n{_APOSTROPHE}t)"
    rf"|will +not|won{_APOSTROPHE}t)"
)
_DO_NOT = rf"(?:do +not|don{_APOSTROPHE}t)"
_NO_NOUN = r"(?:no|any|an|a|the|your) +(?:image|picture|photo)"
_REFUSAL = re.compile(
    rf"^(?:(?:i{_APOSTROPHE}m|i +am|i +was|we{_APOSTROPHE}re)(?: +(?:so|very|just|really))? +"
    rf"(?:sorry|unable|afraid|having +trouble|an? +(?:ai|language +model)"
    rf"|not +(?:able|comfortable|going|allowed|permitted))\b"
    rf"|(?:sorry|(?:my +)?apologies|unfortunately)\b[ ,]+(?:but +)?(?:i|we)\b"
    rf"|i +apologi[sz]e\b"
    rf"|i +(?:must|have +to|need +to) +(?:[a-z]+ly +)?(?:decline|refuse)\b"
    rf"|i(?:{_APOSTROPHE}d| +would) +(?:rather|prefer) +not\b"
    rf"|i +{_CANNOT} +(?:[a-z]+ly +)?(?:be +able|assist|help|provide|describe|comply|fulfil|view"
    rf"|see|process|identify|generate|create|determine|tell|make +out|answer|engage|access"
    rf"|analy[sz]e|caption|discuss|recogni[sz]e|respond|complete|produce|offer|give|display)"
    rf"|i +{_DO_NOT} +(?:feel +comfortable|have +(?:the +)?(?:ability|capability|access)|see"
    rf" +{_NO_NOUN})\b"
    rf"|as +an? +(?:[a-z]+ +)?(?:ai|language +model)\b"
    rf"|it(?:{_APOSTROPHE}s| +is) +(?:not +appropriate|inappropriate) +(?:for|to)\b"
    rf"|(?:this|the|your) +(?:content|image|request) +(?:may +|might +)?violates?\b"
    rf"|(?:unfortunately,? +)?(?:the|this) +(?:image|picture|photo) +{_CANNOT} +be"
    rf" +(?:described|displayed|processed|loaded|viewed)\b"
    rf"|it +(?:seems|looks|appears)(?: +(?:like|that))? +"
    rf"(?:you +(?:have|forgot|did)|there +(?:is|are) +no +(?:image|picture|photo))"
    rf"|(?:there +(?:is|was) +)?no +(?:image|picture|photo) +(?:(?:was|is|has +been) +)?"
    rf"(?:attached|provided|uploaded|included)\b"
    rf"|(?:please|could +you(?: +please)?|can +you(?: +please)?) +(?:provide|upload|share|attach)"
    rf" +(?:me +)?(?:with +)?{_NO_NOUN})",
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


def is_refusal(raw: str) -> bool:
    """Return whether an answer, as a captioner gave it, refuses to describe the image.

    So does one that says that it got no image.
    """
    text = drop_quotes(drop_preface(drop_markdown(" ".join(raw.split()))))
    return _REFUSAL.match(text) is not None


def drop_refusal(text: str) -> str:
    """Return nothing for a text that refuses to describe the image, or has no word; else it."""
    return "" if _REFUSAL.match(text) or not _WORD.search(text) else text
