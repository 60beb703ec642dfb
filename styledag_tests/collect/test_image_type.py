import io

import pytest
from PIL import Image

from styledag.collect.image_type import image_type


@pytest.mark.parametrize(
    "name", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "ICO", "JPEG2000"]
)
def test_what_pillow_writes_is_known_by_its_beginning(name: str) -> None:
    body = io.BytesIO()
    image = Image.new("RGB", (32, 32), "green")
    image.save(body, name)
    expected = Image.MIME[name]
    assert image_type(body.getvalue()).removeprefix("image/x-") in expected


@pytest.mark.parametrize(
    ("body", "declared", "expected"),
    [
        (b"<svg/>", "image/svg+xml; charset=utf-8", "image/svg+xml"),
        (b"\n<!DOCTYPE HTML>", "image/png", ""),
        (b"\xef\xbb\xbf<html>", "image/png", ""),
        (b'{"error": 1}', "image/png", ""),
        (b"", "image/png", ""),
        (b"hello", "text/plain", ""),
    ],
)
def test_the_declared_type_is_believed_unless_it_is_a_page(
    body: bytes, declared: str, expected: str
) -> None:
    assert image_type(body, declared) == expected


@pytest.mark.parametrize("text", [b"BMW M3, red", b"GIF89a is old\n", b"BM \xe2\x80\x93 \xc3\xa9"])
def test_a_text_that_begins_like_an_image_is_none(text: bytes) -> None:
    assert image_type(text) == ""


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\x00\x00\x00\x18ftypmsf1", "image/heif"),
        (b"\x00\x00\x00\x18ftyphevc", "image/heic"),
        (b"\x00\x00\x00\x18ftypheis", "image/heic"),
        (b"II+\x00\x08\x00\x00\x00", "image/tiff"),
        (b"MM\x00+\x00\x08\x00\x00", "image/tiff"),
    ],
)
def test_every_beginning_that_a_decoder_knows_is_an_image(head: bytes, expected: str) -> None:
    assert image_type(head + bytes(100)) == expected
