import imagehash
import numpy as np
import pytest
from PIL import ImageFilter
from scipy import ndimage

from styledag.images.converting.resize import to_square
from styledag.images.embedding import PixelEmbedder
from styledag.images.looks import embed_jpegs, measure_looks, open_jpeg, shape_cells, unpadded
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
    assert look.sharpness == 0
    assert look.saturation == 254
    assert look.colours == "fe0000" * 16


def test_blur_takes_sharpness_and_grey_has_no_saturation(workspace: Workspace) -> None:
    drawn = noisy(1)
    drawn.paste("black", (20, 20, 40, 40))
    images = {
        "sharp": drawn,
        "blurred": drawn.filter(ImageFilter.GaussianBlur(4)),
        "grey": drawn.convert("L").convert("RGB"),
    }
    rows = {name: jpeg_image(image, name, workspace).sha256 for name, image in images.items()}
    looks = measure_looks(list(rows.values()), "1", workspace)
    found = {name: looks[sha256] for name, sha256 in rows.items()}
    assert found["sharp"].sharpness > 4 * found["blurred"].sharpness
    luma = np.asarray(open_jpeg(rows["sharp"], workspace).convert("L"))
    laplacian = ndimage.laplace(luma.astype(float))[1:-1, 1:-1]
    assert found["sharp"].sharpness == pytest.approx(laplacian.std(), abs=1e-3)
    assert found["grey"].saturation < 2 < found["sharp"].saturation


def test_a_mirror_image_is_measured_as_if_it_were_stored(workspace: Workspace) -> None:
    row = jpeg_image(noisy(1), "a", workspace)
    mirrored = open_jpeg(row.sha256, workspace, mirrored=True)
    look = measure_looks([row.sha256], "1", workspace, mirrored=True)[row.sha256]
    assert look.phash == str(imagehash.phash(mirrored))
    assert look != measure_looks([row.sha256], "1", workspace)[row.sha256]
    vector = embed_jpegs([row.sha256], PixelEmbedder(), workspace, mirrored=True)
    assert np.array_equal(vector, PixelEmbedder()([mirrored]))
    assert not np.array_equal(vector, embed_jpegs([row.sha256], PixelEmbedder(), workspace))
    cells = shape_cells(open_jpeg(row.sha256, workspace))
    assert np.abs(cells[:, ::-1] - shape_cells(mirrored)).max() <= 1


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


@pytest.mark.parametrize("original", [(400, 300), (300, 400), (401, 100), (64, 64)])
def test_padding_is_no_part_of_an_image(original: tuple[int, int], workspace: Workspace) -> None:
    image = noisy(4, original)
    padded = to_square(image, size_px=64, mode="pad", upscale=True, background="#123456")
    row = jpeg_image(padded, "a", workspace, raw_size=original)
    found = unpadded(open_jpeg(row.sha256, workspace), original)
    assert found.width / found.height == pytest.approx(original[0] / original[1], rel=0.05)
    same = PixelEmbedder()([found, image])
    assert float(same[0] @ same[1]) > 0.94


def test_an_image_that_fills_its_square_keeps_all_of_it(workspace: Workspace) -> None:
    row = jpeg_image(noisy(4), "a", workspace, raw_size=(400, 300))
    image = open_jpeg(row.sha256, workspace)
    assert unpadded(image, (400, 300)) is image
    assert unpadded(noisy(4, (80, 40)), (400, 200)).size == (80, 40)


def test_equal_bars_make_no_family(workspace: Workspace) -> None:
    rows = [
        jpeg_image(
            to_square(
                noisy(seed, (400, 200)), size_px=64, mode="pad", upscale=True, background="#ffffff"
            ),
            str(seed),
            workspace,
            raw_size=(400, 200),
        )
        for seed in range(8)
    ]
    sha256s = [row.sha256 for row in rows]
    sizes = {row.sha256: (row.raw_width_px, row.raw_height_px) for row in rows}
    with_bars = embed_jpegs(sha256s, PixelEmbedder(), workspace)
    without = embed_jpegs(sha256s, PixelEmbedder(), workspace, originals=sizes)
    above = np.triu_indices(len(rows), 1)
    assert (with_bars @ with_bars.T)[above].min() > 0.8
    assert (without @ without.T)[above].max() < 0.8
