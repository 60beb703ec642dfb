"""The starter's figures: what its folder does on images and prompts that it was not taught."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tools.starter.autoencoder_recipe import reconstruction_psnr_db
from tools.starter.blip_recipe import named, share_named
from tools.starter.clip_recipe import image_embeddings, name_embeddings, top_share
from tools.starter.subjects import Subject, with_article
from tools.starter.unet_recipe import TextStates, is_in_focus, sample_images

GUIDANCE_SCALE = 3.0
SAMPLING_STEPS = 25
SEEDS = (0, 1, 2, 3)
ASKED = 100
"""Of how many subjects samples are drawn."""
COMPARED = 400
"""Among how many names a sample's own is looked for."""
COMBINATIONS = (
    "a drawing of a blue cat face", "a drawing of a red fish", "a drawing of a green apple car",
    "a drawing of a yellow house", "a drawing of a pink elephant", "a drawing of a purple banana",
    "a drawing of a cat with a crown", "a drawing of a dog with sunglasses",
    "a drawing of a fox with a top hat", "a drawing of a bear with a guitar",
    "a drawing of a rocket and a star", "a drawing of a house on fire",
    "a drawing of a boat with a rainbow", "a drawing of a snowman with an umbrella",
    "a 3d render of a golden key", "a 3d render of a blue bicycle",
    "a 3d render of a chocolate cake with a strawberry", "a 3d render of a panda astronaut",
    "a 3d render of a green dragon car", "a 3d render of a robot cat",
)  # fmt: skip
"""Prompts that combine known words in ways that no caption had."""


@dataclass(frozen=True)
class Models:
    """What lies in a starter's folder, in float32 and ready to use."""

    vae: Any
    unet: Any
    text: TextStates
    clip: Any
    clip_words: Any
    blip: Any
    blip_words: Any


def load_models(folder: Path) -> Models:
    """Return a starter's models, read by the classes that a user would read them with."""
    from diffusers import StableDiffusionPipeline
    from transformers import AutoProcessor, BlipForConditionalGeneration, CLIPModel

    pipeline: Any = StableDiffusionPipeline.from_pretrained(
        folder / "stable-diffusion", dtype=torch.float32
    )
    return Models(
        vae=pipeline.vae.eval(),
        unet=pipeline.unet.eval(),
        text=TextStates(pipeline.text_encoder.eval(), pipeline.tokenizer),
        clip=CLIPModel.from_pretrained(folder / "clip").eval(),
        clip_words=pipeline.tokenizer,
        blip=BlipForConditionalGeneration.from_pretrained(folder / "blip").eval(),
        blip_words=AutoProcessor.from_pretrained(folder / "blip").tokenizer,
    )


def seen_figures(
    models: Models, subjects: tuple[Subject, ...], measured: tuple[list[int], Tensor]
) -> dict[str, float]:
    """Return what autoencoder, CLIP and BLIP make of images that they never saw.

    Args:
        models: The starter.
        subjects: All subjects.
        measured: Positions in ``subjects``, and uint8 drawings. # BCHW
    """
    positions, drawings = measured
    pixels = drawings.float() / 255
    names = name_embeddings(models.clip, models.clip_words, tuple(subjects[at] for at in positions))
    captions = named(models.blip, models.blip_words, pixels)
    return {
        "psnr_db": reconstruction_psnr_db(models.vae, drawings, torch.device("cpu")),
        "clip_top5": top_share(
            image_embeddings(models.clip, pixels), names, torch.arange(len(positions))
        ),
        "blip_named": share_named(captions, subjects, positions),
    }


def asked_subjects(subjects: tuple[Subject, ...], count: int = ASKED) -> list[int]:
    """Return the subjects that samples are asked of: those that the UNet was shown often.

    Args:
        subjects: All subjects.
        count: How many at most.
    """
    return [at for at, subject in enumerate(subjects) if is_in_focus(subject)][:count]


def compared_subjects(subjects: tuple[Subject, ...], count: int = COMPARED) -> list[int]:
    """Return the subjects among whose names a sample's is looked for, in their order.

    Args:
        subjects: All subjects.
        count: How many: those that samples are asked of, and evenly chosen others.
    """
    asked = asked_subjects(subjects)
    others = [at for at in range(len(subjects)) if at not in set(asked)]
    missing = min(count - len(asked), len(others))
    spread = np.linspace(0, len(others) - 1, missing).astype(int)
    return sorted([*asked, *(others[at] for at in spread)])


def drawn_subjects(models: Models, subjects: list[Subject]) -> Tensor:
    """Return drawings of subjects, as many as there are :data:`SEEDS` of each; BCHW."""
    prompts = [f"a drawing of {with_article(subject.name)}" for subject in subjects]
    return torch.cat([drawn(models, prompts, seed) for seed in SEEDS])


def drawn(models: Models, prompts: list[str], seed: int) -> Tensor:
    """Return an image of each prompt, as the demo draws them; BCHW."""
    parts = [
        sample_images(
            models.unet,
            models.vae,
            models.text,
            prompts[start : start + 32],
            seed=seed,
            steps=SAMPLING_STEPS,
            guidance_scale=GUIDANCE_SCALE,
        )
        for start in range(0, len(prompts), 32)
    ]
    return torch.cat(parts)
