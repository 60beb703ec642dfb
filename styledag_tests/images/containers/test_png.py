import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from styledag_tests.images.containers.files import (
    BACKGROUND,
    BLUE,
    GREEN,
    RED,
    chunk,
    colours,
    corner,
    decode,
    exif,
    png_with,
    refusal_of,
    turned,
)
from styledag_tests.images.images import plain, saved

ZEROS = bytes(2 << 20)

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(
    ("name", "data", "notes"),
    [
        (b"zTXt", b"workflow\x00\x00" + zlib.compress(ZEROS), ()),
        (b"iTXt", b"workflow\x00\x01\x00\x00\x00" + zlib.compress(ZEROS), ()),
        (b"tEXt", b"prompt\x00" + b"x" * (1 << 20), ()),
        (b"iTXt", b"no separators", ()),
        (b"zTXt", b"key\x00\x00not zlib", ()),
        (b"iCCP", b"p\x00\x00" + zlib.compress(bytes(20 << 20)), ("icc_ignored", "icc_damaged")),
        (b"iCCP", b"p\x00\x00not zlib", ("icc_ignored", "icc_damaged")),
        (b"iCCP", b"", ("icc_ignored", "icc_damaged")),
        (b"pHYs", b"\x00", ()),
        (b"gAMA", b"", ()),
        (b"cHRM", b"\x01", ()),
        (b"sRGB", b"", ()),
        (b"eXIf", b"\xff" * 50, ()),
        (b"tIME", b"\xff" * 9, ()),
        (b"vpAg", b"", ()),
        (b"abCd", b"\x00" * 70_000, ()),
    ],
)
def test_an_odd_ancillary_chunk_costs_itself_alone(
    name: bytes, data: bytes, notes: tuple[str, ...]
) -> None:
    image = decode(png_with(chunk(name, data)))
    assert colours(image.image) == colours(corner())
    assert image.notes == notes


@pytest.mark.parametrize("name", [b"pHYs", b"tEXt", b"iCCP", b"eXIf", b"tRNS", b"acTL"])
def test_an_ancillary_chunk_with_a_wrong_checksum_is_left_out_and_noted(name: bytes) -> None:
    image = decode(png_with(chunk(name, exif(turned(6)), crc=1)))
    assert image.image.size == corner().size
    assert image.image.getpixel((0, 0)) == RED
    assert image.notes == ("metadata_damaged",)


def test_a_large_profile_that_is_sound_is_applied() -> None:
    from styledag_tests.images.converting.test_decode import p3_profile

    profile = p3_profile()
    padded = struct.pack(">L", len(profile) + len(ZEROS)) + profile[4:] + ZEROS
    packed = b"large\x00\x00" + zlib.compress(padded)
    image = decode(png_with(chunk(b"iCCP", packed), image=plain(RED)))
    assert image.image.getpixel((3, 3)) == pytest.approx(GREEN, abs=2)


@pytest.mark.parametrize("name", [b"IHDR", b"IDAT"])
def test_a_damaged_critical_chunk_is_the_images_own(name: bytes) -> None:
    content = bytearray(saved(corner()))
    content[content.index(name) + 6] ^= 0xFF
    assert refusal_of(bytes(content)) == "damaged"


def test_only_the_pixels_have_to_be_whole() -> None:
    content = saved(corner())
    end = content.index(b"IEND") - 4
    assert decode(content[:end]).image.getpixel((0, 0)) == RED
    cut_text = content[:end] + struct.pack(">L", 500) + b"tEXtcomment"
    assert decode(cut_text).image.getpixel((0, 0)) == RED
    assert refusal_of(content[: end - 14]) == "damaged"


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
def test_the_orientation_is_applied_among_broken_entries(before: bytes) -> None:
    odd = (0x8825, 4, 1, b"\xff\xff\xff\xff"), (0x010F, 2, 0xFFFFFFFF, bytes(4))
    content = png_with(chunk(b"eXIf", exif(*odd, turned(3))), before=before)
    image = decode(content).image
    assert image.getpixel((5, 3)) == RED


def test_xmp_turns_an_image_without_exif() -> None:
    packet = b"XML:com.adobe.xmp\x00\x00\x00\x00\x00<x tiff:Orientation='3'/>"
    assert decode(png_with(chunk(b"iTXt", packet))).image.getpixel((5, 3)) == RED
    both = png_with(chunk(b"iTXt", packet), chunk(b"eXIf", exif(turned(1))))
    assert decode(both).image.getpixel((0, 0)) == RED


def frame_control(number: int, size: tuple[int, int], offset: tuple[int, int] = (0, 0)) -> bytes:
    return chunk(b"fcTL", struct.pack(">LLLLLHHBB", number, *size, *offset, 1, 10, 0, 0))


def frame_data(number: int, image: Image.Image) -> bytes:
    width = image.width * len(image.getbands())
    rows = image.tobytes()
    filtered = b"".join(b"\x00" + rows[at : at + width] for at in range(0, len(rows), width))
    return chunk(b"fdAT", struct.pack(">L", number) + zlib.compress(filtered))


def animation(frames: int) -> bytes:
    return chunk(b"acTL", struct.pack(">LL", frames, 0))


def test_a_default_image_outside_the_animation_is_not_shown() -> None:
    small = plain(GREEN, (2, 3))
    content = png_with(animation(1))
    end = content.index(b"IEND") - 4
    moved = frame_control(0, (2, 3), (4, 1)) + frame_data(1, small)
    image = decode(content[:end] + moved + content[end:])
    expected = Image.new("RGB", (6, 4), BACKGROUND)
    expected.paste(small, (4, 1))
    assert colours(image.image) == colours(expected)
    assert image.frames == 1


def test_a_default_image_inside_the_animation_is_the_first_frame() -> None:
    content = png_with(animation(2), frame_control(0, (6, 4)))
    end = content.index(b"IEND") - 4
    second = frame_control(1, (6, 4)) + frame_data(2, plain(GREEN, (6, 4)))
    image = decode(content[:end] + second + content[end:])
    assert colours(image.image) == colours(corner())
    assert image.frames == 2


@pytest.mark.parametrize("offset", [(5, 0), (0, 2), (2**31, 0)])
def test_a_first_frame_beyond_the_canvas_leaves_the_default_image(offset: tuple[int, int]) -> None:
    content = png_with(animation(1))
    end = content.index(b"IEND") - 4
    moved = frame_control(0, (2, 3), offset) + frame_data(1, plain(GREEN, (2, 3)))
    image = decode(content[:end] + moved + content[end:])
    assert image.image.getpixel((0, 0)) == RED
    assert image.notes == ("animation_ignored",)


def test_a_frame_of_a_palette_keeps_palette_and_transparency() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    content = saved(image, transparency=0)
    at, end = content.index(b"IDAT") - 4, content.index(b"IEND") - 4
    rows = frame_control(0, (2, 1)) + chunk(b"fdAT", bytes(4) + zlib.compress(b"\x00\x40"))
    found = decode(content[:at] + animation(1) + content[at:end] + rows + content[end:]).image
    assert (found.getpixel((0, 0)), found.getpixel((1, 0))) == (BACKGROUND, BLUE)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_grey_of_every_depth_has_its_whole_range(depth: int) -> None:
    most = (1 << depth) - 1
    values = np.array([0, most // 2, most])
    bits = "".join(f"{value:0{depth}b}" for value in values)
    row = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    from styledag_tests.images.images import png

    found = decode(png(3, 1, depth, 0, b"\x00" + row)).image
    expected = [round(int(value) * 255 / most) for value in values]
    assert [found.getpixel((x, 0))[0] for x in range(3)] == expected


def gamma_of(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">L", round(value * 100_000)))


@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
@pytest.mark.parametrize(
    ("gamma", "level", "expected"),
    [
        # By hand: (128 / 255) ** 1.8 = 0.2891 of the light, which sRGB states as 0.5744.
        (1 / 1.8, 128, 146),
        (1.0, 128, 188),
        (1.0, 0, 0),
        (0.3, 255, 255),
        (1 / 2.2, 128, 128),
    ],
)
def test_an_exponent_other_than_srgbs_is_undone(
    mode: str, gamma: float, level: int, expected: int
) -> None:
    image = Image.new("RGB", (2, 2), (level,) * 3)
    image = image.quantize(2) if mode == "P" else image.convert(mode)
    decoded = decode(png_with(gamma_of(gamma), image=image))
    assert set(colours(decoded.image)) == {(expected,) * 3}
    assert ("gamma_applied" in decoded.notes) == (gamma != 1 / 2.2)


@pytest.mark.parametrize(
    "chunks",
    [
        (gamma_of(1.0), chunk(b"sRGB", b"\x00")),
        (chunk(b"cICP", bytes((1, 13, 0, 1))), gamma_of(1.0)),
        (gamma_of(1.0), chunk(b"iCCP", b"x\x00\x00" + zlib.compress(SRGB))),
        (gamma_of(0),),
        (gamma_of(40_000),),
        (chunk(b"gAMA", b"\x00\x01"),),
        (chunk(b"gAMA", struct.pack(">L", 100_000), crc=1),),
    ],
)
def test_an_exponent_beside_a_stated_space_or_beyond_sense_changes_nothing(
    chunks: tuple[bytes, ...],
) -> None:
    image = Image.new("RGB", (2, 2), (128, 64, 32))
    assert set(colours(decode(png_with(*chunks, image=image)).image)) == {(128, 64, 32)}
