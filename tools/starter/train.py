"""Train the starter from nothing: ``python -m tools.starter.train --work FOLDER [STAGE ...]``.

Stages follow each other, and each resumes where it stopped. Two can run side by side, each in
a process of its own, once what they start from is there: the autoencoder beside CLIP, BLIP beside
the UNet. No Dagster is needed, and with a GPU it is used.
Under ``torchrun`` processes share a stage.
"""

import argparse
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, distributed

from styledag.sampling.marking import marked_png
from tools.starter import (
    artist_judge_recipe,
    autoencoder_recipe,
    blip_recipe,
    clip_recipe,
    unet_recipe,
)
from tools.starter.artist_judge_recipe import (
    JudgeDrawings,
    judge_drawings,
    other_drawings,
    train_artist_judge,
)
from tools.starter.autoencoder_recipe import train_autoencoder
from tools.starter.blip_recipe import train_blip
from tools.starter.clip_recipe import train_clip
from tools.starter.images import Images, read_all_drawings, read_images, read_measured
from tools.starter.loop import LoopSettings
from tools.starter.pixels import tiled
from tools.starter.unet_recipe import (
    Shown,
    TextStates,
    encode_shown,
    sample_images,
    shown_of,
    train_unet,
)
from tools.starter.vocabulary import clip_tokenizer
from tools.starter.whiten import standardise_latents

LOOKED_AT = (
    "a drawing of a panda face", "a drawing of an apple", "a drawing of an octopus",
    "a drawing of a rocket", "a drawing of a car", "a drawing of a house", "a drawing of a hammer",
    "a drawing of a bicycle", "a 3d render of a rocket", "a picture of a rocket, paper",
    "a picture of a rocket, icon", "a drawing of a house, dark", "a drawing of a house, emoji",
    "a drawing of a fox face, blue", "a picture of a house, icon", "a picture of a house, symbol",
)  # fmt: skip
"""Prompts of the samples that are drawn during training."""


@dataclass
class Training:
    """All stages, with what they have in common read only once.

    Attributes:
        work: Folder of downloads, states and logs.
        device: Where to train.
        steps: Lengths of stages by their settings' name, where they differ from the recipe's.
    """

    work: Path
    device: torch.device
    steps: Mapping[str, int]

    @cached_property
    def images(self) -> Images:
        """The drawings to learn from."""
        return read_images(self.work / "packages")

    @cached_property
    def measured(self) -> tuple[list[int], Tensor]:
        """The unseen drawings to measure on."""
        return read_measured(self.images.subjects)

    @property
    def folder(self) -> Path:
        """Where states and logs are."""
        return self.work / "run"

    def settings(self, recipe: LoopSettings) -> LoopSettings:
        """Return a recipe's settings, with the length that was asked for."""
        return replace(recipe, steps=self.steps.get(recipe.name, recipe.steps))

    def autoencoder(self) -> Any:
        """Return the autoencoder, its latents standardised."""
        vae = train_autoencoder(
            read_all_drawings(self.work / "packages"),
            self.measured[1],
            self.folder,
            settings=self.settings(autoencoder_recipe.SETTINGS),
            device=self.device,
        )
        standardise_latents(vae, self.images.pixels)
        return vae

    def clip(self) -> Any:
        """Return CLIP, whose text tower the pipeline uses."""
        return train_clip(
            self.images,
            self.measured,
            self.folder,
            settings=self.settings(clip_recipe.SETTINGS),
            device=self.device,
        )

    def blip(self) -> Any:
        """Return BLIP."""
        return train_blip(
            self.images,
            self.measured,
            self.folder,
            clip=self.clip(),
            settings=self.settings(blip_recipe.SETTINGS),
            device=self.device,
        )

    def artist_judge(self) -> Any:
        """Return the judge of artists, which has a part in no other stage."""

        def draw() -> JudgeDrawings:
            others = other_drawings(self.work / "packages", self.images.subjects)
            return judge_drawings(self.images, others, self.autoencoder(), device=self.device)

        return train_artist_judge(
            draw,
            self.folder,
            settings=self.settings(artist_judge_recipe.SETTINGS),
            device=self.device,
        )

    def unet(self) -> Any:
        """Return the UNet; samples are drawn into the log's folder now and then."""
        vae, clip = self.autoencoder(), self.clip()
        text = TextStates(clip.text_model.eval(), clip_tokenizer())

        def report(unet: Any, step: int) -> dict[str, float]:
            drawn = sample_images(unet, vae, text, list(LOOKED_AT))
            save_grid(drawn, self.folder / "samples" / f"{step:06d}.png", columns=8)
            return {}

        shown = shown_of(self.images)
        return train_unet(
            self.images,
            shown,
            self._latents(vae, shown),
            text,
            self.folder,
            settings=self.settings(unet_recipe.SETTINGS),
            device=self.device,
            report=report,
        )

    def _latents(self, vae: Any, shown: Shown) -> dict[str, Tensor]:
        """Return the latents of what is shown, encoded once for each autoencoder."""
        seen = hashlib.sha256()
        for tensor in (*vae.state_dict().values(), shown.drawing, shown.appearance):
            seen.update(tensor.cpu().numpy().tobytes())
        kept = self.folder / f"latents-{seen.hexdigest()[:12]}.pt"
        if not kept.exists():
            encoded = encode_shown(vae, self.images, shown, self.device)
            written = kept.with_suffix(f".{os.getpid()}")
            torch.save(encoded, written)
            written.replace(kept)
        latents: dict[str, Tensor] = torch.load(kept, map_location=self.device, weights_only=True)
        return latents


STAGES: Mapping[str, Callable[[Training], Any]] = {
    "autoencoder": Training.autoencoder,
    "clip": Training.clip,
    "unet": Training.unet,
    "blip": Training.blip,
    "artist-judge": Training.artist_judge,
}
"""In the order in which they follow each other."""


def save_grid(pixels: Tensor, path: Path, *, columns: int) -> None:
    """Write images that a model drew side by side as one PNG, with the mark that says so.

    Args:
        pixels: Between 0 and 1. # BCHW
        path: File to write.
        columns: Images in a row.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    grid = (tiled(pixels.cpu(), columns=columns) * 255).round().to(torch.uint8)
    path.write_bytes(marked_png(Image.fromarray(grid.permute(1, 2, 0).numpy())))


def arguments_of(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of what all of the starter's commands take."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", type=Path, default=Path(".starter"), help="downloads and states")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves torch's")
    parser.add_argument(
        "--steps", action="append", default=[], metavar="STAGE=N", help="another length"
    )
    return parser


def training_of(arguments: argparse.Namespace) -> Training:
    """Return the training that a command line asks for."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pairs = (pair.partition("=") for pair in arguments.steps)
    steps = {name: int(count) for name, _, count in pairs}
    return Training(arguments.work, device, steps)


def main() -> None:
    """Train the stages named on the command line, or all of them."""
    parser = arguments_of(__doc__)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=", ".join(STAGES))
    arguments = parser.parse_args()
    unknown = [stage for stage in arguments.stages if stage not in STAGES]
    if unknown:
        parser.error(f"unknown stage {unknown[0]!r}: choose from {', '.join(STAGES)}")
    if distributed.is_torchelastic_launched():
        distributed.init_process_group()
    training = training_of(arguments)
    for stage in arguments.stages or STAGES:
        STAGES[stage](training)


if __name__ == "__main__":
    main()
