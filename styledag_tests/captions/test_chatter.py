"""What chat models say beside a caption is taken off, and a caption that sounds like it stays."""

import pytest

from styledag.captions.rules import clean_caption


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("Sure! Here is a short caption of the image: A red fox", "A red fox"),
        ("Here\u2019s a description:\n\nA red fox.", "A red fox"),
        ("Caption: A red fox", "A red fox"),
        ("## Description\nA **red** fox", "A red fox"),
        ("A red fox. Let me know if you need more!", "A red fox"),
        ('"A red fox."', "A red fox"),
        ("\u201cA red fox\u201d", "A red fox"),
        ("A red fox<|im_end|>", "A red fox"),
        ("<s> A red fox </s>", "A red fox"),
        ("The image features a red fox", "a red fox"),
        ("This picture captures a red fox", "a red fox"),
        ("The image is a drawing of a fox", "a drawing of a fox"),
        ("In this image, we can see a red fox", "a red fox"),
        ("In the picture there are foxes", "foxes"),
    ],
)
def test_what_stands_around_a_caption_goes(raw: str, cleaned: str) -> None:
    assert clean_caption(raw).text == cleaned


@pytest.mark.parametrize(
    "raw",
    [
        "I'm sorry, but I can't assist with that.",
        "I\u2019m unable to view images.",
        "Sorry, I cannot describe this image.",
        "I cannot help with that.",
        "As an AI, I see no images",
        "!!!!!!!!!!",
        "\u2026 \u2014",
    ],
)
def test_a_refusal_and_a_text_without_words_are_no_captions(raw: str) -> None:
    assert clean_caption(raw).text == ""


@pytest.mark.parametrize(
    "raw",
    [
        'a sign that says "open"',
        '"yes" and "no" on two doors',
        "a sorry man on a bench",
        "a caption under a picture",
        "the picture on the wall",
        "the image is blurred",
        "@__@, solo, 1girl",
        "a < b on a blackboard",
        "赤い狐",
        "\U0001f98a",
        "a photographer in this image",
    ],
)
def test_a_caption_that_sounds_like_it_stays(raw: str) -> None:
    assert clean_caption(raw).text == raw
