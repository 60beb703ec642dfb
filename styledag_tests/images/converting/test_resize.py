from typing import Any

import numpy as np
import pytest
from PIL import Image

from styledag.errors import ImageError
from styledag.images.converting.resize import cropped_px, to_bucket, to_square
from styledag_tests.images.images import noisy, plain

GREEN, BLUE = (0, 255, 0), (0, 0, 255)


def square(image: Image.Image, **changes: Any) -> Image.Image:
    options = {"size_px": 32, "mode": "pad", "upscale": True, "background": "#00ff00"}
    return to_square(image, **{**options, **changes})


def test_pad_shows_the_whole_image_in_the_middle() -> None:
    image = square(plain(BLUE, (64, 32)))
    assert image.size == (32, 32)
    assert [image.getpixel((5, y)) for y in (7, 8, 23, 24)] == [GREEN, BLUE, BLUE, GREEN]


def test_crop_fills_the_square_with_the_middle() -> None:
    image = plain(GREEN, (96, 32))
    image.paste(BLUE, (32, 0, 64, 32))
    cropped = square(image, mode="crop")
    assert {colour for _, colour in cropped.getcolors()} == {BLUE}


@pytest.mark.parametrize("mode", ["pad", "crop"])
def test_a_square_is_scaled_as_pillow_does(mode: str) -> None:
    image = noisy(1, (80, 80))
    expected = image.resize((32, 32), Image.Resampling.LANCZOS)
    assert np.array_equal(np.asarray(square(image, mode=mode)), np.asarray(expected))


@pytest.mark.parametrize("mode", ["pad", "crop"])
@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000), (33, 31)])
def test_any_shape_becomes_a_square(mode: str, size: tuple[int, int]) -> None:
    assert square(plain(BLUE, size), mode=mode).size == (32, 32)


def test_a_line_is_still_seen_when_padded() -> None:
    colours = {colour for _, colour in square(plain(BLUE, (20_000, 1))).getcolors()}
    assert colours == {GREEN, BLUE}


@pytest.mark.parametrize(
    ("mode", "size", "fits"),
    [
        ("pad", (32, 10), True),
        ("pad", (31, 31), False),
        ("crop", (32, 32), True),
        ("crop", (500, 31), False),
    ],
)
def test_without_upscale_no_image_is_enlarged(mode: str, size: tuple[int, int], fits: bool) -> None:
    if fits:
        assert square(plain(BLUE, size), mode=mode, upscale=False).size == (32, 32)
        return
    with pytest.raises(ImageError, match="below_size"):
        square(plain(BLUE, size), mode=mode, upscale=False)


def test_bucket_is_filled_with_the_middle_scaled_as_pillow_does() -> None:
    image = noisy(1, (120, 80))
    expected = image.crop((10, 0, 110, 80)).resize((40, 32), Image.Resampling.LANCZOS)
    found = np.asarray(to_bucket(image, (40, 32), upscale=True), dtype=int)
    assert found.shape == (32, 40, 3)
    # Pillow's filter may look beyond a box, but not beyond a cropped image.
    assert np.abs(found - np.asarray(expected, dtype=int))[:, 2:-2].max() <= 1


@pytest.mark.parametrize(
    ("image", "size", "cropped"),
    [
        ((120, 80), (40, 32), (4, 0)),  # 48 x 32 once scaled
        ((80, 120), (32, 32), (0, 8)),
        ((20, 10), (64, 64), (32, 0)),  # enlarged to 128 x 64
        ((64, 64), (64, 64), (0, 0)),
    ],
)
def test_what_a_crop_cuts_off_is_counted_once_the_image_is_scaled(
    image: tuple[int, int], size: tuple[int, int], cropped: tuple[int, int]
) -> None:
    assert cropped_px(image, size) == cropped


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000), (33, 31), (40, 32)])
def test_any_shape_becomes_a_bucket(size: tuple[int, int]) -> None:
    assert to_bucket(plain(BLUE, size), (40, 32), upscale=True).size == (40, 32)


@pytest.mark.parametrize(
    ("size", "fits"), [((40, 32), True), ((400, 31), False), ((39, 32), False), ((80, 33), True)]
)
def test_without_upscale_no_bucket_enlarges(size: tuple[int, int], fits: bool) -> None:
    if fits:
        assert to_bucket(plain(BLUE, size), (40, 32), upscale=False).size == (40, 32)
        return
    with pytest.raises(ImageError, match="40x32 without enlarging"):
        to_bucket(plain(BLUE, size), (40, 32), upscale=False)
