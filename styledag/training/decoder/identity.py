"""What decides a tuned decoder, and what comes out of its training."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.settings import settings_identity
from styledag.training.records import StepLog

if TYPE_CHECKING:
    from styledag.training.recipe import Recipe

CODE_VERSION = "1"


@dataclass(frozen=True, kw_only=True)
class DecoderResult:
    """The outcome of a run, whether or not it was interrupted.

    Attributes:
        folder: The whole autoencoder in diffusers' layout, with the averaged decoder.
        log: Every optimiser step of the run.
        base_share: Share of the base's decoder that the average still holds.
        error: Mean error of the averaged decoder on the held-out images; ``None`` without any.
        base_error: The same of the base's decoder.
        seconds: Time that this process took; a resumed run counts from its resumption.
    """

    folder: Path
    log: tuple[StepLog, ...]
    base_share: float
    error: float | None
    base_error: float | None
    seconds: float


_SHARED = (
    "seed",
    "horizontal_flip",
    "max_grad_norm",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "weight_decay",
)
"""Settings of the recipe itself that the decoder is trained by too."""


def decoder_identity(recipe: "Recipe") -> dict[str, Any]:
    """Return the JSON form of all in a recipe that decides the tuned decoder.

    Its weight in the blend does not, nor does anything that concerns the UNet alone.

    Raises:
        ValueError: If the recipe has no ``decoder``.
    """
    if recipe.decoder is None:
        raise ValueError("the recipe has no decoder to train")
    own = settings_identity(recipe.decoder)
    del own["weight"]
    return own | {name: getattr(recipe, name) for name in _SHARED}
