import io
import struct
import threading
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from styledag.errors import ImageError
from styledag.images.converting.decode import DecodedImage, decode_image
from styledag_tests.images.images import noisy, plain, png, saved

PINK = (255, 0, 200)
RED = (255, 0, 0)
WHITE = (255, 255, 255)


def decode(content: bytes, max_pixels: int = 1_000_000) -> DecodedImage:
    return decode_image(content, background="#ff00c8", max_pixels=max_pixels)


def pixel(content: bytes, x: int = 0, y: int = 0) -> tuple[int, ...]:
    return decode(content).image.getpixel((x, y))


def refused(content: bytes, max_pixels: int = 1_000_000) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(content, max_pixels)
    return caught.value


@pytest.mark.parametrize("format_name", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_lossless_formats_keep_their_pixels(format_name: str) -> None:
    options = {"lossless": True} if format_name == "WEBP" else {}
    image = decode(saved(plain((200, 30, 90), (30, 20)), format_name, **options))
    assert (image.format, image.frames, image.notes) == (format_name, 1, ())
    assert image.image.mode == "RGB"
    assert image.image.size == (30, 20)
    assert image.image.getpixel((7, 7)) == (200, 30, 90)


@pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")
def test_avif_is_opened() -> None:
    assert decode(saved(plain(RED), "AVIF")).format == "AVIF"


@pytest.mark.parametrize(
    ("value", "expected"), [(0, 0), (256, 1), (257, 1), (32896, 128), (65535, 255)]
)
def test_sixteen_bit_grey_is_scaled_and_not_clipped(value: int, expected: int) -> None:
    image = Image.fromarray(np.full((5, 5), value, np.uint16))
    for format_name in ("PNG", "TIFF"):
        assert pixel(saved(image, format_name)) == (expected,) * 3


def test_sixteen_bit_colour_keeps_its_brightness() -> None:
    rows = (b"\x00" + struct.pack(">3H", 65535, 32896, 0) * 2) * 2
    assert pixel(png(2, 2, 16, 2, rows)) == (255, 128, 0)


def test_cmyk_without_a_profile_is_the_complement_and_noted() -> None:
    image = decode(saved(plain((0, 255, 255, 0), mode="CMYK"), "TIFF"))
    assert image.image.getpixel((3, 3)) == RED
    assert image.notes == ("cmyk_without_profile",)


def test_cmyk_jpeg_is_not_inverted() -> None:
    red, green, blue = pixel(saved(plain((0, 255, 255, 0), mode="CMYK"), "JPEG", quality=95))
    assert red > 250
    assert green < 5
    assert blue < 5


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_lets_the_background_through(mode: str) -> None:
    clear, solid, half = ((*(0,) * (len(mode) - 1), alpha) for alpha in (0, 255, 128))
    assert pixel(saved(plain(clear, mode=mode))) == PINK
    assert pixel(saved(plain(solid, mode=mode))) == (0, 0, 0)
    assert pixel(saved(plain(half, mode=mode))) == pytest.approx((127, 0, 100), abs=1)


def test_palette_with_an_alpha_for_each_colour() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    for x in range(3):
        image.putpixel((x, 0), x)
    content = saved(image, transparency=bytes([255, 128, 0]))
    assert pixel(content, 0) == RED
    assert pixel(content, 1) == pytest.approx((127, 128, 100), abs=1)
    assert pixel(content, 2) == PINK


def test_palette_with_one_clear_colour() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    for format_name in ("PNG", "GIF"):
        content = saved(image, format_name, transparency=1)
        assert (pixel(content, 0), pixel(content, 1)) == (RED, PINK)


def test_key_colour_of_rgb() -> None:
    image = plain(RED, (2, 1))
    image.putpixel((1, 0), (1, 2, 3))
    content = saved(image, transparency=(1, 2, 3))
    assert (pixel(content, 0), pixel(content, 1)) == (RED, PINK)


def test_key_colour_of_sixteen_bit_rgb() -> None:
    rows = b"\x00" + struct.pack(">6H", 0x1234, 0x5678, 0x9ABC, 65535, 0, 0)
    content = png(2, 1, 16, 2, rows, (b"tRNS", struct.pack(">3H", 0x1234, 0x5678, 0x9ABC)))
    assert (pixel(content, 0), pixel(content, 1)) == (PINK, RED)


@pytest.mark.parametrize(
    ("depth", "key", "rows"),
    [
        (1, 1, b"\x00\x40"),
        (2, 2, b"\x00\x20"),
        (4, 9, b"\x00\x09"),
        (8, 77, b"\x00\x00\x4d"),
        (16, 0x0102, b"\x00\x00\x00\x01\x02"),
    ],
)
def test_key_colour_of_grey_in_every_depth(depth: int, key: int, rows: bytes) -> None:
    content = png(2, 1, depth, 0, rows, (b"tRNS", struct.pack(">H", key)))
    assert (pixel(content, 0), pixel(content, 1)) == ((0, 0, 0), PINK)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_turns_the_image_upright(orientation: int, format_name: str) -> None:
    upright = Image.new("RGB", (48, 32), WHITE)
    upright.paste((0, 0, 0), (0, 0, 16, 16))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode(saved(stored, format_name, exif=exif)).image
    assert image.size == (48, 32)
    assert max(image.getpixel((4, 4))) < 20
    assert min(image.getpixel((40, 28))) > 235


def test_damaged_exif_leaves_the_pixels_alone() -> None:
    content = saved(plain(RED), "PNG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert pixel(content) == RED


@pytest.mark.parametrize("format_name", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_kept_and_the_frames_are_counted(
    format_name: str,
) -> None:
    frames = [plain(colour) for colour in (RED, (0, 255, 0), (0, 0, 255))]
    options = {"lossless": True} if format_name == "WEBP" else {}
    image = decode(
        saved(frames[0], format_name, save_all=True, append_images=frames[1:], **options)
    )
    assert image.frames == 3
    assert image.image.getpixel((5, 5)) == RED


def p3_profile() -> bytes:
    """A profile with primaries far from sRGB's, made by swapping red and green in sRGB's."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", content[128:132])[0]
    tags = [bytes(content[132 + 12 * i : 144 + 12 * i]) for i in range(count)]
    at = {tag[:4]: 132 + 12 * i for i, tag in enumerate(tags)}
    red, green = at[b"rXYZ"], at[b"gXYZ"]
    content[red + 4 : red + 12], content[green + 4 : green + 12] = (
        content[green + 4 : green + 12],
        content[red + 4 : red + 12],
    )
    return bytes(content)


def test_a_profile_of_the_same_space_is_applied() -> None:
    image = decode(saved(plain(RED), icc_profile=p3_profile()))
    assert image.image.getpixel((3, 3)) == pytest.approx((0, 255, 0), abs=2)
    assert image.notes == ()


def test_the_profile_survives_turning_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = saved(plain(RED), icc_profile=p3_profile(), exif=exif)
    assert pixel(content) == pytest.approx((0, 255, 0), abs=2)


def test_the_background_is_not_seen_through_the_profile() -> None:
    clear = plain((*RED, 0), mode="RGBA")
    assert pixel(saved(clear, icc_profile=p3_profile())) == PINK


def test_a_profile_of_another_space_is_ignored_and_noted() -> None:
    image = decode(saved(plain(70, mode="L"), icc_profile=p3_profile()))
    assert image.image.getpixel((3, 3)) == (70, 70, 70)
    assert image.notes == ("icc_ignored", "icc_for_rgb")


def test_a_damaged_profile_is_ignored_and_noted() -> None:
    image = decode(saved(plain(RED), icc_profile=b"no profile at all"))
    assert image.image.getpixel((3, 3)) == RED
    assert image.notes == ("icc_ignored", "icc_damaged")


def test_an_srgb_profile_changes_nothing_to_speak_of() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = noisy(1)
    found = np.asarray(decode(saved(image, icc_profile=profile)).image, dtype=int)
    assert np.abs(found - np.asarray(image, dtype=int)).max() <= 1


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_truncated_file_is_damaged(format_name: str) -> None:
    content = saved(noisy(2, (200, 200)), format_name)
    assert refused(content[: len(content) // 2]).reason == "damaged"


@pytest.mark.parametrize(
    ("content", "reason", "word"),
    [
        (b"", "empty", "bytes"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format", "SVG"),
        (b"<?xml version='1.0'?>\n<!-- a -->\n<svg/>", "unsupported_format", "SVG"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "not_an_image", "HTML"),
        (b"%PDF-1.7 ...", "unsupported_format", "PDF"),
        (b"8BPS\x00\x01", "unsupported_format", "PSD"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00", "unsupported_format", "HEIC"),
        (b"P6 1 1 255 abc", "not_an_image", "50362031"),
        (b"\x89PNG\r\n\x1a\n", "damaged", "PNG"),
    ],
)
def test_what_is_no_opened_image_is_refused_by_name(content: bytes, reason: str, word: str) -> None:
    error = refused(content)
    assert error.reason == reason
    assert word in error.detail


def test_pillows_other_parsers_stay_shut() -> None:
    for format_name in ("PPM", "TGA", "ICO", "PCX"):
        assert refused(saved(plain(RED), format_name)).reason in {
            "unsupported_format",
            "not_an_image",
        }


def test_floating_point_pixels_are_refused() -> None:
    image = Image.fromarray(np.zeros((4, 4), np.float32))
    assert refused(saved(image, "TIFF")).reason == "unsupported_mode"


@pytest.mark.parametrize("side", [101, 1000])
def test_too_many_pixels_are_refused_from_the_header(side: int) -> None:
    content = png(side, side, 8, 2, b"")
    error = refused(content, max_pixels=10_000)
    assert (error.reason, error.detail) == ("too_many_pixels", "has more than 10000 pixels")


def test_just_enough_pixels_are_decoded() -> None:
    assert decode(saved(plain(RED, (100, 100))), max_pixels=10_000).image.size == (100, 100)


def test_the_process_is_as_before() -> None:
    filters, limit = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    refused(png(1000, 1000, 8, 2, b""), max_pixels=10)
    decode(saved(plain(RED)))
    assert warnings.filters == filters
    assert limit == Image.MAX_IMAGE_PIXELS


def test_threads_keep_their_own_limits() -> None:
    content = saved(plain(RED, (200, 200)))
    wrong: list[str] = []

    def work(max_pixels: int) -> None:
        for _ in range(20):
            try:
                decode(content, max_pixels)
                allowed = True
            except ImageError:
                allowed = False
            if allowed != (max_pixels >= 40_000):
                wrong.append(str(max_pixels))

    threads = [threading.Thread(target=work, args=(n,)) for n in (10, 40_000, 100, 50_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_whatever_a_decoder_raises_is_an_image_error(format_name: str) -> None:
    if format_name == "AVIF" and not features.check("avif"):
        pytest.skip("Pillow was built without AVIF")
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {} if format_name in {"GIF", "BMP"} else {"icc_profile": p3_profile(), "exif": exif}
    content = saved(noisy(3, (24, 24)), format_name, **options)
    random = np.random.default_rng(0)
    outcomes, details = set(), []
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(int(random.integers(1, 6))):
            damaged[int(random.integers(0, len(damaged)))] = int(random.integers(0, 256))
        end = int(random.integers(len(damaged) // 3, len(damaged) + 1))
        try:
            outcomes.add(decode(bytes(damaged[:end])).image.mode)
        except ImageError as error:
            outcomes.add(error.reason)
            details.append(error.detail)
    assert "damaged" in outcomes
    assert not [detail for detail in details if "object at 0x" in detail]


def test_a_photographs_second_image_is_a_frame() -> None:
    file = io.BytesIO()
    plain(RED).save(file, "MPO", save_all=True, append_images=[plain(WHITE)])
    image = decode(file.getvalue())
    assert image.frames == 2
    assert image.image.getpixel((3, 3))[1] < 10


@pytest.mark.parametrize(
    ("alphas", "expected"),
    [((0, 0), [(200, 20, 10)] * 2), ((0, 255), [(255, 255, 255), (200, 20, 10)])],
)
def test_an_alpha_that_a_bmp_does_not_use_hides_nothing(
    alphas: tuple[int, int], expected: list[tuple[int, int, int]]
) -> None:
    pixels = b"".join(bytes((10, 20, 200, alpha)) for alpha in alphas)
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII4I", 124, 2, 1, 1, 32, 3, 8, 0, 0, 0, 0, *masks)
    header += bytes(124 - len(header))
    content = b"BM" + struct.pack("<IHHI", 138 + 8, 0, 0, 138) + header + pixels
    found = decode_image(content, background="#ffffff", max_pixels=100).image
    assert [found.getpixel((x, 0)) for x in range(2)] == expected


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("size", [(200, 200), (61, 35)])
def test_a_jpeg_whose_end_marker_alone_is_missing_is_whole(
    progressive: bool, size: tuple[int, int]
) -> None:
    file = io.BytesIO()
    noisy(3, size).save(file, "JPEG", progressive=progressive, quality=90)
    content = file.getvalue()
    whole = decode_image(content, background="#ffffff", max_pixels=10**6)
    found = decode_image(content[:-2], background="#ffffff", max_pixels=10**6)
    assert found.image.tobytes() == whole.image.tobytes()
    # Of a small one, the decoder itself has all pixels before it misses the marker.
    assert found.notes in ((), ("end_missing",))
    for cut in (8, 40, 400):
        assert refused(content[:-cut]).reason == "damaged"
