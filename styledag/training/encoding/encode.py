"""encoded_dataset: images and captions through the frozen parts of the base, once."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.bases.base import Base
from styledag.bases.find import find_base
from styledag.errors import DataError
from styledag.models.compute import Compute
from styledag.settings import canonical_json
from styledag.store.files import storage_errors
from styledag.store.workspace import Workspace
from styledag.training.encoding.samples import SAMPLES_FILE, EncodeSample

if TYPE_CHECKING:
    # The store's own modules need pyarrow, which a bare training machine lacks.
    from styledag.store.artifact import Facts

CODE_VERSION = "2"


def encode_dataset(
    samples: Sequence[EncodeSample],
    base: Path,
    *,
    base_version: str,
    compute: Compute,
    workspace: Workspace,
    batch_size: int = 8,
    flip: bool,
) -> "Facts":
    """Write posterior moments and text states of a dataset into the workspace.

    Only images and captions that were never encoded by this base are; the models are loaded
    for nothing else. The artifact is read by
    :class:`~styledag.training.encoding.dataset.EncodedDataset`.

    Args:
        samples: The dataset; its images may have several shapes, which become one bucket each.
        base: Folder of the base in diffusers' layout.
        base_version: sha256 of the parts of the base that encode.
        compute: Device; the dtype is bfloat16 if that is asked for, else float32.
        workspace: Where images lie and the artifact goes. Counts ``encodes`` (images) and
            ``text_encodes`` (captions) that were really done.
        batch_size: Images or captions in one pass; results do not depend on it beyond float
            error.
        flip: Whether each image is also encoded mirrored.

    Returns:
        Counts of samples by split and by bucket, captions, and the shapes of latents and of the
        first tensor that captions become.

    Raises:
        DataError: If there is no sample, an id occurs twice, an image cannot be encoded, or a
            caption is longer than the text encoder reads.
        ModelError: If the base lacks a part, or its family is not supported.
    """
    from styledag.training.encoding.image_sizes import image_sizes
    from styledag.training.encoding.writer import Encoding

    ordered = _ordered(samples)
    captions = sorted({"", *(caption for sample in ordered for caption in sample.captions)})
    sizes_px = image_sizes(ordered, workspace)
    sizes = {sha256: f"{width}x{height}" for sha256, (width, height) in sizes_px.items()}
    buckets: dict[str, list[EncodeSample]] = {}
    for sample in ordered:
        buckets.setdefault(sizes[sample.image_sha256], []).append(sample)
    found = find_base(base)
    encoding = Encoding(
        found,
        compute,
        workspace,
        code_version=CODE_VERSION,
        base_version=base_version,
        batch_size=batch_size,
        flip=flip,
    )
    latents_shapes = encoding.write_moments(buckets)
    text_states_shape = encoding.write_conditioning(captions)
    caption_index = {caption: at for at, caption in enumerate(captions)}
    scale = found.latents.scale
    index = {
        "captions": captions,
        "flip": flip,
        "samples": [
            {
                "id": each.id,
                "captions": [caption_index[caption] for caption in each.captions],
                "split": each.split,
                "family": each.family,
                "bucket": sizes[each.image_sha256],
                **_image_conditioning(found, each, sizes_px[each.image_sha256]),
            }
            for each in ordered
        ],
        "scaling_factor": scale.factor,
        **({"shift_factor": scale.shift} if scale.shift else {}),
    }
    with storage_errors(str(workspace.folder)):
        (workspace.folder / SAMPLES_FILE).write_text(canonical_json(index), encoding="utf-8")
    splits = Counter(sample.split for sample in ordered)
    return {
        "samples": len(ordered),
        "train": splits["train"],
        "validation": splits["validation"],
        "prior": splits["prior"],
        "captions": len(set(caption_index) - {""}),
        "flip": flip,
        "buckets": {bucket: len(within) for bucket, within in sorted(buckets.items())},
        "latents_shapes": latents_shapes,
        "text_states_shape": text_states_shape,
    }


def _image_conditioning(
    base: Base, sample: EncodeSample, size_px: tuple[int, int]
) -> dict[str, dict[str, tuple[int, ...]]]:
    values = base.image_conditioning(
        original_px=sample.original_px or size_px, crop_px=sample.crop_px, size_px=size_px
    )
    return {"image_conditioning": dict(values)} if values else {}


def _ordered(samples: Sequence[EncodeSample]) -> list[EncodeSample]:
    if not samples:
        raise DataError("the dataset holds no image, so there is nothing to encode")
    ordered = sorted(samples, key=lambda sample: sample.id)
    for sample, following in pairwise(ordered):
        if sample.id == following.id:
            raise DataError(f"images {sample.name} and {following.name} have one id {sample.id}")
    return ordered
