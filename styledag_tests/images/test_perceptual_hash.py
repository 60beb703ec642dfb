"""The hash is that of imagehash, with scipy only where rounding could decide a bit."""

import subprocess
import sys

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageDraw

from styledag.images.perceptual_hash import perceptual_hash


def test_hashes_are_those_of_imagehash() -> None:
    for seed in range(200):
        chance = np.random.default_rng(seed)
        cells = chance.integers(0, 256, (1 + seed % 9, 1 + seed % 7, 3), dtype=np.uint8)
        image = Image.fromarray(cells).resize((40 + seed, 90), Image.Resampling.BICUBIC)
        assert perceptual_hash(image) == str(imagehash.phash(image))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("colour", ["black", "white", "#123456"])
def test_hashes_of_symmetric_and_plain_drawings_are_those_of_imagehash(
    colour: str, mirrored: bool
) -> None:
    image = Image.new("RGB", (72, 72), colour)
    assert perceptual_hash(image) == str(imagehash.phash(image))
    ImageDraw.Draw(image).ellipse((10, 20, 61, 51), "#fedcba")
    if mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert perceptual_hash(image) == str(imagehash.phash(image))


def test_an_ordinary_image_needs_no_scipy() -> None:
    program = (
        "import sys; from PIL import Image; import numpy as np\n"
        "from styledag.images.perceptual_hash import perceptual_hash\n"
        "cells = np.random.default_rng(1).integers(0, 256, (6, 6, 3), dtype=np.uint8)\n"
        "perceptual_hash(Image.fromarray(cells).resize((72, 72)))\n"
        "print('scipy.fftpack' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "False"
