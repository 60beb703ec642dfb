"""What the starter can draw and name: subjects, their names, and how captions speak of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from tools.starter.drawings import Emoji

CATEGORIES = (
    "Animals & Nature",
    "Food & Drink",
    "Travel & Places",
    "Activities",
    "Objects",
)
STYLE_CATEGORIES = ("Animals & Nature", "Food & Drink")
"""What the demo's style is taught from; it is asked for on the others."""

FACES = (
    "ghost", "extraterrestrial alien", "alien monster", "pile of poo", "robot face", "clown face",
    "skull", "heavy black heart", "broken heart", "blue heart", "green heart", "purple heart",
    "kiss mark", "collision symbol", "grinning face", "smiling face with sunglasses",
    "smiling face with heart-shaped eyes", "loudly crying face", "pouting face", "thinking face",
    "face with party horn and party hat", "nauseated face", "smiling face with horns",
    "japanese ogre",
)  # fmt: skip
"""Subjects of ``Smileys & Emotion`` that are more than a yellow face like many others."""

_LEFT_OUT = (
    "clock face", "moon symbol", "moon with face", " suit", "banknote with yen",
    "banknote with euro",
    "banknote with pound", "speaker", "chart with", "mailbox with", "globe e", "globe as",
    "globe with", "envelope with", "incoming envelope", "cancellation stroke", "tray",
    "card index", "file folder", "page ", "bookmark tabs", "ledger", "link symbol", "linked",
    "mobile phone with", "left-pointing", "low battery", "musical note", "level slider",
    "control knobs", "placard", "identification card", "vertical traffic", "oncoming police",
    "oncoming taxi", "airplane departure", "airplane arriving", "silhouette", "tear-off", "memo",
    "smoking symbol", "sun behind large", "sun behind small", "umbrella on ground", "fog",
    "sunset over", "japanese post", "love hotel", "second place", "third place",
    "hourglass with", "timer clock", "womans clothes", "lock with ink", "closed lock with",
    "camera with flash", "videocassette", "minidisc", "dvd", "guide dog", "notebook with",
    "high-speed train with", "elevator", "broken chain", "hiking boot", "round pushpin",
    "moon viewing", "minibus", "sun behind rain", "octagonal sign", "mate drink",
    "clinking glasses",
    "metro", "light rail", "suspension railway", "mountain railway", "railway car",
    "department store", "bellhop", "reminder ribbon", "admission", "receipt", "bubbles",
    "roll of paper", "black joker", "flower playing", "mahjong", "splash", "microbe",
    "leaf fluttering", "snowman without", "without snow", "high voltage", "oden", "fish cake",
    "cloud with lightning and", "pager", "fax", "spiral notepad", "name badge",
)  # fmt: skip
"""Parts of names of what differs too little from another subject, or is more sign than thing."""

_NAMES: Mapping[str, str] = {
    "house building": "house", "red apple": "apple", "slice of pizza": "pizza",
    "automobile": "car", "black scissors": "scissors", "spiral shell": "shell",
    "european castle": "castle", "ear of maize": "corn", "hocho": "kitchen knife",
    "aubergine": "eggplant", "electric light bulb": "light bulb", "wrapped present": "gift",
    "extraterrestrial alien": "alien", "heavy black heart": "red heart", "racehorse": "horse",
    "collision symbol": "explosion", "black sun with rays": "sun", "white medium star": "star",
    "kiss mark": "lips", "steaming bowl": "bowl of noodles", "hot beverage": "cup of coffee",
    "teacup without handle": "cup of tea", "leafy green": "lettuce", "cooking": "fried egg",
    "dromedary camel": "camel", "bactrian camel": "two-hump camel", "direct hit": "dart board",
    "black telephone": "telephone", "right-pointing magnifying glass": "magnifying glass",
    "izakaya lantern": "red lantern", "electric torch": "flashlight", "optical disc": "disc",
    "personal computer": "laptop", "mans shoe": "shoe", "womans hat": "sun hat",
    "womans boots": "boot", "womans sandal": "sandal", "gem stone": "diamond",
    "banknote with dollar sign": "dollar bill", "cheering megaphone": "megaphone",
    "public address loudspeaker": "loudspeaker", "jigsaw puzzle piece": "puzzle piece",
    "shortcake": "cake", "soft ice cream": "ice cream cone", "lady beetle": "ladybug",
    "water wave": "wave", "game die": "dice", "fuel pump": "gas pump",
    "articulated lorry": "lorry", "delivery truck": "truck", "ribbon": "bow",
    "honeybee": "bee", "police cars revolving light": "siren", "billiards": "billiard ball",
    "shallow pan of food": "paella", "pot of food": "stew", "military medal": "medal",
    "bottle with popping cork": "champagne bottle", "canned food": "can of food",
    "performing arts": "theatre masks", "ringed planet": "planet", "sauropod": "dinosaur",
    "curry and rice": "curry", "telephone receiver": "receiver", "droplet": "water drop",
    "high-heeled shoe": "high heel shoe", "glowing star": "shining star",
    "meat on bone": "meat", "poultry leg": "chicken leg",
    "basketball and hoop": "basketball",
    "front-facing baby chick": "chick", "flag in hole": "golf flag", "lower left crayon": "crayon",
    "earth globe americas": "earth globe", "tennis racquet and ball": "tennis ball",
    "rescue workers helmet": "helmet",
    "snow-capped mountain": "snowy mountain",
    "ski and ski boot": "ski", "running shirt with sash": "running shirt",
}  # fmt: skip
"""Plainer names than Unicode's."""

_PLURAL = (
    "cherries", "grapes", "blueberries", "beans", "peanuts", "pancakes", "french fries", "jeans",
    "scissors", "glasses", "sunglasses", "socks", "gloves", "books", "chopsticks", "goggles",
    "maracas", "bricks", "chains", "shorts", "briefs", "lips", "houses", "eyeglasses", "tickets",
    "paw prints", "ballet shoes", "crossed swords", "sparkles", "fireworks", "prayer beads",
    "nesting dolls", "japanese dolls", "shopping bags", "theatre masks", "clinking beer mugs",
)  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """Something that can be drawn.

    Attributes:
        code: The code points that all artists' drawings share.
        name: The plain name.
        names: All names, the plain one first.
        category: Unicode's category.
        subcategory: Unicode's subcategory.
    """

    code: str
    name: str
    names: tuple[str, ...]
    category: str
    subcategory: str

    @property
    def head_nouns(self) -> frozenset[str]:
        """Words of which a caption has to hold one, to speak of the subject."""
        return frozenset(_head_noun(name) for name in self.names)


def choose_subjects(emoji: tuple[Emoji, ...]) -> tuple[Subject, ...]:
    """Return the subjects, of all emoji, in Unicode's order; each plain name once."""
    chosen: dict[str, Subject] = {}
    for row in emoji:
        if not _is_wanted(row):
            continue
        name = _NAMES.get(row.unicode_name, row.unicode_name)
        if name in chosen:
            name = row.unicode_name
        others = (row.unicode_name, *row.short_names)
        usable = (one for one in others if not any(letter.isdigit() for letter in one))
        chosen[name] = Subject(
            code=row.code,
            name=name,
            names=tuple(dict.fromkeys((name, *usable))),
            category=row.category,
            subcategory=row.subcategory,
        )
    taken = set(chosen)
    return tuple(_without_names_of_others(subject, taken) for subject in chosen.values())


def with_article(name: str) -> str:
    """Return a name with its indefinite article, if it takes one."""
    if name in _PLURAL or name.endswith(("noodles", "rice")):
        return name
    return f"an {name}" if name[0] in "aeiou" and not name.startswith("u") else f"a {name}"


def _is_wanted(row: Emoji) -> bool:
    if row.unicode_name in FACES:
        return True
    if row.category not in CATEGORIES or "⊛" in row.unicode_name:
        return False
    return not any(part in row.unicode_name for part in _LEFT_OUT)


def _without_names_of_others(subject: Subject, taken: set[str]) -> Subject:
    names = tuple(name for name in subject.names if name == subject.name or name not in taken)
    return Subject(subject.code, subject.name, names, subject.category, subject.subcategory)


def _head_noun(name: str) -> str:
    words = name.replace("-", " ").split()
    for preposition in ("of", "with", "on", "in", "over", "behind", "and"):
        if preposition in words[1:]:
            at = words.index(preposition)
            if preposition == "of" and words[0] in {"slice", "cup", "bowl", "pot", "can", "glass"}:
                return words[at + 1]
            words = words[:at]
    if len(words) > 1 and words[-1] in {"face", "symbol", "building", "sign"}:
        words = words[:-1]
    return words[-1]
