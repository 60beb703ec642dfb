"""Which language captions are in, told from many at once: a few words alone do not show it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import version

from styledag.collect.web.addresses import parts_of
from styledag.store.items import Items, item_key

UNKNOWN = "und"
"""ISO 639's code for words whose language cannot be told."""
_ITEMS = "languages"
_MIN_CONFIDENCE = 0.9
_MIN_LETTERS = 40
_MOST_LETTERS = 20_000
_OF_NO_SITE = ("captioner", "override")
"""Sources whose words are not the page's."""


def find_languages(
    captions: Iterable[tuple[str, str, str]], items: Items | None = None
) -> dict[str, str]:
    """Return the language of captions by where their words are from, such as ``title of HOST``.

    The words of one source, and of one site where they are a site's, are taken together and told
    by py3langid (byte n-grams and naive Bayes, https://aclanthology.org/P12-3005). The template's
    words do not count.

    Args:
        captions: Of each image the source of its words, the address of its page, and the cleaned
            caption.
        items: Where it is kept what was told once, if anywhere.

    Returns:
        ISO 639-1 codes, ``und`` where it is not clear, of all that have 40 letters or more.
    """
    words: defaultdict[str, list[str]] = defaultdict(list)
    letters: defaultdict[str, int] = defaultdict(int)
    for source, page_url, caption in captions:
        where = _where(source, page_url)
        if letters[where] < _MOST_LETTERS:
            words[where].append(caption)
            letters[where] += sum(letter.isalpha() for letter in caption)
    texts = {where: " . ".join(words[where]) for where in sorted(letters)}
    told = {where: text for where, text in texts.items() if letters[where] >= _MIN_LETTERS}
    return _remembered(told, items) if items is not None else _classified(told)


def _remembered(told: Mapping[str, str], items: Items) -> dict[str, str]:
    identity = {"by": version("py3langid"), "confidence": _MIN_CONFIDENCE}
    keys = {where: item_key(text=text, **identity) for where, text in told.items()}
    known = items.get_many_json(_ITEMS, list(keys.values()))
    new = _classified({where: told[where] for where, key in keys.items() if key not in known})
    for where, language in new.items():
        items.put_json(_ITEMS, keys[where], language)
    return {where: new.get(where) or known[keys[where]] for where in told}


def _classified(told: Mapping[str, str]) -> dict[str, str]:
    if not told:
        return {}
    # Imported here: the model takes a second to load.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(
        MODEL_FILE, norm_probs=True, min_confidence=_MIN_CONFIDENCE
    )
    return {where: str(identifier.classify(text)[0]) for where, text in told.items()}


def _where(source: str, page_url: str) -> str:
    host = None if source in _OF_NO_SITE else _host(page_url)
    return f"{source} of {host}" if host else source


@lru_cache(4_096)
def _host(url: str) -> str | None:
    return parts_of(url).hostname
