import unicodedata

import pytest

from styledag.captions.cleaning.rules import clean_caption, clean_text, clean_title, strip_control


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("arafed image of a cat on a chair", "a cat on a chair"),
        ("there is a arafed dog in the grass", "a dog in the grass"),
        ("an arafed orange", "an orange"),
        ("a picture of a picture of a cat.", "a cat"),
        ("a close up of a bee on a flower", "a bee on a flower"),
        ("There are two cats", "two cats"),
        ("this is an image of the moon, the moon, the moon", "the moon"),
        ("a hat on top of a hat on top of a hat", "a hat"),
        ("a man and a woman and a man and a woman", "a man and a woman"),
        ("hat hat hat", "hat"),
        ("##s on a shelf", "s on a shelf"),
        ("a b a b a b a b c", "a b c"),
        ("there is a picture of", ""),
        ("a orange on an plate", "an orange on a plate"),
        ("un caf\u00e9 on a caf\u00e9 on a caf\u00e9", "un caf\u00e9"),
        ("", ""),
    ],
)
def test_degenerate_captions_are_cleaned(raw: str, cleaned: str) -> None:
    assert clean_caption(raw).text == cleaned


@pytest.mark.parametrize(
    "sound",
    [
        "a drawing of a cat",
        "a photo frame",
        "two men walking hand in hand",
        "a white dog and a white cat",
        "a view",
        "an owl on a branch with a mouse",
        "there's nothing like home",
    ],
)
def test_sound_captions_stay(sound: str) -> None:
    assert clean_caption(sound).text == sound
    assert clean_caption(sound).hits == ()


def test_hits_name_what_changed() -> None:
    assert clean_caption("there is a  hat on top of a hat.").hits == (
        "whitespace",
        "opening",
        "loop",
        "edges",
    )


def test_cleaning_twice_changes_nothing_more() -> None:
    for raw in ("arafed arafed image of there is a cat cat", "a picture of a a hat in a hat hat"):
        once = clean_caption(raw).text
        assert clean_caption(once).text == once


def test_invisible_signs_go_and_writing_stays() -> None:
    assert strip_control("a\x00b\x1b\u202ec\ufeff\u200b\ud800\ue000") == "abc"
    for text in ("שלום עולם", "مرحبا", "👨\u200d👩\u200d👧 family", "naïve 日本", "❤️"):
        assert clean_text(text).text == text
    assert clean_text(" one\r\n\ttwo\u2028three ").text == "one two three"


def test_a_persons_text_keeps_its_words_and_markup() -> None:
    text = "there is a <b>hat</b> hat {caption} | # [x](javascript:1)"
    assert clean_text(text).text == text


@pytest.mark.timeout(120)  # a pattern that backtracks would take hours
def test_ten_thousand_words_are_cleaned_at_once() -> None:
    words = " ".join(f"word{number % 977} on a" for number in range(10_000))
    assert clean_caption(words).text.startswith("word0 on a word1 on a")
    clean_caption("hat on a " * 10_000)
    assert clean_caption("a" * 100_000).text == "a" * 100_000
    clean_caption("a picture of " * 10_000)


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("File:Red_fox.png", "Red fox"),
        ("Datei:Roter Fuchs.SVG", "Roter Fuchs"),
        ("image: fox", "fox"),
        ("red_fox.jpeg", "red fox"),
        ("snake_case", "snake_case"),
        ("St. Basil", "St. Basil"),
        ("Tales: Volume One", "Tales: Volume One"),
        ("File:.png", "File:.png"),
        (".gif", ".gif"),
        ("grinning face", "grinning face"),
    ],
)
def test_a_title_loses_a_files_namespace_and_ending(raw: str, cleaned: str) -> None:
    assert clean_title(raw).text == cleaned
    assert clean_title(raw).hits == (("file_name",) if raw != cleaned else ())


def test_invisible_characters_are_those_of_the_written_table_alone() -> None:
    """Every character that Unicode 14 calls control, format, surrogate or private goes.

    Those of them that are seen (Arabic number signs), shape words or end lines are left; and
    nothing unassigned goes but what can never be assigned.
    """
    seen = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    for code in range(0x110000):
        letter = chr(code)
        category = unicodedata.category(letter)
        never = 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
        gone = f"a{strip_control(f'a{letter}b')[1:-1]}b" == "ab"
        if category in {"Cs", "Co"} or never:
            assert gone, hex(code)
        elif category in {"Cc", "Cf"} and not letter.isspace() and code not in seen:
            assert gone == (code not in (0x200C, 0x200D)), hex(code)
        elif category != "Cn":
            assert not gone, hex(code)
        elif not 0xE0000 <= code <= 0xE007F and not 0x2060 <= code <= 0x206F:
            assert not gone or 0x13430 <= code <= 0x1343F or code >= 0xFFF0, hex(code)


def test_joiners_stay_between_letters_alone() -> None:
    assert clean_text("\u200d").text == ""
    assert clean_text("a\u200d b").text == "a b"
    assert clean_text("\U0001f468\u200d\U0001f469").text == "\U0001f468\u200d\U0001f469"
