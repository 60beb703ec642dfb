import io
import re

import numpy as np
import pytest
from PIL import Image

from styledag_tests.images.containers.files import (
    corner,
    decode,
    exif,
    jpeg_with,
    refusal_of,
    segment,
    turned,
)
from styledag_tests.images.images import noisy, plain, saved

LONG = b"\x00" * 60_000


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(decode(content).image)


@pytest.mark.parametrize(
    ("marker", "data"),
    [
        (0xE1, b"Exif\x00\x00" + b"\xff" * 40),
        (0xE1, b"Exif\x00\x00MM\x00*\xff\xff\xff\xff"),
        (0xE1, b"Exif"),
        (0xE2, b"MPF\x00" + b"\xff" * 90),
        (0xE2, b"MPF\x00II*\x00\x08\x00\x00\x00"),
        (0xE2, b"FPXR\x00" + LONG),
        (0xEC, b"Ducky\x00\x01"),
        (0xED, b"Photoshop 3.0\x008BIM\x04\x04\xff\xff" + b"\xff" * 50),
        (0xED, b"Photoshop 3.0\x00"),
        (0xE0, b"JFIF\x00"),
        (0xE0, b"JFXX\x00\x10" + LONG),
        (0xEE, b"Adobe"),
        (0xFE, LONG),
        (0xFE, b"\xff\xd9\xff\xd8"),
    ],
)
def test_an_odd_segment_costs_itself_alone(marker: int, data: bytes) -> None:
    content = jpeg_with(segment(marker, data))
    assert np.array_equal(pixels(content), pixels(jpeg_with()))
    assert decode(content).notes == ()


@pytest.mark.parametrize(
    "segments",
    [
        [b"\x01\x02" + b"half"],
        [b"\x02\x02" + b"second alone"],
        [b"\x01\x01" + b"no profile"],
    ],
)
def test_a_profile_in_pieces_that_do_not_fit_is_ignored_and_noted(segments: list[bytes]) -> None:
    parts = [segment(0xE2, b"ICC_PROFILE\x00" + part) for part in segments]
    image = decode(jpeg_with(*parts))
    assert image.notes == ("icc_ignored", "icc_damaged")
    assert np.array_equal(np.asarray(image.image), pixels(jpeg_with()))


def test_a_profile_in_pieces_out_of_order_is_applied() -> None:
    from styledag_tests.images.converting.test_decode import p3_profile

    profile = p3_profile()
    half = len(profile) // 2
    second = segment(0xE2, b"ICC_PROFILE\x00\x02\x02" + profile[half:])
    first = segment(0xE2, b"ICC_PROFILE\x00\x01\x02" + profile[:half])
    image = decode(jpeg_with(second, first, image=plain((255, 0, 0))))
    assert image.image.getpixel((3, 3)) == pytest.approx((0, 255, 0), abs=4)


def test_bytes_between_the_segments_are_passed_over() -> None:
    content = jpeg_with(b"\x00\x01garbage", b"\xff\xff\xff")
    assert np.array_equal(pixels(content), pixels(jpeg_with()))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied_among_broken_entries(orientation: int) -> None:
    odd = (0x8769, 4, 1, b"\xff\xff\xff\xff"), (0x927C, 7, 0xFFFFFF, b"\xff\xff\xff\xff")
    content = jpeg_with(segment(0xE1, b"Exif\x00\x00" + exif(*odd, turned(orientation))))
    sound = Image.Exif()
    sound[0x0112] = orientation
    file = io.BytesIO(saved(corner((48, 32)), "JPEG", quality=95, subsampling=0, exif=sound))
    from PIL import ImageOps

    with Image.open(file) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(pixels(content), expected)


def test_xmp_turns_a_jpeg_without_exif() -> None:
    packet = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00<x tiff:Orientation='6'/>")
    assert decode(jpeg_with(packet)).size == (32, 48)


def test_twelve_bits_are_refused_by_name() -> None:
    content = bytearray(jpeg_with())
    content[content.index(b"\xff\xc0") + 4] = 12
    assert refusal_of(bytes(content)) == "unsupported_mode"


def test_rgb_without_colour_transform_stays_rgb() -> None:
    """Adobe's segment says that three components are RGB: it must not be taken for metadata."""
    ycc = saved(plain((200, 50, 100)).convert("YCbCr"), "JPEG", quality=100, subsampling=0)
    jfif_end = 2 + 2 + int.from_bytes(ycc[4:6], "big")
    adobe = segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x00")
    found = decode(ycc[:2] + adobe + ycc[jfif_end:]).image.getpixel((3, 3))
    assert found == pytest.approx(plain((200, 50, 100)).convert("YCbCr").getpixel((3, 3)), abs=3)


@pytest.mark.parametrize("options", [{"progressive": True}, {"optimize": True}, {"subsampling": 2}])
def test_every_way_of_coding_keeps_its_pixels(options: dict[str, bool]) -> None:
    content = saved(noisy(1), "JPEG", quality=95, **options)
    with Image.open(io.BytesIO(content)) as image:
        assert np.array_equal(pixels(content), np.asarray(image.convert("RGB")))


def test_a_smaller_decode_is_as_good_as_the_scale_asks_for() -> None:
    from styledag.images.converting.decode import decode_image

    exif_turned = segment(0xE1, b"Exif\x00\x00" + exif(turned(6)))
    content = jpeg_with(exif_turned, image=noisy(4, (800, 400)))
    asked: list[tuple[int, int]] = []

    def quarter(size: tuple[int, int]) -> float:
        asked.append(size)
        return 0.2

    image = decode_image(content, background="#ffffff", max_pixels=10**6, scale_of=quarter)
    assert asked == [(400, 800)]
    assert (image.size, image.image.size) == ((400, 800), (100, 200))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"subsampling": 2}])
def test_an_image_that_a_program_has_closed_too_early_is_damaged(
    mode: str, options: dict[str, bool]
) -> None:
    content = saved(noisy(1, (128, 128)).convert(mode), "JPEG", quality=95, **options)
    cut = content[: len(content) // 2] + b"\xff\xd9"
    assert refusal_of(cut) == "damaged"
    assert refusal_of(cut + content) == "damaged"
    at = content.index(b"\xff\xc0") + 5
    taller = content[:at] + (300).to_bytes(2, "big") + content[at + 2 :]
    assert refusal_of(taller) == "damaged"


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_an_image_may_end_in_grey(mode: str, options: dict[str, bool]) -> None:
    image = noisy(1, (128, 128)).convert(mode)
    image.paste(128 if mode == "L" else (128,) * 3, (0, 64, 128, 128))
    content = saved(image, "JPEG", quality=95, **options)
    assert decode(content).notes == decode(content + b"behind").notes == ()
    assert decode(content).image.getpixel((127, 127)) == (128,) * 3
    assert decode(content[:-2]).notes == ("end_missing",)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_progressive_image_that_ends_between_two_scans_is_damaged(mode: str) -> None:
    """What is there decodes without a fault, and lacks its fine detail."""
    content = saved(noisy(1, (64, 64)).convert(mode), "JPEG", quality=95, progressive=True)
    # No Huffman table that Pillow writes holds the bytes of a scan's marker.
    cuts = [found.start() for found in re.finditer(rb"\xff\xda", content)][1:]
    assert len(cuts) >= 5
    for cut in cuts:
        tables = content.rfind(b"\xff\xc4", 0, cut)
        assert refusal_of(content[:cut]) == refusal_of(content[:tables]) == "damaged"
    assert "end_missing" in decode(content[:-2]).notes
    assert np.array_equal(pixels(content[:-2]), pixels(content))
