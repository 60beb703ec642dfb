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
