import struct

import pytest
from PIL import Image

from styledag_tests.images.containers.files import (
    BACKGROUND,
    BLUE,
    GREEN,
    RED,
    colours,
    decode,
    refusal_of,
)

TABLE = bytes((*RED, *GREEN, *BLUE, 0, 0, 0))
COMMENT = b"\x21\xfe\x03abc\x00"
CLEAR_GREEN = b"\x21\xf9\x04\x01\x00\x00\x01\x00"


def image_data(indices: list[int]) -> bytes:
    """Indices below 4 as LZW codes of 3 bits, each after a clear code."""
    bits, count = 0, 0
    for code in [code for index in indices for code in (4, index)] + [5]:
        bits |= code << count
        count += 3
    data = bits.to_bytes(-(-count // 8), "little")
    return bytes((2, len(data))) + data + b"\x00"


def descriptor(left: int, top: int, width: int, height: int) -> bytes:
    return b"\x2c" + struct.pack("<HHHHB", left, top, width, height, 0)


def gif(
    screen: tuple[int, int], *blocks: bytes, background: int = 2, trailer: bool = True
) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x81, background, 0)
    return head + TABLE + b"".join(blocks) + (b"\x3b" if trailer else b"")


def shown(content: bytes) -> list[tuple[int, ...]]:
    return colours(decode(content).image)


def expected(screen: tuple[int, int], colour: tuple[int, ...], box: tuple[int, ...]) -> list:
    image = Image.new("RGB", screen, BACKGROUND)
    image.paste(colour, box)
    return colours(image)


@pytest.mark.parametrize("background", [0, 1, 2, 200])
@pytest.mark.parametrize("control", [b"", CLEAR_GREEN, COMMENT])
def test_the_screen_around_the_first_image_is_transparent(background: int, control: bytes) -> None:
    first = descriptor(1, 2, 2, 1) + image_data([0, 0])
    content = gif((5, 4), control, first, background=background)
    assert shown(content) == expected((5, 4), RED, (1, 2, 3, 3))


def test_of_several_images_the_first_is_shown_and_all_are_counted() -> None:
    images = [descriptor(0, 0, 1, 1) + image_data([0]), descriptor(1, 0, 1, 1) + image_data([1])]
    content = gif((2, 1), *images)
    assert shown(content) == expected((2, 1), RED, (0, 0, 1, 1))
    assert decode(content).frames == 2


def test_an_image_larger_than_the_screen_enlarges_it() -> None:
    content = gif((1, 1), descriptor(1, 0, 2, 1) + image_data([0, 0]))
    assert shown(content) == expected((3, 1), RED, (1, 0, 3, 1))


def test_a_clear_colour_is_clear() -> None:
    content = gif((2, 1), CLEAR_GREEN, descriptor(0, 0, 2, 1) + image_data([1, 2]))
    assert shown(content) == [BACKGROUND, BLUE]


def test_damage_behind_the_first_image_does_it_no_harm() -> None:
    first = descriptor(0, 0, 1, 1) + image_data([0])
    for rest in (b"", b"\x2c\x00", b"\x00garbage", descriptor(0, 0, 1, 1) + b"\x02\xff\x00"):
        image = decode(gif((1, 1), first, rest, trailer=False))
        assert image.image.getpixel((0, 0)) == RED
        assert image.notes == ("frames_unknown",)


def test_a_screen_of_too_many_pixels_is_refused() -> None:
    assert refusal_of(gif((60_000, 60_000), descriptor(0, 0, 1, 1) + image_data([0]))) == (
        "too_many_pixels"
    )
