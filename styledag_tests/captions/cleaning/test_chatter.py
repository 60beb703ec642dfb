"""What chat models say beside a caption is taken off, and a caption that sounds like it stays."""

import pytest

from styledag.captions.cleaning.chatter import is_refusal
from styledag.captions.cleaning.rules import clean_caption


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
        "As a language model, I cannot see images.",
        "I apologize, but I cannot describe this image.",
        "My apologies, but I can't identify people.",
        "I must respectfully decline to describe this image.",
        "I don't feel comfortable describing this image.",
        "I'm not able to identify people in images.",
        "I'm an AI language model and can't see images.",
        "I can't directly view images.",
        "I won't be able to describe it.",
        "I don't see an image attached to your message.",
        "It looks like you haven't uploaded an image.",
        "There is no image attached.",
        "Please provide the image you would like me to describe.",
        "Unfortunately, the image cannot be displayed.",
        "This content may violate our usage policies.",
        "It is not appropriate for me to describe this.",
        "**I'm sorry**, I can't help.",
        "!!!!!!!!!!",
        "\u2026 \u2014",
    ],
)
def test_a_refusal_and_a_text_without_words_are_no_captions(raw: str) -> None:
    assert clean_caption(raw).text == ""


def test_a_refusal_is_known_as_one() -> None:
    assert is_refusal("Sure!\n**I'm sorry**, but I can't\nhelp.")
    assert not is_refusal("a sorry man")
    assert not is_refusal("")


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
        "I can't believe it's not butter",
        "no image available on a screen",
        "please wait here sign",
        "as an artist would draw it",
        "sure footed goats on a rock",
    ],
)
def test_a_caption_that_sounds_like_it_stays(raw: str) -> None:
    assert clean_caption(raw).text == raw
