import struct

import pytest
from PIL import Image

from styledag.images.containers.exif import exif_orientation, xmp_orientation
from styledag_tests.images.containers.files import exif, turned


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_what_pillow_reads(order: str, orientation: int) -> None:
    content = exif(turned(orientation, order), order=order)
    pillow = Image.Exif()
    pillow.load(content)
    assert exif_orientation(content) == pillow[0x0112] == orientation


@pytest.mark.parametrize("prefix", [b"", b"Exif\x00\x00", b"Exif\x00\x00Exif\x00\x00", b"\x00"])
def test_prefixes_change_nothing(prefix: bytes) -> None:
    assert exif_orientation(prefix + exif(turned(6))) == 6


@pytest.mark.parametrize(
    "odd",
    [
        (0x010F, 2, 0xFFFFFFFF, b"\xff\xff\xff\xff"),
        (0x8769, 4, 1, b"\xff\xff\xff\xff"),
        (0x9999, 99, 7, b"\x00\x00\x00\x00"),
        (0x0000, 0, 0, b"\x00\x00\x00\x00"),
    ],
)
def test_an_odd_entry_costs_itself_alone(odd: tuple[int, int, int, bytes]) -> None:
    assert exif_orientation(exif(odd, turned(8))) == 8


@pytest.mark.parametrize("value", [0, 9, 300, 65535])
def test_a_value_beyond_the_eight_is_none(value: int) -> None:
    assert exif_orientation(exif(turned(value))) == 0


def test_a_long_in_place_of_a_short_is_read() -> None:
    assert exif_orientation(exif((0x0112, 4, 1, struct.pack(">L", 3)))) == 3


def test_what_is_cut_off_or_no_exif_has_none() -> None:
    content = exif(turned(6))
    for end in range(20):
        assert exif_orientation(content[:end]) == 0
    assert exif_orientation(b"") == 0
    assert exif_orientation(b"no EXIF at all") == 0


@pytest.mark.parametrize(
    ("xmp", "expected"),
    [
        (b"<rdf:Description tiff:Orientation='6'/>", 6),
        (b'<x tiff:Orientation = "3">', 3),
        (b"<tiff:Orientation>8</tiff:Orientation>", 8),
        (b"<tiff:Orientation>12</tiff:Orientation>", 0),
        (b"", 0),
    ],
)
def test_xmp_states_it_as_attribute_or_element(xmp: bytes, expected: int) -> None:
    assert xmp_orientation(xmp) == expected
