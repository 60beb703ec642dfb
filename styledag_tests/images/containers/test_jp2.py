"""JPEG 2000 as archives have it: exact pixels, or a refusal that says why."""

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from styledag_tests.images.containers.files import decode, refusal_of
from styledag_tests.images.images import noisy, saved

pytestmark = pytest.mark.skipif(not features.check("jpg_2000"), reason="Pillow without OpenJPEG")
GREY, COLOUR = noisy(1, (48, 40)).convert("L"), noisy(1, (48, 40))


def jp2(image: Image.Image) -> bytes:
    return saved(image, "JPEG2000", irreversible=False)


def with_box(content: bytes, kind: bytes, data: bytes) -> bytes:
    """The file with a box of its header replaced, or added where there is none."""
    at = content.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", content, at)
    header, box = content[at + 8 : at + length], struct.pack(">I4s", len(data) + 8, kind) + data
    start = header.find(kind) - 4
    if start < 0:
        header += box
    else:
        (old,) = struct.unpack_from(">I", header, start)
        header = header[:start] + box + header[start + old :]
    return (
        content[:at]
        + struct.pack(">I4s", len(header) + 8, b"jp2h")
        + header
        + content[at + length :]
    )


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK"])
def test_it_shows_what_a_png_or_tiff_of_it_shows(mode: str) -> None:
    image = COLOUR.convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(GREY)
    found = decode(jp2(image))
    expected = decode(saved(image, "TIFF" if mode == "CMYK" else "PNG"))
    assert np.array_equal(np.asarray(found.image), np.asarray(expected.image))
    assert (found.size, found.notes, found.format) == (expected.size, expected.notes, "JPEG2000")


def test_sixteen_bits_of_grey_are_scaled() -> None:
    levels = np.linspace(0, 65_535, 48 * 40).reshape(40, 48).astype("uint16")
    image = Image.fromarray(levels)
    assert np.array_equal(
        np.asarray(decode(jp2(image)).image), np.asarray(decode(saved(image, "PNG")).image)
    )


def test_its_profile_is_applied() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    lab = with_box(jp2(COLOUR), b"colr", b"\x02\x00\x00" + profile)
    assert refusal_of(lab) == "unsupported_mode"
    # sRGB, with red and blue exchanged.
    swapped = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags: dict[bytes, int] = {}
    for at in range(132, 132 + 12 * swapped[131], 12):
        tags[bytes(swapped[at : at + 4])] = at
    red, blue = tags[b"rXYZ"] + 4, tags[b"bXYZ"] + 4
    swapped[red : red + 8], swapped[blue : blue + 8] = (
        swapped[blue : blue + 8],
        swapped[red : red + 8],
    )
    image = Image.new("RGB", (8, 8), (255, 0, 0))
    content = with_box(jp2(image), b"colr", b"\x02\x00\x00" + bytes(swapped))
    expected = decode(saved(image, "PNG", icc_profile=bytes(swapped)))
    assert decode(content).image.getpixel((0, 0)) == expected.image.getpixel((0, 0))
    assert decode(content).image.getpixel((0, 0))[2] > 250


def siz(content: bytes, at: int, value: int) -> bytes:
    """The file with another byte of the first channel's in its image's header."""
    start = content.index(b"\xff\x4f\xff\x51") + 4 + 38 + at
    return content[:start] + bytes([value]) + content[start + 1 :]


CDEF = struct.Struct(">H3H3H3H3H")


@pytest.mark.parametrize(
    "content",
    [
        siz(jp2(GREY), 0, 0x87),  # signed
        siz(jp2(GREY), 0, 3),  # 4 bits
        siz(jp2(COLOUR), 1, 2),  # subsampled
        with_box(jp2(GREY), b"pclr", b"\x00\x02\x01\x07\x00\xff"),
        with_box(jp2(COLOUR), b"colr", b"\x01\x00\x00" + struct.pack(">I", 18)),  # sYCC
        with_box(jp2(COLOUR), b"colr", b"\x01\x00\x00" + struct.pack(">I", 17)),
        with_box(jp2(COLOUR), b"cdef", struct.pack(">10H", 3, 0, 0, 3, 1, 0, 2, 2, 0, 1)),  # BGR
        with_box(
            jp2(COLOUR.convert("RGBA")),
            b"cdef",
            CDEF.pack(4, 0, 0, 1, 1, 0, 2, 2, 0, 3, 3, 2, 0),  # premultiplied
        ),
        jp2(COLOUR.convert("RGBA")).replace(b"cdef", b"free"),
    ],
)
def test_what_would_be_shown_otherwise_is_refused(content: bytes) -> None:
    assert refusal_of(content) == "unsupported_mode"


def test_one_that_is_cut_or_has_no_header_is_damaged() -> None:
    content = jp2(COLOUR)
    for share in (0.3, 0.6, 0.9):
        assert refusal_of(content[: int(len(content) * share)]) == "damaged"
    assert refusal_of(content[:20]) == "damaged"
    assert refusal_of(content.replace(b"jp2h", b"free")) == "damaged"
    smaller = struct.pack(">IIHBBBB", 8, 8, 3, 7, 7, 0, 0)
    assert refusal_of(with_box(content, b"ihdr", smaller)) == "damaged"


def test_a_bare_codestream_is_named() -> None:
    content = jp2(COLOUR)
    bare = content[content.index(b"\xff\x4f\xff\x51") :]
    assert refusal_of(bare) == "unsupported_format"
