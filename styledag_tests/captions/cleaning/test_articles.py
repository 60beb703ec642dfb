import pytest

from styledag.captions.cleaning.articles import article_for, fit_articles, joined

AN = """apple, egg, igloo, octopus, umbrella, uncle, hour, honest man, heir, heirloom, unimportant
thing, uninvited guest, urn, usher, utter mess, oven, x-ray, F, Oslo street, onion, onerous task,
unidentified flying object, upper deck, ice, undid knot"""
A = """fox, house, unicorn, unit, union, unique cat, universe, uniform, useful tool, user, European
city, ewe, one-eyed cat, once-read book, ukulele, UFO-free sky, u-turn, utility van, uranium rod,
university, yellow bird, hat, utensil, euro, united front, unity"""


@pytest.mark.parametrize("words", [each.strip() for each in AN.replace("\n", " ").split(",")])
def test_vowel_sounds(words: str) -> None:
    assert article_for(words) == "an"


@pytest.mark.parametrize("words", [each.strip() for each in A.replace("\n", " ").split(",")])
def test_consonant_sounds(words: str) -> None:
    assert article_for(words) == ("" if words.startswith("UFO") else "a")


@pytest.mark.parametrize("words", ["", "NASA rocket", "\u05e9\u05dc", "7 foxes", "\U0001f98a"])
def test_of_what_is_not_known_nothing_is_returned(words: str) -> None:
    assert article_for(words) == ""


@pytest.mark.parametrize(
    ("before", "words", "expected"),
    [
        ("a drawing of a ", "octopus", "a drawing of an octopus"),
        ("an ", "fox", "a fox"),
        ("An ", "fox", "A fox"),
        ("a drawing of a ", "the moon", "a drawing of the moon"),
        ("a drawing of a ", "an owl", "a drawing of an owl"),
        ("a ", "two cats", "two cats"),
        ("the ", "a cat", "a cat"),
        ("the ", "owl", "the owl"),
        ("a ", "another", "an another"),
        ("a ", "NASA rocket", "a NASA rocket"),
        ("banana ", "owl", "banana owl"),
        ("a red ", "owl", "a red owl"),
        ("a ", "", "a "),
        ("", "owl", "owl"),
    ],
)
def test_an_article_fits_the_words_behind_it(before: str, words: str, expected: str) -> None:
    assert joined(before, words) == expected


def test_every_article_of_a_text_is_fitted() -> None:
    assert fit_articles("a owl and an fox with A egg") == "an owl and a fox with An egg"
    assert fit_articles("a NASA rocket, vitamin a is") == "a NASA rocket, vitamin an is"


@pytest.mark.parametrize("words", ["\u0663 foxes", "\U0001fbf3 foxes", "\u017foup", "\u212aiwi"])
def test_only_english_letters_and_digits_count(words: str) -> None:
    """Whichever digits and cases a version of Python's Unicode tables knows."""
    assert article_for(words) == ""
    assert joined("a ", words) == f"a {words}"
