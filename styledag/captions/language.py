"""Which language captions are in, told from many at once: a few words alone do not show it."""

from collections import defaultdict
from collections.abc import Iterable
from urllib.parse import urlsplit

from styledag.captions.records import CaptionedImage

UNKNOWN = "und"
"""ISO 639's code for words whose language cannot be told."""
_MIN_CONFIDENCE = 0.9
_MIN_LETTERS = 40
_MOST_LETTERS = 20_000
_OF_NO_SITE = ("captioner", "override")
"""Sources whose words are not the page's."""


def find_languages(rows: Iterable[CaptionedImage]) -> dict[str, str]:
    """Return the language of captions by where their words are from, such as ``title of HOST``.

    The words of one source, and of one site where they are a site's, are taken together and told
    by py3langid (byte n-grams and naive Bayes, https://aclanthology.org/P12-3005). The template's
    words do not count.

    Args:
        rows: The captioned images.

    Returns:
        ISO 639-1 codes, ``und`` where it is not clear, of all that have 40 letters or more.
    """
    words: defaultdict[str, list[str]] = defaultdict(list)
    letters: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        where = _where(row)
        if letters[where] < _MOST_LETTERS:
            words[where].append(row.cleaned_caption)
            letters[where] += sum(letter.isalpha() for letter in row.cleaned_caption)
    told = sorted(where for where, count in letters.items() if count >= _MIN_LETTERS)
    if not told:
        return {}
    # Imported here: the model takes a second to load.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(
        MODEL_FILE, norm_probs=True, min_confidence=_MIN_CONFIDENCE
    )
    return {where: identifier.classify(" . ".join(words[where]))[0] for where in told}


def _where(row: CaptionedImage) -> str:
    origin = row.image.origin
    host = None if row.source in _OF_NO_SITE else urlsplit(origin.page_url).hostname
    return f"{row.source} of {host}" if host else row.source
