"""Write moments of each bucket and conditionings of captions from what is cached by item."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from styledag.bases.base import Base
from styledag.models.compute import Compute
from styledag.store.items import item_key
from styledag.store.workspace import Workspace
from styledag.training.encoding.encoders import CaptionEncoder, ImageEncoder, encoding_dtype
from styledag.training.encoding.rows import Row, cached_rows, write_stacked
from styledag.training.encoding.samples import CONDITIONING_FILE, moments_file

if TYPE_CHECKING:
    from styledag.progress import Advance
    from styledag.training.encoding.samples import EncodeSample


class Encoding:
    """One base's encoders over one dataset; each is loaded once something is missing."""

    def __init__(
        self,
        base: Base,
        compute: Compute,
        workspace: Workspace,
        *,
        code_version: str,
        base_version: str,
        batch_size: int,
        flip: bool,
    ) -> None:
        self._base = base
        self._compute = compute
        self._workspace = workspace
        self._batch_size = batch_size
        self._flip = flip
        self._identity = {
            "code_version": code_version,
            "base_version": base_version,
            "dtype": str(encoding_dtype(compute)),
        }

    def write_moments(
        self, buckets: "Mapping[str, Sequence[EncodeSample]]"
    ) -> dict[str, list[int]]:
        """Write one file for each bucket; return the shape of one image's latents by bucket."""
        total = sum(len(samples) for samples in buckets.values())
        with self._workspace.progress.task("encoded moments", total) as advance:
            shapes = {
                bucket: self._write_bucket(moments_file(bucket), samples, advance)
                for bucket, samples in sorted(buckets.items())
            }
        self.__dict__.pop("_image_encoder", None)  # freed before the text encoders are loaded
        return shapes

    def write_conditioning(self, captions: Sequence[str]) -> list[int]:
        """Write the conditionings of all captions; return the shape of one's first tensor."""

        def make(missing: Sequence[int]) -> Iterator[Row]:
            for row in self._caption_encoder.encode([captions[at] for at in missing]):
                self._workspace.work["text_encodes"] += 1
                yield row

        keys = [item_key(caption=caption, **self._identity) for caption in captions]
        path = self._workspace.folder / CONDITIONING_FILE
        with self._workspace.progress.task("encoded captions", len(keys)) as advance:
            rows = cached_rows(self._workspace.items, "text_states", keys, make, advance)
            return write_stacked(path, rows, len(keys))

    def _write_bucket(
        self, file: str, samples: "Sequence[EncodeSample]", advance: "Advance"
    ) -> list[int]:
        def make(missing: Sequence[int]) -> Iterator[Row]:
            images = (
                (samples[at].name, self._workspace.blobs.read(samples[at].image_sha256))
                for at in missing
            )
            for row in self._image_encoder.encode(images):
                self._workspace.work["encodes"] += 1
                yield row

        keys = [
            item_key(image=each.image_sha256, flip=self._flip, **self._identity) for each in samples
        ]
        rows = cached_rows(self._workspace.items, "moments", keys, make, advance)
        shape = write_stacked(self._workspace.folder / file, rows, len(keys))
        return shape[1:]

    @cached_property
    def _image_encoder(self) -> ImageEncoder:
        return ImageEncoder(
            self._base, compute=self._compute, batch_size=self._batch_size, flip=self._flip
        )

    @cached_property
    def _caption_encoder(self) -> CaptionEncoder:
        return CaptionEncoder(self._base, compute=self._compute, batch_size=self._batch_size)
