"""What another trainer is told beside the images and captions."""

from dataclasses import dataclass
from typing import Literal

from styledag.bases.elsewhere import Elsewhere
from styledag.settings import StrictSettings, setting

Trainer = Literal["kohya", "onetrainer", "ai-toolkit", "diffusers", "webdataset"]
Predicts = Literal["noise", "v", "flow"]


@dataclass(frozen=True, kw_only=True)
class TrainerSettings(StrictSettings):
    """The style's settings that every trainer has a key for."""

    base: str = setting(help="Hub id or folder of the base model.", min_length=1)
    denoiser: str = setting("", help="File that replaces the base's denoiser; empty for none.")
    family: str = setting(help="Family of the base.")
    elsewhere: Elsewhere = setting(help="What the trainers call it.")
    text_encoders: tuple[str, ...] = setting(help="Names of its text encoders.")
    predicts: Predicts = setting(help="What its denoiser predicts.")
    zero_snr: bool = setting(
        False, help="Whether nothing of the image is left at the base's last timestep."
    )
    name: str = setting(help="Name of the model that is trained, for its file.", min_length=1)
    resolution_px: int = setting(512, ge=64, help="Side of the square that images are sized to.")
    repeats: int = setting(1, ge=1, help="How often an epoch contains each image.")
    flip: bool = setting(False, help="Whether images are mirrored at random.")
    caption_dropout: float = setting(
        0.1, ge=0, le=1, help="Share of the samples that are trained without their caption."
    )
    epochs: int = setting(10, ge=1, help="Passes over the images.")
    batch_size: int = setting(1, ge=1, help="Images in one microstep.")
    gradient_accumulation: int = setting(1, ge=1, help="Microsteps in one optimiser step.")
    learning_rate: float = setting(1e-5, gt=0, help="Learning rate at its highest.")
    lr_schedule: Literal["constant", "linear", "cosine"] = setting(
        "constant", help="How the learning rate falls towards the end of the run."
    )
    lr_warmup_steps: int = setting(0, ge=0, help="Optimiser steps over which it first rises.")
    optimizer: Literal["adamw", "adamw_8bit", "adafactor"] = setting(
        "adamw", help="The optimiser, of which adafactor is told how large its steps are."
    )
    adam_beta1: float = setting(0.9, ge=0, lt=1, help="AdamW's decay of the first moment.")
    adam_beta2: float = setting(0.999, ge=0, lt=1, help="AdamW's decay of the second moment.")
    adam_epsilon: float = setting(1e-8, gt=0, help="AdamW's epsilon.")
    weight_decay: float = setting(1e-2, ge=0, help="Decoupled weight decay.")
    max_grad_norm: float = setting(1.0, gt=0, help="Gradients are scaled down to this norm.")
    min_snr_gamma: float | None = setting(
        None, gt=0, help="The loss is weighed by min(SNR, gamma)/SNR; not when left out."
    )
    noise_offset: float = setting(
        0.0, ge=0, help="Standard deviation of a noise shared by each channel."
    )
    lora_rank: int | None = setting(
        None, ge=1, help="Rank of a LoRA; the whole denoiser is trained when left out."
    )
    lora_alpha: float | None = setting(
        None, gt=0, help="The LoRA is scaled by alpha over rank; the rank when left out."
    )
    seed: int = setting(0, ge=0, help="Seed of the run.")

    @property
    def lr_scheduler(self) -> str:
        """Name of its schedule in ``diffusers.optimization``, where a constant one never rises."""
        rises = self.lr_schedule == "constant" and self.lr_warmup_steps > 0
        return "constant_with_warmup" if rises else self.lr_schedule

    @property
    def alpha(self) -> float:
        """Alpha of the LoRA; 0 if there is none."""
        return float(self.lora_alpha or self.lora_rank or 0)
