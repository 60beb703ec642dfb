import numpy as np
import pytest
from PIL import Image, ImageDraw

from styledag.images.embedding import Embedder, PixelEmbedder
from styledag_tests.images.images import noisy, plain


def face(hand: tuple[int, int], rim: str = "#99aab5", side: int = 64) -> Image.Image:
    """A clock face."""
    image = Image.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((4, 4, 252, 252), fill="#e1e8ed", outline=rim, width=26)
    draw.line((128, 128, 128, 50), fill="#66757f", width=10)
    draw.line((128, 128, *hand), fill="#66757f", width=10)
    return image.resize((side, side), Image.Resampling.LANCZOS)


def mitten(colour: str) -> Image.Image:
    image = Image.new("RGB", (64, 64), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((14, 4, 44, 60), fill=colour)
    draw.ellipse((36, 24, 60, 40), fill=colour)
    return image


def likeness(*images: Image.Image) -> np.ndarray:
    embed: Embedder = PixelEmbedder()
    vectors = embed(images)
    return vectors @ vectors.T


def test_vectors_have_length_one_and_do_not_depend_on_the_batch() -> None:
    images = [noisy(1), noisy(2), plain("red"), plain("black"), face((70, 128))]
    embed = PixelEmbedder()
    vectors = embed(images)
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, 576)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    assert np.array_equal(vectors[1:2], embed(images[1:2]))


def test_clock_faces_are_alike_and_unlike_a_mitten() -> None:
    found = likeness(face((70, 128)), face((190, 128)), face((128, 190)), mitten("#ffdc5d"))
    assert found[:3, :3].min() > 0.93
    assert found[3, :3].max() < 0.7


def test_one_outline_in_other_skin_colours_is_alike() -> None:
    found = likeness(*map(mitten, ("#ffdc5d", "#f7dece", "#f3d2a2", "#af7e57", "#7c533e")))
    assert found.max(axis=0).min() > 0.93
    assert np.median(found) > 0.93


def test_unlike_images_are_far_from_one() -> None:
    found = likeness(*(noisy(seed) for seed in range(12)))
    np.fill_diagonal(found, 0)
    assert found.max() < 0.7
    assert abs(np.mean(found)) < 0.2


def test_size_hardly_matters() -> None:
    assert likeness(face((70, 128)), face((70, 128), side=256)).min() > 0.99


def test_plain_images_of_unlike_colours_are_not_the_same() -> None:
    assert likeness(plain("red"), plain("blue"))[0, 1] < 0.5
