import io

import numpy as np
from PIL import Image, JpegImagePlugin

from styledag.images.encode import codec_versions, encode_jpeg
from styledag_tests.images.images import noisy


def test_the_same_pixels_give_the_same_bytes() -> None:
    assert encode_jpeg(noisy(1), quality=95) == encode_jpeg(noisy(1), quality=95)


def test_chroma_is_not_subsampled_and_pixels_stay_close() -> None:
    image = noisy(2)
    file = Image.open(io.BytesIO(encode_jpeg(image, quality=95)))
    assert JpegImagePlugin.get_sampling(file) == 0
    difference = np.asarray(file, dtype=int) - np.asarray(image, dtype=int)
    assert np.abs(difference).mean() < 2


def test_nothing_but_pixels_is_written() -> None:
    image = noisy(3)
    exif = Image.Exif()
    exif[0x010E] = "a secret"
    image.info.update(icc_profile=b"a secret", exif=exif.tobytes(), comment=b"a secret")
    content = encode_jpeg(image, quality=90)
    assert b"a secret" not in content
    assert content == encode_jpeg(noisy(3), quality=90)
    assert set(Image.open(io.BytesIO(content)).info) <= {
        "jfif",
        "jfif_version",
        "jfif_unit",
        "jfif_density",
    }


def test_a_lower_quality_gives_a_smaller_file() -> None:
    assert len(encode_jpeg(noisy(4), quality=60)) < len(encode_jpeg(noisy(4), quality=95))


def test_the_codecs_that_decide_the_bytes_are_named() -> None:
    assert {"pillow", "jpg"} <= set(codec_versions())
