"""Names and categories for the drawings: Unicode's, in the words that a person would use."""

import re
from collections.abc import Mapping

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "animals": (
        "animal-mammal",
        "animal-bird",
        "animal-amphibian",
        "animal-reptile",
        "animal-marine",
        "animal-bug",
    ),
    "plants": ("plant-flower", "plant-other"),
    "food": (
        "food-fruit",
        "food-vegetable",
        "food-prepared",
        "food-asian",
        "food-marine",
        "food-sweet",
    ),
    "drinks": ("drink",),
    "dishware": ("dishware",),
    "clocks": ("clock-face",),
    "timepieces": ("time",),
    "sky": ("sky & weather",),
    "landscapes": ("place-map", "place-geographic", "place-other", "hotel"),
    "buildings": ("place-building", "place-religious"),
    "vehicles": ("transport-ground", "transport-water", "transport-air"),
    "clothing": ("clothing",),
    "music": ("sound", "music", "musical-instrument"),
    "technology": ("phone", "computer", "light & video"),
    "books": ("book-paper", "writing"),
    "office": ("office", "mail", "money"),
    "tools": ("tool", "lock"),
    "science": ("science", "medical"),
    "household": ("household", "other-object"),
    "celebrations": ("event", "award-medal"),
    "sports": ("sport",),
    "games": ("game", "arts & crafts"),
    "faces": (
        "face-smiling",
        "face-affection",
        "face-tongue",
        "face-hand",
        "face-neutral-skeptical",
        "face-sleepy",
        "face-unwell",
        "face-hat",
        "face-glasses",
        "face-concerned",
        "face-negative",
        "face-costume",
        "cat-face",
        "monkey-face",
    ),
    "hearts": ("heart",),
    "emotions": ("emotion",),
    "hands": ("hand-fingers-open", "hand-single-finger", "hand-fingers-closed"),
    "hand-signs": ("hand-fingers-partial", "hands", "hand-prop"),
    "body-parts": ("body-parts",),
    "people": ("person",),
    "gestures": ("person-gesture",),
    "jobs": ("person-role",),
    "fantasy": ("person-fantasy",),
    "motion": ("person-activity", "person-resting"),
    "athletes": ("person-sport",),
    "families": ("family", "person-symbol"),
}
"""Unicode's subgroups by the wiki's category; ``clock-face`` is taken out of ``time`` here."""

SKIN_TONES: Mapping[str, str] = {
    "1F3FB": "Light Skin Tone",
    "1F3FC": "Medium-Light Skin Tone",
    "1F3FD": "Medium Skin Tone",
    "1F3FE": "Medium-Dark Skin Tone",
    "1F3FF": "Dark Skin Tone",
}

_SPOKEN: Mapping[str, str] = {
    "BLACK NIB": "Fountain Pen Nib",
    "BLACK SCISSORS": "Scissors",
    "BLACK SUN WITH RAYS": "Sun",
    "BLACK TELEPHONE": "Telephone",
    "COOKING": "Fried Egg in a Pan",
    "HEAVY BLACK HEART": "Red Heart",
    "HOCHO": "Kitchen Knife",
    "MOYAI": "Moai",
    "STEAMING BOWL": "Steaming Bowl of Noodles",
    "WHITE MEDIUM STAR": "Star",
    "WHITE SMILING FACE": "Smiling Face",
}
_NOISE = re.compile(
    r"^(?:WHITE|BLACK) (?=(?:LEFT|RIGHT|UP|DOWN) POINTING|(?:SPADE|HEART|DIAMOND|CLUB) SUIT)"
    r"|(?:(?<=HAND)|(?<=HANDS)|(?<=THUMBS UP)|(?<=THUMBS DOWN)) SIGN$"
    r"|(?<=.) SYMBOL$"
)
_SMALL = frozenset(
    ("a", "and", "at", "behind", "for", "in", "of", "on", "or", "over", "the", "to", "with")
)
_LARGE = frozenset(("ok", "dvd", "dna"))


def readable_name(name: str) -> str:
    """Return a Unicode name in title case, without what Unicode alone has a use for.

    Args:
        name: As in ``CLOCK FACE TWELVE OCLOCK`` or ``WHITE LEFT POINTING BACKHAND INDEX``.
    """
    if name in _SPOKEN:
        return _SPOKEN[name]
    words = _NOISE.sub("", name).lower().replace("oclock", "o'clock").split()
    return " ".join(_cased(word, first=place == 0) for place, word in enumerate(words))


def slugged(text: str) -> str:
    """Return text as a part of a URL: lower-case words joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower().replace("'", "")).strip("-")


def _cased(word: str, *, first: bool) -> str:
    if word in _LARGE:
        return word.upper()
    if word in _SMALL and not first:
        return word
    return "-".join(part[:1].upper() + part[1:] for part in word.split("-"))
