"""What is taken off a caption: invisible characters, and what captioners and pages add to words.

Pure functions of the text alone, which depend on no Unicode table but those written here, so that
no version of Python changes a caption. Raise :data:`RULES_VERSION` when one of them changes.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from styledag.captions.cleaning.articles import fit_articles
from styledag.captions.cleaning.chatter import (
    drop_markdown,
    drop_preface,
    drop_quotes,
    drop_refusal,
    drop_special_tokens,
)
from styledag.captions.cleaning.file_names import IMAGE_ENDING, words_of_file_name
from styledag.captions.cleaning.openings import drop_openings

RULES_VERSION = "5"

_BLANKS = "\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_JOINERS = "\u200c\u200d"
"""They shape letters and hold emoji of several parts together, so between visible characters they
stay. Persian and many scripts of India are misspelt without them."""
_FLAG = "\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f"
"""A flag of a region: a black flag and tags that are invisible everywhere else."""
_INVISIBLE = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # controls
    "\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # format
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001-\U000e007f"
    "\ud800-\udfff\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"  # private, surrogates
    "\ufdd0-\ufdef"  # noncharacters
    + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17))
)
_CONTROL = re.compile(f"(?P<flag>{_FLAG})|[{_INVISIBLE}]+")
_LOOSE_JOINER = re.compile(f"(?<![^{_BLANKS}])[{_JOINERS}]+|[{_JOINERS}]+(?![^{_BLANKS}])")
_BLANK = re.compile(f"[{_BLANKS}]+")

_LETTER = r"[^ !-/:-@\[-`{-~]"  # of a word: no blank, no ASCII punctuation
_WORD = re.compile(f"{_LETTER}+")
_START, _END = rf"(?<!{_LETTER})", rf"(?!{_LETTER})"
_FLAGS = re.IGNORECASE | re.ASCII
_NOUN_MARK = r"(?:an?|the|some|another)"
_NONSENSE = re.compile(
    rf"{_START}araf{_LETTER}*{_END}(?: +(?:image|picture|photo|view) of{_END})?", _FLAGS
)
_PIECE_MARK = re.compile(rf"(?<![^ ])##(?={_LETTER})")
_ARTICLE_TWICE = re.compile(rf"{_START}{_NOUN_MARK} +({_NOUN_MARK}){_END}", _FLAGS)
_SAME_AGAIN = re.compile(
    rf"{_START}({_LETTER}+(?: {_LETTER}+){{0,4}})"
    rf" (?:on top of|in front of|next to|inside|beside|under|with|and|of|on|in)"
    rf" {_NOUN_MARK} \1{_END}",
    _FLAGS,
)
_NAMESPACE = re.compile(
    r"^(?:file|image|media|datei|bild|fichier|archivo|imagen|immagine|bestand|ficheiro|plik|"
    r"\u0444\u0430\u0439\u043b|\u30d5\u30a1\u30a4\u30eb) ?: ?",
    _FLAGS,
)
_LONGEST_LOOP_WORDS = 8
_EDGES = " \t,;:.-"


@dataclass(frozen=True)
class Cleaned:
    """A cleaned text and the names of the rules that changed it, in their order."""

    text: str
    hits: tuple[str, ...]


def clean_caption(raw: str) -> Cleaned:
    """Return what a captioner meant: without stutter, nonsense words, empty openings and refusals.

    Args:
        raw: As the captioner said it; the result may be empty.
    """
    return _apply(raw, _CAPTIONER_RULES)


def clean_title(raw: str) -> Cleaned:
    """Return what a page calls an image, without a wiki's namespace and a file's ending.

    "File:Red_fox.png" becomes "Red fox"; a name that is no file's keeps its underscores.
    """
    return _apply(raw, _TITLE_RULES)


def clean_file_name(raw: str) -> Cleaned:
    """Return the words of an image's file name, without what only tells files apart.

    "tiger_sitting-01.png" becomes "tiger sitting"; of "IMG_0042.jpg" nothing is left.
    """
    return _apply(raw, _FILE_NAME_RULES)


def clean_text(raw: str) -> Cleaned:
    """Return what a person wrote, on one line and without invisible signs; nothing else changes.

    Markup such as ``<b>`` is text like any other.
    """
    return _apply(raw, _TEXT_RULES)


def strip_control(text: str) -> str:
    """Return the text without control, format, surrogate and private characters.

    Blanks of all kinds stay. Right-to-left letters stay; marks that override the direction of
    writing, which can disguise a text, go. What Unicode does not assign yet stays.
    """
    visible = _CONTROL.sub(lambda found: found["flag"] or "", text)
    return _LOOSE_JOINER.sub("", visible)


def collapse_whitespace(text: str) -> str:
    """Return the text with single spaces and none at its ends."""
    return _BLANK.sub(" ", text).strip(" ")


def drop_file_name(text: str) -> str:
    """Return a file's name on a wiki as words; any other text as it is."""
    words = IMAGE_ENDING.sub("", _NAMESPACE.sub("", text))
    return text if words == text or not words else words.replace("_", " ").strip(" ")


def drop_nonsense(text: str) -> str:
    """Return the text without BLIP's invented words: "arafed", "araffe" and their kin."""
    without = _NONSENSE.sub("", text)
    if without == text:
        return text
    return collapse_whitespace(_ARTICLE_TWICE.sub(r"\1", without))


def drop_piece_marks(text: str) -> str:
    """Return the text without the marks of WordPiece that a first token can leave: "##s"."""
    return _PIECE_MARK.sub("", text)


def drop_loops(text: str) -> str:
    """Return the text with repeated word sequences said once.

    "hat hat hat" and "a hat on top of a hat" become "hat" and "a hat". Repetitions that are
    meant ("hand in hand", "two by two") have no article and stay.
    """
    words = [(word, _bare(word)) for word in text.split(" ")]
    for length in range(min(_LONGEST_LOOP_WORDS, len(words) // 2), 0, -1):
        words = _without_repeats(words, length)
    text = " ".join(word for word, _ in words)
    shorter = _SAME_AGAIN.sub(r"\1", text)
    while shorter != text:
        text, shorter = shorter, _SAME_AGAIN.sub(r"\1", shorter)
    return text


def trim_edges(text: str) -> str:
    """Return the text without stops, commas and dashes at its ends."""
    return text.strip(_EDGES)


def _without_repeats(words: Sequence[tuple[str, str]], length: int) -> list[tuple[str, str]]:
    """Return words, each beside its bare form, without runs of ``length`` that come again."""
    kept: list[tuple[str, str]] = []
    at = 0
    while at < len(words):
        piece = [bare for _, bare in words[at : at + length]]
        if len(piece) == length and piece == [bare for _, bare in kept[-length:]]:
            at += length
        else:
            kept.append(words[at])
            at += 1
    return kept


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text for comparison, without punctuation and in one case."""
    return frozenset(_bare(word) for word in _WORD.findall(text))


def _bare(word: str) -> str:
    """Return a word for comparison; letters of ASCII, Latin, Greek and Cyrillic lose their case."""
    lowered = "".join(letter.lower() if letter < "\u0530" else letter for letter in word)
    return lowered.strip(_EDGES)


_Rule = tuple[str, Callable[[str], str]]
_TEXT_RULES: tuple[_Rule, ...] = (
    ("control", strip_control),
    ("whitespace", collapse_whitespace),
)
_CAPTIONER_RULES: tuple[_Rule, ...] = (
    *_TEXT_RULES,
    ("special_token", drop_special_tokens),
    ("piece_mark", drop_piece_marks),
    ("markdown", drop_markdown),
    ("preface", drop_preface),
    ("quotes", drop_quotes),
    ("refusal", drop_refusal),
    ("nonsense", drop_nonsense),
    ("opening", drop_openings),
    ("loop", drop_loops),
    ("edges", trim_edges),
    ("article", fit_articles),
)
_TITLE_RULES: tuple[_Rule, ...] = (*_TEXT_RULES, ("file_name", drop_file_name))
_FILE_NAME_RULES: tuple[_Rule, ...] = (*_TEXT_RULES, ("file_name", words_of_file_name))


def _apply(raw: str, rules: Sequence[_Rule]) -> Cleaned:
    text, hits = raw, []
    for name, rule in rules:
        changed = rule(text)
        if changed != text:
            hits.append(name)
        text = changed
    return Cleaned(text, tuple(hits))
