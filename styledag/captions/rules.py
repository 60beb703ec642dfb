"""What is taken off a caption: signs that nobody sees, and what captioners are known to stutter.

Pure functions of the text alone. Raise :data:`RULES_VERSION` when one of them changes.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

RULES_VERSION = "1"

_ZERO_WIDTH_JOINER = "\u200d"
"""Holds emoji of several parts together, so it stays, though it is a format character."""

_NOUN_MARK = r"(?:an?|the|some|another)"
_NONSENSE = re.compile(r"\baraf\w*\b(?:\s+(?:image|picture|photo|view)\s+of\b)?", re.IGNORECASE)
_PIECE_MARK = re.compile(r"(?<!\S)##(?=\w)")
_ARTICLE_TWICE = re.compile(rf"\b{_NOUN_MARK}\s+({_NOUN_MARK})\b", re.IGNORECASE)
_OPENING = re.compile(
    rf"^(?:"
    rf"(?:(?:{_NOUN_MARK}|this|that)\s+)?"
    rf"(?:close\s*-?\s*up\s+)?(?:image|picture|photo|photograph|pic|close\s*-?\s*up|view)"
    rf"\s+(?:of|showing|shows|depicting|depicts|that\s+shows)"
    rf"|(?:there|this|that|it|here)\s+(?:is|are)"
    rf"|(?:we|you|i)\s+(?:can\s+)?see"
    rf")(?:\s+|$)",
    re.IGNORECASE,
)
_SAME_AGAIN = re.compile(
    rf"\b(\w+(?:\s\w+){{0,4}})"
    rf"\s(?:on\stop\sof|in\sfront\sof|next\sto|inside|beside|under|with|and|of|on|in)"
    rf"\s{_NOUN_MARK}\s\1\b",
    re.IGNORECASE,
)
_LONGEST_LOOP_WORDS = 8
_EDGES = " \t,;:.-"


@dataclass(frozen=True)
class Cleaned:
    """A cleaned text and the names of the rules that changed it, in their order."""

    text: str
    hits: tuple[str, ...]


def clean_caption(raw: str) -> Cleaned:
    """Return what a captioner meant: without stutter, nonsense words and empty openings.

    Args:
        raw: As the captioner said it; the result may be empty.
    """
    return _apply(raw, _CAPTIONER_RULES)


def clean_text(raw: str) -> Cleaned:
    """Return what a person wrote, on one line and without invisible signs; nothing else changes.

    Markup such as ``<b>`` is text like any other.
    """
    return _apply(raw, _TEXT_RULES)


def strip_control(text: str) -> str:
    """Return the text without control, format, surrogate and private characters.

    Line breaks and tabs become spaces. Right-to-left letters stay; marks that override the
    direction of writing, which can disguise a text, go.
    """
    kept = (
        " " if letter in "\t\n\v\f\r\x85\u2028\u2029" else letter
        for letter in text
        if letter in "\t\n\v\f\r\x85"
        or letter == _ZERO_WIDTH_JOINER
        or unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
    )
    return "".join(kept)


def collapse_whitespace(text: str) -> str:
    """Return the text with single spaces and none at its ends."""
    return " ".join(text.split())


def drop_nonsense(text: str) -> str:
    """Return the text without BLIP's invented words: "arafed", "araffe" and their kin."""
    without = _NONSENSE.sub("", text)
    if without == text:
        return text
    return collapse_whitespace(_ARTICLE_TWICE.sub(r"\1", without))


def drop_piece_marks(text: str) -> str:
    """Return the text without the marks of WordPiece that a first token can leave: "##s"."""
    return _PIECE_MARK.sub("", text)


def drop_openings(text: str) -> str:
    """Return the text without openings that say nothing, such as "there is a picture of"."""
    shorter = _OPENING.sub("", text)
    while shorter != text:
        text, shorter = shorter, _OPENING.sub("", shorter)
    return text


def drop_loops(text: str) -> str:
    """Return the text with repeated word sequences said once.

    "hat hat hat" and "a hat on top of a hat" become "hat" and "a hat". Repetitions that are
    meant ("hand in hand", "two by two") have no article and stay.
    """
    words = text.split()
    for length in range(min(_LONGEST_LOOP_WORDS, len(words) // 2), 0, -1):
        words = _without_repeats(words, length)
    text = " ".join(words)
    shorter = _SAME_AGAIN.sub(r"\1", text)
    while shorter != text:
        text, shorter = shorter, _SAME_AGAIN.sub(r"\1", shorter)
    return text


def trim_edges(text: str) -> str:
    """Return the text without stops, commas and dashes at its ends."""
    return text.strip(_EDGES)


def _without_repeats(words: Sequence[str], length: int) -> list[str]:
    kept: list[str] = []
    at = 0
    while at < len(words):
        piece = [_bare(word) for word in words[at : at + length]]
        before = [_bare(word) for word in kept[-length:]]
        if len(piece) == length and piece == before:
            at += length
        else:
            kept.append(words[at])
            at += 1
    return kept


def _bare(word: str) -> str:
    return word.lower().strip(_EDGES)


_Rule = tuple[str, Callable[[str], str]]
_TEXT_RULES: tuple[_Rule, ...] = (
    ("control", strip_control),
    ("whitespace", collapse_whitespace),
)
_CAPTIONER_RULES: tuple[_Rule, ...] = (
    *_TEXT_RULES,
    ("piece_mark", drop_piece_marks),
    ("nonsense", drop_nonsense),
    ("opening", drop_openings),
    ("loop", drop_loops),
    ("edges", trim_edges),
)


def _apply(raw: str, rules: Sequence[_Rule]) -> Cleaned:
    text, hits = raw, []
    for name, rule in rules:
        changed = rule(text)
        if changed != text:
            hits.append(name)
        text = changed
    return Cleaned(text, tuple(hits))
