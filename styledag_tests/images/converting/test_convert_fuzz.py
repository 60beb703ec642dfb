"""Whatever an image file holds: a JPEG or a reason."""

import io
import struct

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from styledag.images.converting.convert import convert_image
from styledag.images.settings import ImageSettings
from styledag_tests.images.images import noisy, saved

quickly = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
SETTINGS = ImageSettings(size_px=16, max_pixels=1 << 20)


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "words"
    return exif.tobytes()


_IMAGE = noisy(1, (24, 16))
FILES = (
    saved(_IMAGE),
    saved(_IMAGE.convert("P")),
    saved(_IMAGE, "JPEG", exif=_exif()),
    saved(_IMAGE, "JPEG", progressive=True),
    saved(_IMAGE, "TIFF"),
    saved(_IMAGE.convert("L"), "TIFF", compression="tiff_lzw"),
    saved(_IMAGE, "GIF", save_all=True, append_images=[noisy(2, (24, 16))]),
    saved(_IMAGE, "WEBP", exif=_exif()),
    saved(_IMAGE, "BMP"),
)
CHANGES = st.lists(
    st.tuples(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=4)), max_size=6
)


def converted(content: bytes) -> None:
    found = convert_image(content, SETTINGS)
    if not found.jpeg:
        assert found.record["reason"]
        assert found.record["detail"]
        return
    with Image.open(io.BytesIO(found.jpeg)) as image:
        image.load()
        assert (image.size, image.mode) == ((16, 16), "RGB")


@quickly
@given(st.sampled_from(FILES), CHANGES, st.integers(0, 1 << 16))
def test_any_damage_gives_an_image_or_a_reason(
    file: bytes, changes: list[tuple[int, bytes]], length: int
) -> None:
    content = bytearray(file)
    for at, replaced in changes:
        start = at % len(content)
        content[start : start + len(replaced)] = replaced
    converted(bytes(content[: 1 + length % (2 * len(content))]))


@quickly
@given(st.binary(max_size=400), st.booleans())
def test_any_exif_leaves_the_image(exif: bytes, little: bool) -> None:
    header = b"Exif\0\0" + (b"II*\0" if little else b"MM\0*")
    payload = header + struct.pack("<I" if little else ">I", 8) + exif
    jpeg = saved(_IMAGE, "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload
    found = convert_image(jpeg[:2] + segment + jpeg[2:], SETTINGS)
    assert found.jpeg
