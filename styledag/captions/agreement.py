"""How often the captioner's words and those of a page name the same thing."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from styledag.captions.cleaning.rules import words_of

AGREEMENT = "agreement.json"
_ARTICLES = frozenset({"a", "an", "the"})


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """A comparison of the captioner with the other sources.

    Attributes:
        compared: Images of which both have words.
        agree: Of these, how many are named alike.
    """

    compared: int
    agree: int


def agrees(one: str, other: str) -> bool:
    """Return whether one text has all words of the other, articles aside: "a fox", "Fox face"."""
    first, second = words_of(one) - _ARTICLES, words_of(other) - _ARTICLES
    return bool(first and second) and (first <= second or second <= first)


def compare(pairs: Iterable[tuple[str, str]]) -> Agreement:
    """Return how often two cleaned captions of one image agree.

    Args:
        pairs: The captioner's caption, and that of another source.
    """
    found = [agrees(*pair) for pair in pairs]
    return Agreement(compared=len(found), agree=sum(found))


def write_agreement(agreement: Agreement, folder: Path) -> None:
    """Write a comparison beside the captions."""
    text = json.dumps(asdict(agreement)) + "\n"
    (folder / AGREEMENT).write_text(text, encoding="utf-8")


def read_agreement(folder: Path) -> Agreement | None:
    """Return the comparison beside captions; ``None`` if the style asked for none."""
    path = folder / AGREEMENT
    return Agreement(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
