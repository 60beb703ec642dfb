"""An encoded dataset as training reads it: memory-mapped, with nothing of it in memory."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.diffusion.encode import MOMENTS_FILE, SAMPLES_FILE, TEXT_STATES_FILE
from styledag.errors import StorageError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class EncodedSample:
    """One picture of an encoded dataset.

    Attributes:
        id: Sample id.
        caption: Its caption's position in :attr:`EncodedDataset.captions`.
        split: ``train`` or ``validation``.
        row: Its position in the moments.
    """

    id: str
    caption: int
    split: str
    row: int


@dataclass(frozen=True, kw_only=True)
class EncodedDataset:
    """Posterior moments of pictures and text states of captions.

    Attributes:
        samples: All pictures, sorted by id.
        captions: All captions, sorted; the empty one is always among them.
        flip: Whether mirrored pictures are there too.
        scaling_factor: What latents are multiplied by before the UNet sees them.
        mean: Posterior means. # [samples, 1 or 2, C, H, W]
        logvar: Logarithms of posterior variances. # [samples, 1 or 2, C, H, W]
        text_states: Last hidden states of the text encoder. # [captions, 77, D]
    """

    samples: tuple[EncodedSample, ...]
    captions: tuple[str, ...]
    flip: bool
    scaling_factor: float
    mean: "torch.Tensor"
    logvar: "torch.Tensor"
    text_states: "torch.Tensor"

    @classmethod
    def open(cls, folder: Path) -> "EncodedDataset":
        """Open what :func:`~styledag.diffusion.encode.encode_dataset` wrote.

        Raises:
            StorageError: If the folder holds no encoded dataset, or a damaged one.
        """
        from safetensors import SafetensorError, safe_open

        try:
            index = json.loads((folder / SAMPLES_FILE).read_text(encoding="utf-8"))
            with safe_open(folder / MOMENTS_FILE, framework="pt") as moments:
                mean, logvar = moments.get_tensor("mean"), moments.get_tensor("logvar")
            with safe_open(folder / TEXT_STATES_FILE, framework="pt") as states:
                text_states = states.get_tensor("text_states")
            return cls(
                samples=tuple(
                    EncodedSample(row=row, **each) for row, each in enumerate(index["samples"])
                ),
                captions=tuple(index["captions"]),
                flip=index["flip"],
                scaling_factor=index["scaling_factor"],
                mean=mean,
                logvar=logvar,
                text_states=text_states,
            )
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as exc:
            raise StorageError(
                f"{folder} is not an encoded dataset, or is damaged "
                f"({type(exc).__name__}: {exc}): materialise encoded_dataset again"
            ) from exc

    @property
    def train(self) -> tuple[EncodedSample, ...]:
        """The pictures to train on."""
        return tuple(sample for sample in self.samples if sample.split == "train")

    @property
    def validation(self) -> tuple[EncodedSample, ...]:
        """The pictures that training never sees."""
        return tuple(sample for sample in self.samples if sample.split == "validation")

    @property
    def empty_caption(self) -> int:
        """Position of the empty caption."""
        return self.captions.index("")

    def sample_latents(
        self, sample: EncodedSample, generator: "torch.Generator", *, flipped: bool = False
    ) -> "torch.Tensor":
        """Return scaled latents drawn from a picture's posterior: float32, [C, H, W].

        Args:
            sample: One of :attr:`samples`.
            generator: CPU generator of the posterior's noise.
            flipped: Whether the mirrored picture is meant; only if :attr:`flip`.
        """
        import torch

        mean = self.mean[sample.row, int(flipped)].float()
        logvar = self.logvar[sample.row, int(flipped)].float()
        noise = torch.randn(mean.shape, generator=generator)
        return (mean + torch.exp(0.5 * logvar) * noise) * self.scaling_factor
