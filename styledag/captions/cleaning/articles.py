"""English articles: a or an by the sound of the next word, and never two in a row."""

import re

_FLAGS = re.IGNORECASE | re.ASCII
"""English letters and digits alone, in both cases, whatever a version of Python knows of others."""
_SPELT_VOWEL = re.compile(r"[aeiou]|hour|honest|honou?r|heir(?!loo)|heirloom", _FLAGS)
_CONSONANT_SOUND = re.compile(
    r"eu|ew|one(?![a-z])|one-|once|ouija|u(?:ni(?:[cfqosv]|t[aeiy]|t(?![a-z])|ts)|"
    r"[srt][aeiou]|kulele|biq|k(?![a-z])|-)",
    _FLAGS,
)
_LETTER_ALONE = re.compile(r"([A-Za-z])(?![A-Za-z])")
_LETTERS_SAID_WITH_VOWEL = frozenset("aefhilmnorsx")
_WORD = re.compile(r"[A-Za-z]+")
_ARTICLE = re.compile(r"(?<![A-Za-z])(an?)( )(?=[A-Za-z])", _FLAGS)
_ARTICLE_AT_END = re.compile(r"(?<![A-Za-z])(an?|the) $", _FLAGS)
_DETERMINER = re.compile(
    r"(?:an?|the|this|that|these|those|some|another|any|each|every|no|my|your|his|her|its|our|"
    r"their|several|many|two|three|four|five|six|seven|eight|nine|ten|\d+) ",
    _FLAGS,
)


def article_for(words: str) -> str:
    """Return ``a`` or ``an`` as it stands before some words; empty if their sound is not known.

    A word in capitals may be spelt out or not, so nothing is known of it.
    """
    letter = _LETTER_ALONE.match(words)
    if letter:
        return "an" if letter[1].lower() in _LETTERS_SAID_WITH_VOWEL else "a"
    word = _WORD.match(words)
    if word is None or word[0].isupper():
        return ""
    vowel = _SPELT_VOWEL.match(words) and not _CONSONANT_SOUND.match(words)
    return "an" if vowel else "a"


def fit_articles(text: str) -> str:
    """Return a text whose every ``a`` and ``an`` fits the sound of the word behind it."""
    return _ARTICLE.sub(lambda found: _like(found[1], text[found.end() :]) + found[2], text)


def joined(before: str, words: str) -> str:
    """Return a text and the words behind it, the text's last article fitted to them.

    It is left out before words that begin with an article or a number of their own.
    """
    article = _ARTICLE_AT_END.search(before)
    if article is None or not words:
        return before + words
    if _DETERMINER.match(words):
        return before[: article.start()] + words
    if article[1].lower() == "the":
        return before + words
    return f"{before[: article.start()]}{_like(article[1], words)} {words}"


def _like(article: str, words: str) -> str:
    """Return the right article in the capitals of the one that stands there."""
    right = article_for(words) or article.lower()
    return right.capitalize() if article[0].isupper() else right
