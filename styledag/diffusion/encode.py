"""encoded_dataset: what the frozen parts of the base make of pictures and captions, once."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from styledag.diffusion.base import vae_scaling_factor
from styledag.errors import DataError
from styledag.models.compute import Compute
from styledag.settings import canonical_json
from styledag.store.files import storage_errors
from styledag.store.items import item_key
from styledag.store.workspace import Workspace

if TYPE_CHECKING:
    # The store's own modules need pyarrow, which a bare training machine lacks.
    from styledag.diffusion.rows import Row
    from styledag.store.artifact import Facts

CODE_VERSION = "1"

MOMENTS_FILE = "moments.safetensors"
TEXT_STATES_FILE = "text_states.safetensors"
SAMPLES_FILE = "samples.json"


@dataclass(frozen=True, kw_only=True)
class EncodeSample:
    """One picture with its caption.

    Attributes:
        id: Sample id, a sha256; training's randomness follows from it.
        caption: What is said of the picture.
        split: The part of the dataset that it belongs to.
        name: What errors call it, such as its URL.
        image_sha256: Blob of the RGB picture.
    """

    id: str
    caption: str
    split: Literal["train", "validation"]
    name: str
    image_sha256: str


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

    Only pictures and captions that were never encoded by this base are; the models are loaded
    for nothing else. The artifact is read by
    :class:`~styledag.diffusion.encoded.EncodedDataset`.

    Args:
        samples: The dataset; pictures of one size.
        base: Folder of the base in diffusers' layout.
        base_version: sha256 of the base's VAE, tokenizer and text encoder.
        compute: Device; the number format is bfloat16 if that is asked for, else float32.
        workspace: Where pictures lie and the artifact goes. Counts ``encodes`` (pictures) and
            ``text_encodes`` (captions) that were really done.
        batch_size: Pictures or captions in one pass; results do not depend on it beyond float
            error.
        flip: Whether each picture is also encoded mirrored.

    Returns:
        Counts of samples by split, captions, and the shapes that the UNet will see.

    Raises:
        DataError: If there is no sample, an id occurs twice, or a picture cannot be encoded.
        ModelError: If the base lacks a part.
    """
    from styledag.diffusion.encoders import encoding_dtype

    ordered = _ordered(samples)
    captions = sorted({"", *(sample.caption for sample in ordered)})
    stage = _Stage(
        base,
        compute,
        workspace,
        batch_size,
        identity={
            "code_version": CODE_VERSION,
            "base_version": base_version,
            "dtype": str(encoding_dtype(compute)),
        },
    )
    latents_shape = stage.write_moments(ordered, flip=flip)
    text_states_shape = stage.write_text_states(captions)
    caption_index = {caption: at for at, caption in enumerate(captions)}
    index = {
        "captions": captions,
        "flip": flip,
        "samples": [
            {"id": each.id, "caption": caption_index[each.caption], "split": each.split}
            for each in ordered
        ],
        "scaling_factor": vae_scaling_factor(base),
    }
    with storage_errors(str(workspace.folder)):
        (workspace.folder / SAMPLES_FILE).write_text(canonical_json(index), encoding="utf-8")
    splits = Counter(sample.split for sample in ordered)
    return {
        "samples": len(ordered),
        "train": splits["train"],
        "validation": splits["validation"],
        "captions": len(set(caption_index) - {""}),
        "flip": flip,
        "latents_shape": latents_shape,
        "text_states_shape": text_states_shape,
    }


def _ordered(samples: Sequence[EncodeSample]) -> list[EncodeSample]:
    if not samples:
        raise DataError("the dataset holds no picture, so there is nothing to encode")
    ordered = sorted(samples, key=lambda sample: sample.id)
    for sample, following in pairwise(ordered):
        if sample.id == following.id:
            raise DataError(f"pictures {sample.name} and {following.name} have one id {sample.id}")
    return ordered


@dataclass(frozen=True)
class _Stage:
    base: Path
    compute: Compute
    workspace: Workspace
    batch_size: int
    identity: Mapping[str, str]

    def write_moments(self, samples: Sequence[EncodeSample], *, flip: bool) -> list[int]:
        """Write all moments; return the shape of one picture's latents."""
        from styledag.diffusion.encoders import ImageEncoder

        @cache
        def encoder() -> ImageEncoder:
            return ImageEncoder(
                self.base, compute=self.compute, batch_size=self.batch_size, flip=flip
            )

        def make(missing: Sequence[int]) -> Iterator["Row"]:
            chosen = [samples[at] for at in missing]
            pictures = (
                (each.name, self.workspace.blobs.read(each.image_sha256)) for each in chosen
            )
            for row in encoder().encode(pictures):
                self.workspace.work["encodes"] += 1
                yield row

        keys = [item_key(image=each.image_sha256, flip=flip, **self.identity) for each in samples]
        shape = self._write("moments", MOMENTS_FILE, keys, make, [each.name for each in samples])
        return shape[1:]

    def write_text_states(self, captions: Sequence[str]) -> list[int]:
        """Write all text states; return the shape of one caption's."""
        from styledag.diffusion.encoders import CaptionEncoder

        @cache
        def encoder() -> CaptionEncoder:
            return CaptionEncoder(self.base, compute=self.compute, batch_size=self.batch_size)

        def make(missing: Sequence[int]) -> Iterator["Row"]:
            for row in encoder().encode([captions[at] for at in missing]):
                self.workspace.work["text_encodes"] += 1
                yield row

        keys = [item_key(caption=caption, **self.identity) for caption in captions]
        return self._write("text_states", TEXT_STATES_FILE, keys, make, captions)

    def _write(
        self,
        namespace: str,
        file: str,
        keys: Sequence[str],
        make: Callable[[Sequence[int]], Iterator["Row"]],
        names: Sequence[str],
    ) -> list[int]:
        from styledag.diffusion.rows import cached_rows, write_stacked

        shapes: list[list[int]] = []

        def checked(rows: Iterator["Row"]) -> Iterator["Row"]:
            for row, name in zip(rows, names, strict=True):
                shape = list(next(iter(row.values())).shape)
                shapes[:] = shapes or [shape]
                if shape != shapes[0]:
                    raise DataError(
                        f"picture {name} encodes to {shape}, but {names[0]} to {shapes[0]}: "
                        "pictures of one dataset must have one size"
                    )
                yield row

        with self.workspace.progress.task(f"encoded {namespace}", len(keys)) as advance:
            rows = cached_rows(self.workspace.items, namespace, keys, make, advance)
            write_stacked(self.workspace.folder / file, checked(rows), len(keys))
        return shapes[0]
