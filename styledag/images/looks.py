"""What is measured once on each JPEG: hash, contrast, sharpness, colours and embedding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import imagehash
import numpy as np
import PIL
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image, ImageStat

from styledag.batched import batched
from styledag.collector import many_objects
from styledag.images.containers.parts import Size
from styledag.images.converting.resize import padded_box
from styledag.images.embedding import Embedder
from styledag.images.similarity import Float32
from styledag.images.stored_jpeg import read_jpeg
from styledag.remembered_rows import remembered_rows
from styledag.settings import canonical_json
from styledag.store.items import item_keys
from styledag.store.workspace import Workspace

COLOUR_CELLS = 4
SHAPE_CELLS = 32
_LOOKS, _EMBEDDINGS = "look", "embedding"
_BATCH, _KNOWN_AT_ONCE = 64, 1_024
_MOST_CODING_NOISE = 8
"""Levels within which the pixels of a bar of one colour lie after JPEG."""


@dataclass(frozen=True)
class Look:
    """What one JPEG looks like.

    Attributes:
        phash: Perceptual hash as 16 hexadecimal digits.
        contrast: Standard deviation of luma, 0 to 127.5.
        sharpness: Standard deviation of luma's Laplacian; a blurred image has little.
        saturation: Mean difference of a pixel's largest and smallest channel, 0 to 255.
        colours: Mean colours of 4 by 4 cells, 48 bytes as hexadecimal digits.
    """

    phash: str
    contrast: float
    sharpness: float
    saturation: float
    colours: str


def open_jpeg(sha256: str, workspace: Workspace, *, mirrored: bool = False) -> Image.Image:
    """Return the pixels of a JPEG blob, left and right exchanged if ``mirrored``."""
    rgb = read_jpeg(workspace.blobs, sha256)
    return rgb.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else rgb


def unpadded(image: Image.Image, original: Size) -> Image.Image:
    """Return a square image without its padding, or as it is if it has none."""
    if image.width != image.height:
        return image
    box = padded_box(original, image.width)
    pixels = np.asarray(image, dtype=np.int16)
    # The outer half of each bar: JPEG blurs the pixels next to the image.
    deep, rows = (box[1], pixels) if original[0] > original[1] else (box[0], pixels.swapaxes(0, 1))
    bars = np.concatenate([rows[: deep // 2], rows[len(rows) - deep // 2 :]]).reshape(-1, 3)
    if not bars.size or np.ptp(bars, axis=0).max() > _MOST_CODING_NOISE:
        return image
    return image.crop(box)


def shape_cells(image: Image.Image) -> NDArray[np.int16]:
    """Return the mean luma of 32 by 32 cells, ``[32, 32]``: where a drawing's lines are."""
    small = image.convert("L").resize((SHAPE_CELLS, SHAPE_CELLS), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.int16)


def measure_looks(
    sha256s: Sequence[str], code_version: str, workspace: Workspace, *, mirrored: bool = False
) -> Mapping[str, Look]:
    """Return each JPEG's look, measuring those that are not known (``work["hashes"]``)."""
    versions: dict[str, str | bool] = {
        "imagehash": imagehash.__version__,
        "pillow": PIL.__version__,
        **_mirror_key(mirrored),
    }
    names = list(dict.fromkeys(sha256s))

    def make(new: Sequence[int]) -> list[_SeenLook]:
        keys = item_keys("jpeg", (names[at] for at in new), code_version=code_version, **versions)
        looks = _looks(keys, workspace, mirrored=mirrored)
        return [_SeenLook(**vars(looks[sha256]), sha256=sha256) for sha256 in keys]

    file = f"looks{'_mirrored' if mirrored else ''}.arrow"
    seen = remembered_rows(
        pa.table({"sha256": pa.array(names, pa.string())}),
        _SeenLook,
        make,
        key="sha256",
        made_by=canonical_json([code_version, versions]),
        file=workspace.kept and workspace.kept / file,
    )
    return {row.sha256: row for row in seen.rows}


@dataclass(frozen=True, kw_only=True)
class _SeenLook(Look):
    """The look of one JPEG, as it is kept."""

    sha256: str

    @property
    def key(self) -> str:
        return self.sha256


def _looks(keys: Mapping[str, str], workspace: Workspace, *, mirrored: bool) -> Mapping[str, Look]:
    looks: dict[str, Look] = {}
    with workspace.progress.task("perceptual hashes", len(keys)) as advance:
        for some in batched(keys, _KNOWN_AT_ONCE):
            with many_objects():
                known = workspace.items.get_many_json(_LOOKS, [keys[sha256] for sha256 in some])
                looks |= {each: Look(**known[keys[each]]) for each in some if keys[each] in known}
            advance(len(known))
            for sha256 in some:
                if sha256 not in looks:
                    found: dict[str, Any] = _measured(
                        open_jpeg(sha256, workspace, mirrored=mirrored)
                    )
                    workspace.work["hashes"] += 1
                    workspace.items.put_json(_LOOKS, keys[sha256], found)
                    looks[sha256] = Look(**found)
                    advance(1)
    return looks


def embed_jpegs(
    sha256s: Sequence[str],
    embed: Embedder,
    workspace: Workspace,
    *,
    mirrored: bool = False,
    originals: Mapping[str, Size] | None = None,
) -> Float32:
    """Return the JPEGs' embeddings, float32 ``[n, d]``, in the given order.

    Those that are not known are embedded in batches (``work["embeddings"]``) and kept.

    Args:
        sha256s: Blobs of the JPEGs.
        embed: Turns images into vectors.
        workspace: Where vectors are kept.
        mirrored: Whether the mirror images are embedded.
        originals: Sizes of the images that the JPEGs were made from, to embed these without what
            a square was padded with: equal bars make unlike images alike.
    """

    def opened(sha256: str) -> Image.Image:
        image = open_jpeg(sha256, workspace, mirrored=mirrored)
        return unpadded(image, originals[sha256]) if sha256 in padded and originals else image

    padded = {sha256 for sha256, (width, height) in (originals or {}).items() if width != height}
    fixed: dict[str, Any] = {"embedder": embed.version, **_mirror_key(mirrored)}
    by_size: dict[Size | None, list[str]] = {}
    for sha256 in dict.fromkeys(sha256s):
        size = originals[sha256] if originals and sha256 in padded else None
        by_size.setdefault(size, []).append(sha256)
    keys: dict[str, str] = {}
    for size, names in by_size.items():
        keys |= item_keys("jpeg", names, **fixed, **({"unpadded": list(size)} if size else {}))
    rows = _Rows(sha256s)
    unknown: list[str] = []
    with workspace.progress.task("embeddings", len(keys)) as advance:
        for some in batched(keys, _KNOWN_AT_ONCE):
            known = workspace.items.get_many(_EMBEDDINGS, [keys[sha256] for sha256 in some])
            there = [sha256 for sha256 in some if known.get(keys[sha256])]
            unknown += [sha256 for sha256 in some if not known.get(keys[sha256])]
            content = b"".join(known[keys[sha256]] for sha256 in there)
            rows.put(there, np.frombuffer(content, dtype="<f4").reshape(max(1, len(there)), -1))
            advance(len(known))
        for batch in batched(unknown, _BATCH):
            vectors = embed([opened(sha256) for sha256 in batch])
            rows.put(batch, vectors)
            for sha256, vector in zip(batch, vectors, strict=True):
                workspace.items.put(_EMBEDDINGS, keys[sha256], vector.astype("<f4").tobytes())
            workspace.work["embeddings"] += len(batch)
            advance(len(batch))
    return rows.array


class _Rows:
    """The rows of one array, filled in any order, so that no second copy of all is in memory."""

    def __init__(self, names: Sequence[str]) -> None:
        self._array: Float32 | None = None
        self._count = len(names)
        self._places: dict[str, list[int]] = {}
        for at, name in enumerate(names):
            self._places.setdefault(name, []).append(at)

    def put(self, names: Sequence[str], rows: Float32) -> None:
        if not names:
            return
        if self._array is None:
            self._array = np.empty((self._count, rows.shape[1]), dtype=np.float32)
        places = [self._places[name] for name in names]
        of = np.repeat(np.arange(len(names)), [len(each) for each in places])
        self._array[list(chain.from_iterable(places))] = rows[of]

    @property
    def array(self) -> Float32:
        return np.zeros((0, 1), dtype=np.float32) if self._array is None else self._array


def _mirror_key(mirrored: bool) -> dict[str, bool]:
    return {"mirrored": True} if mirrored else {}


def _measured(image: Image.Image) -> dict[str, str | float]:
    luma = image.convert("L")
    cells = image.resize((COLOUR_CELLS, COLOUR_CELLS), Image.Resampling.BOX)
    pixels = np.asarray(image, dtype=np.int16)
    return {
        "phash": str(imagehash.phash(image)),
        "contrast": round(float(ImageStat.Stat(luma).stddev[0]), 6),
        "sharpness": round(_sharpness(np.asarray(luma, dtype=np.int32)), 6),
        "saturation": round(float((pixels.max(axis=2) - pixels.min(axis=2)).mean()), 6),
        "colours": cells.tobytes().hex(),
    }


def _sharpness(luma: NDArray[np.int32]) -> float:
    centre = luma[1:-1, 1:-1]
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float((around - 4 * centre).std()) if centre.size else 0.0
