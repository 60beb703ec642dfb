import time

import pytest

from styledag.captions.rules import clean_caption, clean_text, strip_control


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


def test_ten_thousand_words_are_cleaned_at_once() -> None:
    words = " ".join(f"word{number % 977} on a" for number in range(10_000))
    start_s = time.perf_counter()
    clean_caption(words)
    clean_caption("hat on a " * 10_000)
    clean_caption("a" * 100_000)
    clean_caption("a picture of " * 10_000)
    assert time.perf_counter() - start_s < 5
