"""Openings as captioners are reported to write them; what says how an image was made stays."""

import pytest

from styledag.captions.cleaning.rules import clean_caption


@pytest.mark.parametrize(
    "opening",
    [
        # LLaVA, JoyCaption
        "The image features",
        "The image showcases",
        "The image prominently features",
        "The image appears to be",
        "The image is of",
        "The image you've provided shows",
        "The scene captures",
        "This photograph captures",
        "This is a photograph of",
        "Photograph of",
        "In the image,",
        "In the given image,",
        "The main subject of the image is",
        "You are looking at",
        # Florence-2 and Localized Narratives, which it has learnt from
        "In this image we can observe",
        "In this picture I can observe",
        "In this image, I can see",
        "This image consists of",
        "In this image",
        # Qwen-VL, InternVL
        "The image depicts",
        "This appears to be",
        "The central focus of the photograph is",
        "The image provides a view of",
        "Within this frame, we notice",
        "From this image, we can see",
        # GPT
        "Certainly! The image shows",
        "Sure, here's a caption: In this photo,",
        "I'd be happy to help! This image shows",
        "Based on the image provided, this is",
        "Based on the image, here is a description:",
        "Here\u2019s",
        "It looks like",
        "Pictured here is",
    ],
)
def test_what_says_only_that_there_is_an_image_goes(opening: str) -> None:
    assert clean_caption(f"{opening} a red fox on a hill.").text == "a red fox on a hill"


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("This image is a digital painting of a fox", "a digital painting of a fox"),
        ("The image shows an aerial view of a city", "an aerial view of a city"),
        ("The picture is a black and white photograph", "a black and white photograph"),
        ("The image provides a side view of a fox", "a side view of a fox"),
    ],
)
def test_what_says_how_an_image_was_made_stays(raw: str, cleaned: str) -> None:
    assert clean_caption(raw).text == cleaned


@pytest.mark.parametrize(
    "raw",
    [
        "this painting depicts a fox",
        "an illustration of a fox",
        "a shot of whiskey",
        "a scene of chaos",
        "in the picture frame is a cat",
        "in the foreground, a fox",
        "in this image of a forest, a fox",
        "a picture on the wall shows a fox",
        "a man is looking at an image of a fox",
        "the view from a window",
        "the photo was taken in a forest",
        "the frame contains a picture of a fox",
        "ok sign on a door",
    ],
)
def test_a_caption_that_begins_alike_stays(raw: str) -> None:
    assert clean_caption(raw).text == raw
