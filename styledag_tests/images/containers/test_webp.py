import struct

import pytest
from PIL import Image

from styledag_tests.images.containers.files import (
    BACKGROUND,
    BLUE,
    GREEN,
    RED,
    colours,
    corner,
    decode,
    exif,
    turned,
)
from styledag_tests.images.images import plain, saved


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        name + struct.pack("<L", len(data)) + data + bytes(len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<L", len(body) + 4) + b"WEBP" + body


def sides(*values: int) -> bytes:
    return b"".join(value.to_bytes(3, "little") for value in values)


def bitstream(image: Image.Image) -> tuple[bytes, bytes]:
    content = saved(image, "WEBP", lossless=True, exact=True)
    return content[12:16], content[20 : 20 + int.from_bytes(content[16:20], "little")]


def extended(flags: int, size: tuple[int, int]) -> tuple[bytes, bytes]:
    return b"VP8X", bytes((flags, 0, 0, 0)) + sides(size[0] - 1, size[1] - 1)


@pytest.mark.parametrize(
    ("name", "data", "notes"),
    [
        (b"EXIF", b"\xff" * 40, ()),
        (b"EXIF", b"", ()),
        (b"XMP ", b"<broken" * 10_000, ()),
        (b"ICCP", b"no profile", ("icc_ignored", "icc_damaged")),
        (b"ABCD", bytes(70_000), ()),
    ],
)
def test_an_odd_chunk_costs_itself_alone(name: bytes, data: bytes, notes: tuple[str, ...]) -> None:
    image = decode(riff(extended(0x2C, (6, 4)), (name, data), bitstream(corner())))
    assert colours(image.image) == colours(corner())
    assert image.notes == notes


def test_the_orientation_is_applied_among_broken_entries() -> None:
    odd = (0x8769, 4, 1, b"\xff\xff\xff\xff")
    content = riff(extended(0x08, (6, 4)), bitstream(corner()), (b"EXIF", exif(odd, turned(3))))
    assert decode(content).image.getpixel((5, 3)) == RED


def frame(image: Image.Image, offset: tuple[int, int]) -> tuple[bytes, bytes]:
    name, data = bitstream(image)
    head = sides(offset[0] // 2, offset[1] // 2, image.width - 1, image.height - 1)
    chunk = name + struct.pack("<L", len(data)) + data + bytes(len(data) % 2)
    return b"ANMF", head + sides(100) + b"\x00" + chunk


def animated(size: tuple[int, int], *frames: tuple[bytes, bytes]) -> bytes:
    opaque_blue = b"\xff\x00\x00\xff" + bytes(2)
    return riff(extended(0x12, size), (b"ANIM", opaque_blue), *frames)


def test_uncovered_canvas_is_transparent_whatever_background_is_stated() -> None:
    small = plain(GREEN, (2, 2))
    image = decode(animated((8, 6), frame(small, (4, 2)), frame(plain(RED, (8, 6)), (0, 0))))
    expected = Image.new("RGB", (8, 6), BACKGROUND)
    expected.paste(small, (4, 2))
    assert colours(image.image) == colours(expected)
    assert image.frames == 2


def test_a_first_frame_with_alpha_shows_the_background_through() -> None:
    first = Image.new("RGBA", (8, 6), (*BLUE, 255))
    first.putpixel((0, 0), (*RED, 0))
    image = decode(animated((8, 6), frame(first, (0, 0)))).image
    assert (image.getpixel((0, 0)), image.getpixel((7, 5))) == (BACKGROUND, BLUE)


def test_lossy_with_alpha_keeps_both() -> None:
    first = Image.new("RGBA", (16, 16), (*BLUE, 255))
    first.paste((0, 0, 0, 0), (0, 0, 8, 16))
    content = saved(first, "WEBP", quality=95, icc_profile=b"no profile")
    image = decode(content).image
    assert image.getpixel((2, 8)) == BACKGROUND
    assert image.getpixel((13, 8)) == pytest.approx(BLUE, abs=12)
