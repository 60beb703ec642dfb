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
    learning_rate: float = setting(1e-5, gt=0, help="Learning rate, constant.")
    lora_rank: int | None = setting(
        None, ge=1, help="Rank of a LoRA; the whole denoiser is trained when left out."
    )
    lora_alpha: float | None = setting(
        None, gt=0, help="The LoRA is scaled by alpha over rank; the rank when left out."
    )
    seed: int = setting(0, ge=0, help="Seed of the run.")

    @property
    def alpha(self) -> float:
        """Alpha of the LoRA; 0 if there is none."""
        return float(self.lora_alpha or self.lora_rank or 0)
