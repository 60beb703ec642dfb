import imagehash
import numpy as np
import pytest

from styledag.images.embedding import PixelEmbedder
from styledag.images.looks import embed_jpegs, measure_looks, open_jpeg
from styledag.store.workspace import Workspace
from styledag_tests.images.images import jpeg_image, noisy, plain


def test_looks_are_imagehashes_and_measured_once(workspace: Workspace) -> None:
    row = jpeg_image(noisy(1), "a", workspace)
    look = measure_looks([row.sha256], "1", workspace)[row.sha256]
    image = open_jpeg(row.sha256, workspace)
    assert look.phash == str(imagehash.phash(image))
    assert look.contrast == pytest.approx(np.asarray(image.convert("L")).std(), abs=1e-3)
    measure_looks([row.sha256], "1", workspace)
    assert workspace.work == {"hashes": 1}


def test_a_plain_image_has_no_contrast(workspace: Workspace) -> None:
    row = jpeg_image(plain("red"), "a", workspace)
    look = measure_looks([row.sha256], "1", workspace)[row.sha256]
    assert look.contrast == 0
    assert look.colours == "fe0000" * 16


def test_embeddings_are_kept_bit_for_bit(workspace: Workspace) -> None:
    sha256s = [jpeg_image(noisy(seed), str(seed), workspace).sha256 for seed in range(70)]
    embed = PixelEmbedder()
    first = embed_jpegs(sha256s, embed, workspace)
    assert workspace.work == {"embeddings": 70}
    again = embed_jpegs(sha256s[::-1], embed, workspace)
    assert workspace.work == {"embeddings": 70}
    assert np.array_equal(first[::-1], again)
    assert np.array_equal(first[3:4], embed([open_jpeg(sha256s[3], workspace)]))


def test_another_embedder_embeds_anew(workspace: Workspace) -> None:
    class Other(PixelEmbedder):
        version = "other"

    row = jpeg_image(noisy(1), "a", workspace)
    embed_jpegs([row.sha256], PixelEmbedder(), workspace)
    embed_jpegs([row.sha256], Other(), workspace)
    assert workspace.work == {"embeddings": 2}
