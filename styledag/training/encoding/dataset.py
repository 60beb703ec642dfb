"""An encoded dataset as training reads it: memory-mapped, with nothing of it in memory."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.conditioning import Conditioning
from styledag.bases.latents import LatentScale, Moments
from styledag.errors import StorageError
from styledag.training.encoding.samples import CONDITIONING_FILE, SAMPLES_FILE, moments_file

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class EncodedSample:
    """One image of an encoded dataset.

    Attributes:
        captions: Positions in :attr:`EncodedDataset.captions` of what is said of it; the first is
            the main one.
        split: ``train``, ``validation`` or ``prior``.
        family: Name of its family of near-duplicates; empty if nothing is known to be like it.
        bucket: Key of its shape in :attr:`EncodedDataset.moments`.
        row: Its position in them.
        image_conditioning: What the denoiser reads of the image beside its caption, by name.
    """

    id: str
    captions: tuple[int, ...]
    split: str
    family: str
    bucket: str
    row: int
    image_conditioning: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EncodedDataset:
    """Posterior moments of images and conditionings of captions.

    Attributes:
        samples: All images, sorted by id.
        captions: All captions, sorted; the empty one is always among them.
        flip: Whether mirrored images are there too.
        scale: Between the autoencoder's latents and the denoiser's.
        moments: By bucket, which is named by its images' width and height, as ``512x448``.
            # [images, 1 or 2, C, H, W]; the second is of the mirrored image
        conditioning: What the denoiser reads, a row for each caption.
    """

    samples: tuple[EncodedSample, ...]
    captions: tuple[str, ...]
    flip: bool
    scale: LatentScale
    moments: Mapping[str, Moments]
    conditioning: Conditioning

    @classmethod
    def open(cls, folder: Path) -> "EncodedDataset":
        """Open what :func:`~styledag.training.encoding.encode.encode_dataset` wrote.

        Raises:
            StorageError: If the folder holds no encoded dataset, or a damaged one.
        """
        from safetensors import SafetensorError

        try:
            index = json.loads((folder / SAMPLES_FILE).read_text(encoding="utf-8"))
            return cls(
                samples=_samples(index["samples"]),
                captions=tuple(index["captions"]),
                flip=index["flip"],
                scale=LatentScale(index["scaling_factor"], index.get("shift_factor", 0.0)),
                moments={
                    bucket: Moments(**_mapped(folder / moments_file(bucket)))
                    for bucket in sorted({each["bucket"] for each in index["samples"]})
                },
                conditioning=Conditioning(_mapped(folder / CONDITIONING_FILE)),
            )
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as exc:
            raise StorageError(
                f"{folder} is not an encoded dataset, or is damaged "
                f"({type(exc).__name__}: {exc}): materialise encoded_dataset again"
            ) from exc

    @property
    def train(self) -> tuple[EncodedSample, ...]:
        """The images to train on."""
        return self._of("train")

    @property
    def validation(self) -> tuple[EncodedSample, ...]:
        """The images that training never sees."""
        return self._of("validation")

    @property
    def prior(self) -> tuple[EncodedSample, ...]:
        """The base's own images of the class, each once in every shape of the training split."""
        return self._of("prior")

    @property
    def empty_caption(self) -> int:
        """Position of the empty caption."""
        return self.captions.index("")

    @property
    def latent_channels(self) -> int:
        """Channels of all latents."""
        return int(next(iter(self.moments.values())).mean.shape[2])

    def sample_latents(
        self,
        sample: EncodedSample,
        generator: "torch.Generator",
        *,
        flipped: bool = False,
        out: "torch.Tensor | None" = None,
    ) -> "torch.Tensor":
        """Return scaled latents drawn from an image's posterior: float32, [C, H, W].

        Args:
            sample: One of :attr:`samples`.
            generator: CPU generator of the posterior's noise.
            flipped: Whether the mirrored image is meant; only if :attr:`flip`.
            out: Contiguous tensor of that shape and dtype to write into.
        """
        import torch

        moments = self.moments[sample.bucket]
        mean = moments.mean[sample.row, int(flipped)].float()
        deviation = (0.5 * moments.logvar[sample.row, int(flipped)].float()).exp_()
        latents = torch.randn(mean.shape, generator=generator, out=out)
        return latents.copy_(self.scale.scale(latents.mul_(deviation).add_(mean)))

    def _of(self, split: str) -> tuple[EncodedSample, ...]:
        return tuple(sample for sample in self.samples if sample.split == split)


def _samples(index: list[dict[str, Any]]) -> tuple[EncodedSample, ...]:
    rows: Counter[str] = Counter()
    samples = []
    for each in index:
        captions, bucket = tuple(each["captions"]), each["bucket"]
        samples.append(EncodedSample(**each | {"captions": captions}, row=rows[bucket]))
        rows[bucket] += 1
    return tuple(samples)


def _mapped(path: Path) -> "dict[str, torch.Tensor]":
    """Return a file's tensors, whose pages are read from the disk when they are first used."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as tensors:
        return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
