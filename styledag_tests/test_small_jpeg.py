import io
import os

import pytest
from PIL import Image

from styledag.small_jpeg import thumbnail_jpeg


def noise(side_px: int) -> Image.Image:
    return Image.frombytes("RGB", (side_px, side_px), os.urandom(side_px * side_px * 3))


@pytest.mark.parametrize("max_bytes", [60_000, 8_000])
def test_a_thumbnail_keeps_to_its_bytes_whatever_the_image(max_bytes: int) -> None:
    content = thumbnail_jpeg(noise(900), max_bytes)
    assert len(content) <= max_bytes
    with Image.open(io.BytesIO(content)) as small:
        assert small.format == "JPEG"
        assert small.width == small.height < 900


def test_a_small_image_is_not_enlarged_and_transparency_is_white() -> None:
    with Image.open(io.BytesIO(thumbnail_jpeg(Image.new("RGBA", (40, 30), (0, 0, 0, 0))))) as small:
        assert small.size == (40, 30)
        assert small.getpixel((5, 5)) == (255, 255, 255)


def test_the_impossible_is_refused() -> None:
    with pytest.raises(ValueError, match="64 px does not fit into 200 bytes"):
        thumbnail_jpeg(noise(900), 200)
