"""vae_decoder: fine-tune the decoder of a base's autoencoder, and nothing else of it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.models.compute import Compute
from styledag.progress import Progress
from styledag.settings import settings_identity
from styledag.training.records import StepLog

if TYPE_CHECKING:
    from torch import Tensor

    from styledag.training.encoding.dataset import EncodedDataset, EncodedSample
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


def train_decoder(
    encoded: "EncodedDataset",
    images: "Callable[[EncodedSample], Tensor]",
    base: Path,
    recipe: "Recipe",
    *,
    inputs: Mapping[str, str],
    compute: Compute,
    scratch: Path,
    progress: Progress,
    work: Counter[str],
) -> DecoderResult:
    """Fine-tune the decoder of a base's autoencoder towards the images of a style.

    The decoder and ``post_quant_conv`` are trained, from latents drawn anew from each image's
    cached posterior in every epoch. The encoder stays as it is, bit for bit, so that latents mean
    the same to every UNet of the base. The error is the squared plus half the absolute one: the
    perceptual term that Stable Diffusion's own decoders were also trained with (LPIPS) needs the
    weights of a further network, which are not at hand.

    A killed run that is started again with the same ``scratch`` resumes from its newest state,
    and on one machine's CPU ends in the same weights, bit for bit.

    Args:
        encoded: Images, encoded by the same base; the training split is trained on.
        images: Gives a sample's own pixels: float32 in -1 to 1, [3, H, W].
        base: Folder of the base in diffusers' layout; its ``vae`` is read.
        recipe: Its ``decoder``; run seed, mirroring, AdamW's other settings and how often
            a state is saved are those of the recipe itself.
        inputs: Versions of all that is read, by name; no state that was made from other versions
            is resumed from.
        compute: Device and dtype of autocast; weights and averages stay float32.
        scratch: Folder for states and the result, of this run alone.
        progress: Sees one task of all optimiser steps, with ``loss``.
        work: Counts ``decoder_steps``, the optimiser steps really done.

    Raises:
        DataError: If the training split is empty, or an image does not fit its latents.
        ModelError: If the base's autoencoder cannot be loaded.
        TrainingError: If the loss or a gradient is NaN or infinite, a weight overflows the base's
            dtype, memory runs out, or float16 is asked for.
        DeviceError: If a CUDA device fails.
        StorageError: If the disk is full or cannot be written.
        ValueError: If the recipe has no ``decoder``.
    """
    from styledag.training.decoder.decoder_run import DecoderRun
    from styledag.training.device_errors import device_errors

    if recipe.decoder is None:
        raise ValueError("the recipe has no decoder to train")
    needs_less = f"lower decoder.batch_size from {recipe.decoder.batch_size}"
    with device_errors(compute.device, needs_less=needs_less):
        run = DecoderRun(
            encoded,
            images,
            base,
            recipe,
            recipe.decoder,
            inputs=inputs,
            compute=compute,
            work=work,
        )
        return run.run(scratch, progress)
