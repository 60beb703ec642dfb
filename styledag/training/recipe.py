"""A recipe: what is trained, for how long and with which average. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from styledag.bases.flow_objective import FlowSettings
from styledag.errors import TrainingError
from styledag.settings import StrictSettings, setting

Trained = Literal["unet", "attention", "cross_attention"]

MAX_RATE_SHARE = 10
"""Most that a block's rate may be of the recipe's: beyond it lies a mistyped number."""

MAX_EPOCHS = 999
"""Most passes over the training split: checkpoints are named by three digits."""

MAX_POWER_LENGTH = 0.28
"""A power-function average's weight has at most the deviation of the uniform one, 12 ** -0.5."""


@dataclass(frozen=True, kw_only=True)
class EmaSettings(StrictSettings):
    """The exponential moving average of the trained weights.

    Attributes:
        mode: ``base`` starts at the base's weights with a constant decay, so that the average is
            itself a blend of base and fine-tune (as Text to Pokemon did); ``warmup`` is diffusers'
            ramp, which forgets the base at once; ``power`` keeps two power-function averages from
            which any length is reconstructed afterwards (Karras et al. 2024); ``none`` keeps the
            trained weights.
    """

    mode: Literal["base", "warmup", "power", "none"] = setting(
        "base",
        help="base keeps a stated share of the base; warmup forgets it; power keeps two averages "
        "of which any length can be made afterwards; none averages not.",
    )
    base_share: float | None = setting(
        None,
        gt=0,
        lt=1,
        help="Mode base, which needs this or decay: share of the base left in the average at the "
        "run's end.",
    )
    decay: float | None = setting(
        None,
        ge=0,
        lt=1,
        help="Mode base: the decay itself, instead of base_share; mode warmup: "
        "the decay's upper limit, 0.9999 when left out.",
    )
    lengths: tuple[float, float] | None = setting(
        None,
        help="Mode power: standard deviations of the two averages' weight over time, as shares of "
        "the run, 0.05 and 0.1 when left out; snapshots show the first.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode == "base" and (self.base_share is None) == (self.decay is None):
            raise ValueError("EMA mode 'base' needs base_share or decay, and not both")
        if self.mode != "base" and self.base_share is not None:
            raise ValueError(
                f"EMA mode {self.mode!r} holds no share of the base: remove base_share"
            )
        if self.mode in ("none", "power") and self.decay is not None:
            raise ValueError(f"EMA mode {self.mode!r} has no decay: remove it")
        if self.lengths is None:
            return
        if self.mode != "power":
            raise ValueError(f"EMA mode {self.mode!r} has no lengths: remove them")
        if not 0 < self.lengths[0] < self.lengths[1] < MAX_POWER_LENGTH:
            raise ValueError(
                f"lengths {list(self.lengths)} must rise between 0 and {MAX_POWER_LENGTH}"
            )


@dataclass(frozen=True, kw_only=True)
class LoraSettings(StrictSettings):
    """Low-rank adapters beside the layers that a recipe trains, in place of the layers."""

    rank: int = setting(16, ge=1, le=512, help="Rank of each adapter's two matrices.")
    alpha: float | None = setting(
        None, gt=0, help="The adapter is scaled by alpha over rank; the rank when left out."
    )
    base_bits: Literal[8, 4] | None = setting(
        None,
        help="Keep the frozen base's linear layers in 8 or 4 bits while adapters are trained, for "
        "cards too small for it; the model is made of the base as it is. Needs bitsandbytes.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.base_bits not in (None, 8, 4):
            raise ValueError(f"base_bits is {self.base_bits!r}, but must be 8, 4 or left out")


@dataclass(frozen=True, kw_only=True)
class PriorSettings(StrictSettings):
    """DreamBooth's prior preservation: the base's own images of the class, trained on beside.

    Ruiz et al. 2023, "DreamBooth: Fine Tuning Text-to-Image Diffusion Models for Subject-Driven
    Generation".
    """

    class_prompt: str = setting(min_length=1, help="What the base is asked for, such as a drawing.")
    images: int = setting(100, ge=1, help="How many the base draws, once.")
    loss_weight: float = setting(1.0, gt=0, help="Their loss's weight beside the style's.")
    num_inference_steps: int = setting(25, ge=1, le=1000, help="Denoising steps of each.")
    guidance_scale: float | None = setting(
        None,
        ge=0,
        help="Classifier-free guidance of each, counted from 1; the base's usual one when left "
        "out: 7.5 for Stable Diffusion 1.x, 4 for FLUX.2 klein.",
    )


@dataclass(frozen=True, kw_only=True)
class StoppingSettings(StrictSettings):
    """What happens when the loss on the held-out families turns."""

    patience: int = setting(
        3, ge=1, help="Snapshots without a lower validation loss after which it has turned."
    )
    action: Literal["mark", "stop"] = setting(
        "stop", help="stop ends the run there; mark goes on. Either names the best snapshot."
    )


@dataclass(frozen=True, kw_only=True)
class DecoderSettings(StrictSettings):
    """Fine-tuning of the VAE's decoder, beside the UNet and apart from it.

    The encoder stays as it is, so latents mean the same to every UNet of the base.
    """

    epochs: int = setting(5, ge=1, le=MAX_EPOCHS, help="Passes over the training split.")
    batch_size: int = setting(4, ge=1, help="Images in one optimiser step.")
    learning_rate: float = setting(1e-5, gt=0, lt=1, help="AdamW's learning rate.")
    ema_decay: float = setting(0.999, ge=0, lt=1, help="Decay of the decoder's own average.")
    weight: float = setting(
        1.0, ge=0, le=1, help="Share of the tuned decoder in the one that images are drawn with."
    )


def _default_ema() -> EmaSettings:
    return EmaSettings(mode="base", base_share=0.2)


@dataclass(frozen=True, kw_only=True)
class Recipe(StrictSettings):
    """One way of training within a style."""

    trained: Trained = setting(
        "unet", help="The whole UNet, its attention layers, or only those that read the caption."
    )
    blocks: tuple[str, ...] | None = setting(
        None,
        min_length=1,
        help="Blocks of the base in which that is trained, for Stable Diffusion of down, mid, up, "
        "down.0, up.0 and so on; everywhere when left out, and outside of all blocks only then.",
    )
    block_rates: Mapping[str, float] = setting(
        default_factory=dict,
        help="Shares of the learning rate for single blocks, such as {up.0: 0.5}; 1 for others.",
    )
    lora: LoraSettings | None = setting(
        None, help="Train low-rank adapters of those layers instead of the layers themselves."
    )
    epochs: int = setting(10, ge=1, le=MAX_EPOCHS, help="Passes over the training split.")
    batch_size: int = setting(4, ge=1, help="Images in one microstep.")
    gradient_accumulation: int = setting(1, ge=1, help="Microsteps in one optimiser step.")
    learning_rate: float = setting(1e-4, gt=0, lt=1, help="AdamW's learning rate at its highest.")
    lr_schedule: Literal["constant", "linear", "cosine"] = setting(
        "constant", help="How the learning rate falls towards the end of the run."
    )
    lr_warmup_steps: int = setting(0, ge=0, help="Optimiser steps over which it first rises.")
    optimizer: Literal["adamw", "adamw_8bit", "adafactor"] = setting(
        "adamw",
        help="adamw_8bit keeps its moments in a quarter of the bytes; adafactor keeps sums only.",
    )
    adam_beta1: float = setting(0.9, ge=0, lt=1, help="AdamW's decay of the first moment.")
    adam_beta2: float = setting(0.999, ge=0, lt=1, help="AdamW's decay of the second moment.")
    adam_epsilon: float = setting(1e-8, gt=0, help="AdamW's epsilon.")
    weight_decay: float = setting(1e-2, ge=0, help="AdamW's decoupled weight decay.")
    weights: Literal["float32", "bfloat16"] = setting(
        "float32",
        help="Dtype of the weights that steps are taken on; bfloat16 rounds stochastically, spares "
        "the float32 ones beside those of the passes, and computes in bfloat16. The average stays "
        "float32.",
    )
    gradient_checkpointing: bool = setting(
        False,
        identity=False,
        help="Compute activations twice instead of keeping them: slower, in less memory.",
    )
    ema_on_cpu: bool = setting(
        False,
        identity=False,
        help="Keep the average in host memory: for cards too small for it.",
    )
    max_grad_norm: float = setting(1.0, gt=0, help="Gradients are scaled down to this norm.")
    caption_dropout: float = setting(
        0.1, ge=0, lt=1, help="Share of captions replaced by the empty one, for guidance."
    )
    dropped_captions: Literal["style", "base"] = setting(
        "style",
        help="What the empty caption is taught: the style too, or to go on saying what the base "
        "says, so that guidance leads from the base to the style.",
    )
    instance_prompt: str | None = setting(
        None, help="Say this of every image, as DreamBooth does, in place of its caption."
    )
    prior: PriorSettings | None = setting(
        None, help="DreamBooth's prior preservation; none when left out."
    )
    family_weighting: float = setting(
        0.0,
        ge=0,
        le=1,
        help="0 counts every image alike, 1 every family of near-duplicates alike.",
    )
    horizontal_flip: bool = setting(True, help="Mirror half of the images; not for lettering.")
    min_snr_gamma: float | None = setting(
        None, gt=0, help="Weigh the loss by min(SNR, gamma)/SNR; 5 is usual, none when left out."
    )
    flow: FlowSettings | None = setting(
        None, help="Flow matching, for bases trained by it; its defaults when left out."
    )
    noise_offset: float = setting(
        0.0, ge=0, le=1, help="Standard deviation of a noise shared by each channel; 0.05 is usual."
    )
    ema: EmaSettings = setting(
        default_factory=_default_ema,
        help="The moving average; {mode: base, base_share: 0.2} when left out.",
    )
    snapshot_every_epochs: int = setting(1, ge=1, help="Epochs between two checkpoints.")
    snapshot_dtype: Literal["float16", "bfloat16"] = setting(
        "float16",
        help="Dtype of the weights in a checkpoint; bfloat16 loses small changes, and is for "
        "weights too large for float16.",
    )
    snapshot_format: Literal["full", "delta"] = setting(
        "full",
        help="delta stores a checkpoint as its difference to the base, without loss, in fewer "
        "bytes.",
    )
    decoder: DecoderSettings | None = setting(
        None, identity=False, help="Fine-tune the VAE's decoder too; it stays the base's if not."
    )
    stopping: StoppingSettings | None = setting(
        None, help="Whether to stop when the validation loss turns; never when left out."
    )
    save_state_every_steps: int = setting(
        200, ge=1, identity=False, help="Optimiser steps between two states to resume from."
    )
    keep_state: bool = setting(
        True,
        identity=False,
        help="Keep the last state of a finished run, so that a run with more epochs can continue "
        "from it: weights, average and the optimiser's moments, in float32.",
    )
    loggers: tuple[Literal["tensorboard", "trackio", "wandb"], ...] = setting(
        (),
        identity=False,
        help="Where else the training log and each checkpoint's images go, if that is installed; "
        "trackio is local and needs no account.",
    )
    seed: int = setting(0, ge=0, help="Run seed that all of training's randomness follows from.")

    @property
    def base_bits(self) -> Literal[8, 4] | None:
        """Bits of the frozen base's linear layers; ``None`` where it is not quantised."""
        return None if self.lora is None else self.lora.base_bits

    @property
    def needs_bitsandbytes(self) -> bool:
        """Whether it is trained with kernels of bitsandbytes."""
        return self.optimizer == "adamw_8bit" or self.base_bits is not None

    @property
    def snapshot_epochs(self) -> list[int]:
        """Epochs after which a checkpoint is kept, unless training stops early."""
        every = self.snapshot_every_epochs
        return [*range(every, self.epochs, every), self.epochs]

    def __post_init__(self) -> None:
        super().__post_init__()
        for block, share in self.block_rates.items():
            if not 0 < share <= MAX_RATE_SHARE:
                raise ValueError(
                    f"block_rates[{block!r}] is {share!r}, but must be above 0 and at most "
                    f"{MAX_RATE_SHARE}: to leave a part as it is, do not name it in blocks"
                )
        if self.dropped_captions == "base" and not self.caption_dropout:
            raise ValueError(
                "dropped_captions is 'base', but caption_dropout is 0: drop some (0.25 is a good "
                "share), or remove dropped_captions"
            )


def recipe_from_json(text: str, name: str) -> Recipe:
    """Return a recipe that was written as JSON, where no style file is read.

    Raises:
        TrainingError: If it is no such object, or a key or value is not the recipe's.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Recipe).validate_json(text)
    except ValidationError as exc:
        first = exc.errors()[0]
        key = ".".join(map(str, first["loc"]))
        found = f" (found {first['input']!r})" if key else ""
        raise TrainingError(f"{name} is no recipe: {key or 'it'}: {first['msg']}{found}") from exc
