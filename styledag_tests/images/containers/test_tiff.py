import struct

import numpy as np
import pytest

from styledag.errors import ImageError
from styledag_tests.images.containers.files import BACKGROUND, BLUE, RED, decode, tiff


def levels(content: bytes) -> list[int]:
    image = decode(content).image
    return [image.getpixel((x, 0))[0] for x in range(image.width)]


def packed(values: list[int], bits: int) -> bytes:
    """Values as a TIFF's row, the high bit first."""
    joined = "".join(f"{value:0{bits}b}" for value in values)
    size = -(-len(joined) // 8)
    return int(joined.ljust(size * 8, "0"), 2).to_bytes(size, "big")


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_has_its_whole_range_the_stated_way_round(bits: int, photometric: int) -> None:
    most = (1 << bits) - 1
    values = [0, most // 3, most]
    rows = packed(values, bits)
    if bits == 16:
        rows = struct.pack("<3H", *values)
    expected = [round(value * 255 / most) for value in values]
    if photometric == 0:
        expected = [255 - level for level in expected]
    assert levels(tiff(rows, (3, 1), (bits,), photometric)) == expected


def test_twelve_bits_reach_white() -> None:
    content = tiff(packed([0, 2048, 4095, 1000], 12), (4, 1), (12,), 1)
    assert levels(content) == [0, round(2048 / 4095 * 255), 255, round(1000 / 4095 * 255)]


@pytest.mark.parametrize(
    ("rows", "bits", "order", "expected"),
    [
        (packed([0, 2048, 4095], 12), (12,), "<", [255, 255 - round(2048 / 4095 * 255), 0]),
        (struct.pack(">3H", 0, 32896, 65535), (16,), ">", [255, 127, 0]),
    ],
)
def test_white_at_zero_is_read_where_pillow_opens_only_black_at_zero(
    rows: bytes, bits: tuple[int, ...], order: str, expected: list[int]
) -> None:
    assert levels(tiff(rows, (3, 1), bits, 0, order=order)) == expected


def test_thirty_two_unsigned_bits_reach_white() -> None:
    content = tiff(struct.pack("<3L", 0, 2**31, 2**32 - 1), (3, 1), (32,), 1)
    assert levels(content) == [0, 128, 255]


def test_big_endian_sixteen_bits() -> None:
    content = tiff(struct.pack(">2H", 0, 65535), (2, 1), (16,), 1, order=">")
    assert levels(content) == [0, 255]


@pytest.mark.parametrize(
    ("bits", "sample_format", "photometric"),
    [(8, 2, 1), (16, 2, 1), (32, 2, 1), (32, 3, 1), (32, 3, 0), (16, 3, 1), (64, 3, 1), (8, 4, 1)],
)
def test_samples_without_an_agreed_range_are_refused_by_name(
    bits: int, sample_format: int, photometric: int
) -> None:
    content = tiff(
        bytes(bits // 8 * 2), (2, 1), (bits,), photometric, sample_format=(sample_format,)
    )
    with pytest.raises(ImageError, match="no agreed range") as error:
        decode(content)
    assert error.value.reason == "unsupported_mode"


@pytest.mark.parametrize(
    ("bits", "photometric", "words"),
    [((16, 16), 0, "white-is-zero grey with 16[+]16"), ((32, 32, 32), 2, "RGB with 32[+]32[+]32")],
)
def test_what_no_decoder_opens_is_named(
    bits: tuple[int, ...], photometric: int, words: str
) -> None:
    with pytest.raises(ImageError, match=words) as error:
        decode(tiff(bytes(64), (2, 1), bits, photometric))
    assert error.value.reason == "unsupported_mode"


@pytest.mark.parametrize(("planar", "bits"), [(1, 8), (1, 16), (2, 8)])
def test_colour_lies_in_one_plane_or_three(planar: int, bits: int) -> None:
    values = np.array([[255, 0, 0], [0, 0, 255]]) * (257 if bits == 16 else 1)
    in_order = values if planar == 1 else values.T
    rows = np.ascontiguousarray(in_order).astype("<u2" if bits == 16 else "u1").tobytes()
    image = decode(tiff(rows, (2, 1), (bits,) * 3, 2, planar=(planar,))).image
    assert (image.getpixel((0, 0)), image.getpixel((1, 0))) == (RED, BLUE)


def test_planes_of_sixteen_bits_are_refused_by_name() -> None:
    with pytest.raises(ImageError, match="planes of 16 bits"):
        decode(tiff(bytes(12), (2, 1), (16,) * 3, 2, planar=(2,)))


def test_cmyk_is_the_complement() -> None:
    image = decode(tiff(bytes((0, 255, 255, 0)), (1, 1), (8,) * 4, 5))
    assert image.image.getpixel((0, 0)) == RED


@pytest.mark.parametrize("scale", [1, 257])
def test_a_palette_of_eight_or_sixteen_bits(scale: int) -> None:
    reds, greens, blues = [0] * 256, [0] * 256, [0] * 256
    reds[1], greens[1], blues[1] = (value * scale for value in (200, 100, 50))
    content = tiff(b"\x01", (1, 1), (8,), 3, colours=(*reds, *greens, *blues))
    assert decode(content).image.getpixel((0, 0)) == (200, 100, 50)


@pytest.mark.parametrize(("extra", "expected"), [(1, (127, 0, 100)), (2, (255, 0, 100)), (0, RED)])
def test_alpha_is_premultiplied_as_stated(extra: int, expected: tuple[int, ...]) -> None:
    """Half-covered red of 255: premultiplied it cannot be more than its alpha, so 128 stands."""
    red = 128 if extra == 1 else 255
    content = tiff(bytes((red, 0, 0, 128)), (1, 1), (8,) * 4, 2, extra=(extra,))
    background = np.array(BACKGROUND)
    found = decode(content).image.getpixel((0, 0))
    right = {
        0: np.array(RED),
        1: np.array((128, 0, 0)) + background * (127 / 255),
        2: np.array(RED) * (128 / 255) + background * (127 / 255),
    }[extra]
    assert found == pytest.approx(tuple(right), abs=1.5)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_orientation_tag_is_applied_once(orientation: int) -> None:
    rows = bytes((255, 0, 0)) + bytes((0, 0, 255)) * 5
    image = decode(tiff(rows, (3, 2), (8,) * 3, 2, turn=(orientation,)))
    at = {1: (0, 0), 3: (2, 1), 6: (1, 0), 8: (0, 2)}[orientation]
    assert image.image.getpixel(at) == RED
    assert image.size == image.image.size == ((3, 2) if orientation < 5 else (2, 3))


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_preview_of_a_cameras_raw_file_is_not_its_image(order: str) -> None:
    preview = tiff(bytes(12), (2, 2), (8, 8, 8), 2, order=order, subfile=(1,), below=(1_000,))
    with pytest.raises(ImageError, match="unsupported_format: is a camera's raw file"):
        decode(preview)
    for tags in ({"subfile": (1,)}, {"subfile": (0,), "below": (1_000,)}, {"below": (1_000,)}):
        assert decode(tiff(bytes(12), (2, 2), (8, 8, 8), 2, order=order, **tags)).size == (2, 2)
