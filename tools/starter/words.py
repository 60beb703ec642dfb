"""The words that the starter's vocabularies are made from: names of images, and how one asks."""

import unicodedata

EMOJI_RANGES = (
    (0x2600, 0x27BF),
    (0x1F300, 0x1F64F),
    (0x1F680, 0x1F6D7),
    (0x1F6DD, 0x1F6EC),
    (0x1F6F0, 0x1F6FC),
    (0x1F90C, 0x1F9FF),
    (0x1FA70, 0x1FA74),
    (0x1FA78, 0x1FA7C),
    (0x1FA80, 0x1FA86),
    (0x1FA90, 0x1FAAC),
    (0x1FAB0, 0x1FABA),
    (0x1FAC0, 0x1FAC5),
    (0x1FAD0, 0x1FAD9),
    (0x1FAE0, 0x1FAE7),
    (0x1FAF0, 0x1FAF6),
)
"""Code points, both ends included, that Unicode 14 has; names of assigned ones never change."""

PROMPT_PHRASES = (
    "a drawing of a",
    "a drawing of an",
    "a 3d render of a",
    "a 3d render of an",
    "a picture of the",
    "a photo of a",
    "a photograph of two",
    "an icon of a",
    "a sketch of a",
    "a painting of a",
    "a cartoon of a",
    "in the style of",
    "on a white background",
    "with and without",
    "next to a",
    "on top of a",
    "under the",
    "is sitting in front of",
    "standing wearing holding looking eating playing flying swimming running",
    "red orange yellow green blue purple violet pink brown black white grey gold silver",
    "small big large tiny old young happy sad cute funny bright dark round flat",
    "one two three four five six seven eight nine ten",
    "cat dog mouse horse cow pig sheep goat chicken duck owl eagle lion tiger bear panda fox wolf",
    "rabbit frog snake turtle fish shark whale dolphin octopus crab bee butterfly spider snail",
    "monkey gorilla elephant giraffe zebra camel kangaroo koala sloth otter penguin dinosaur",
    "apple banana pear peach cherry strawberry grape melon lemon orange pineapple mango coconut",
    "pizza burger sandwich bread cheese egg rice noodles soup salad cake cookie candy chocolate",
    "car bus truck train tram bicycle motorcycle airplane helicopter rocket ship boat sailboat",
    "house castle tower church school hospital factory bridge tent stadium temple",
    "hammer axe saw wrench screwdriver key lock scissors knife sword shield bell clock watch",
    "guitar violin piano trumpet drum ball bat racket trophy medal kite dice puzzle",
    "sun moon star cloud rain snow rainbow fire wave mountain volcano island desert forest",
    "tree palm cactus flower rose tulip sunflower leaf mushroom seedling",
    "man woman boy girl baby person people king queen robot alien ghost snowman wizard fairy",
)


def subject_names() -> tuple[str, ...]:
    """Return the Unicode names of the emoji ranges, in lower case and in order."""
    names = (
        unicodedata.name(chr(code), "")
        for first, last in EMOJI_RANGES
        for code in range(first, last + 1)
    )
    return tuple(name.lower().replace("-", " ") for name in names if name)


def corpus() -> tuple[str, ...]:
    """Return the lines that the vocabularies are trained on; the same on every machine."""
    return (*subject_names(), *PROMPT_PHRASES)
