"""A recipe: what is trained, for how long and with which average. Standard library only."""

from dataclasses import dataclass
from typing import Literal

from styledag.settings import STRICT, check_settings, setting


@dataclass(frozen=True, kw_only=True)
class EmaSettings:
    """The exponential moving average of the trained weights.

    Attributes:
        mode: ``base`` starts at the base's weights with a constant decay, so that the average is
            itself a blend of base and fine-tune (as Text to Pokemon did); ``warmup`` is diffusers'
            ramp, which forgets the base at once; ``none`` keeps the trained weights.
    """

    __pydantic_config__ = STRICT

    mode: Literal["base", "warmup", "none"] = setting(
        "base", help="base keeps a stated share of the base; warmup forgets it; none averages not."
    )
    base_share: float | None = setting(
        None, gt=0, lt=1, help="Mode base: share of the base left in the average at the run's end."
    )
    decay: float | None = setting(
        None,
        ge=0,
        lt=1,
        help="Mode base: the decay itself, instead of base_share; mode warmup: "
        "the decay's upper limit, 0.9999 when left out.",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.mode == "base" and (self.base_share is None) == (self.decay is None):
            raise ValueError("EMA mode 'base' needs base_share or decay, and not both")
        if self.mode != "base" and self.base_share is not None:
            raise ValueError(
                f"EMA mode {self.mode!r} holds no share of the base: remove base_share"
            )
        if self.mode == "none" and self.decay is not None:
            raise ValueError("EMA mode 'none' has no decay: remove it")


def _default_ema() -> EmaSettings:
    return EmaSettings(mode="base", base_share=0.2)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way of training within a style."""

    __pydantic_config__ = STRICT

    trained: Literal["unet", "attention", "cross_attention"] = setting(
        "unet", help="The whole UNet, its attention layers, or only those that read the caption."
    )
    epochs: int = setting(10, ge=1, le=999, help="Passes over the training split.")
    batch_size: int = setting(4, ge=1, help="Pictures in one microstep.")
    gradient_accumulation: int = setting(1, ge=1, help="Microsteps in one optimiser step.")
    learning_rate: float = setting(1e-4, gt=0, lt=1, help="AdamW's learning rate at its highest.")
    lr_schedule: Literal["constant", "linear", "cosine"] = setting(
        "constant", help="How the learning rate falls towards the end of the run."
    )
    lr_warmup_steps: int = setting(0, ge=0, help="Optimiser steps over which it first rises.")
    adam_beta1: float = setting(0.9, ge=0, lt=1, help="AdamW's decay of the first moment.")
    adam_beta2: float = setting(0.999, ge=0, lt=1, help="AdamW's decay of the second moment.")
    adam_epsilon: float = setting(1e-8, gt=0, help="AdamW's epsilon.")
    weight_decay: float = setting(1e-2, ge=0, help="AdamW's decoupled weight decay.")
    max_grad_norm: float = setting(1.0, gt=0, help="Gradients are scaled down to this norm.")
    caption_dropout: float = setting(
        0.1, ge=0, lt=1, help="Share of captions replaced by the empty one, for guidance."
    )
    horizontal_flip: bool = setting(True, help="Mirror half of the pictures; not for lettering.")
    min_snr_gamma: float | None = setting(
        None, gt=0, help="Weigh the loss by min(SNR, gamma)/SNR; 5 is usual, none when left out."
    )
    ema: EmaSettings = setting(default_factory=_default_ema, help="The moving average.")
    snapshot_every_epochs: int = setting(1, ge=1, help="Epochs between two checkpoints.")
    save_state_every_steps: int = setting(
        200, ge=1, identity=False, help="Optimiser steps between two states to resume from."
    )
    seed: int = setting(0, ge=0, help="Run seed that all of training's randomness follows from.")

    def __post_init__(self) -> None:
        check_settings(self)
