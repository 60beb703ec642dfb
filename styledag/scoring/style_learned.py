"""How much of the style a model has learned, by what it predicts of images of the style."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from styledag.scoring.bootstrap import Counts
from styledag.scoring.denoising_loss import NoisedImage, relative_loss
from styledag.scoring.style import Float64

if TYPE_CHECKING:
    from torch import Tensor

    from styledag.training.encoding.dataset import EncodedDataset, EncodedSample


def style_learned(losses: Float64, base_losses: Float64) -> Callable[[Counts], float | None]:
    """Return the share of the base's loss that is gone, as a statistic of held-out images.

    0 is the base, 1 would be no error at all, below 0 is further from the style than the base.

    Args:
        losses: The model's on held-out images of the style. # [n, TIMESTEPS]
        base_losses: The base's. # [n, TIMESTEPS]
    """
    relative = relative_loss(losses, base_losses)

    def learned(counts: Counts) -> float | None:
        share = relative(counts)
        return None if share is None else 1 - share

    return learned


def heldout_images(encoded: "EncodedDataset", count: int) -> list[NoisedImage]:
    """Return images of the style that training never saw, with their main captions.

    Families come in turn: none gives a second image before each has given its first.
    """
    families: dict[str, list[EncodedSample]] = {}
    for sample in encoded.validation:
        families.setdefault(sample.family or sample.id, []).append(sample)
    in_turn = sorted(
        (rank, family) for family, samples in families.items() for rank in range(len(samples))
    )
    return [
        _noised(encoded, families[family][rank], group=family) for rank, family in in_turn[:count]
    ]


def _noised(encoded: "EncodedDataset", sample: "EncodedSample", *, group: str) -> NoisedImage:
    def latents() -> "Tensor":
        mean = encoded.moments[sample.bucket].mean[sample.row, 0]
        return encoded.scale.scale(mean.float())

    text = encoded.captions[sample.captions[0]]
    return NoisedImage(sha256=sample.id, text=text, group=group, latents=latents)
