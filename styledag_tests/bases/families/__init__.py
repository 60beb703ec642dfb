"""One file for each family: a tiny base of the real classes, and how diffusers computes with it."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from styledag.bases.conditioning import Conditioning

TEXTS = ("a red apple", "größe 🙂 hammer's", "a small dog on a sofa")


@dataclass(frozen=True, kw_only=True)
class TinyFamily:
    """A family as its contract is tested.

    Attributes:
        write: Writes a base into a folder that is made, given a CLIP tokenizer's folder.
        templates: Published bases by the template of ``styledag new`` that is for them.
        pipeline: Name of diffusers' pipeline.
        denoiser: Name of its denoiser.
        samplers: diffusers' schedulers by the names of samplers.
        states: What the pipeline's ``encode_prompt`` returns for texts, named as a conditioning.
        predict: The denoiser's prediction by a call of diffusers' own model: pipeline, latents,
            timesteps, conditioning.
        of_pipeline: Turns latents that the pipeline returns into the denoiser's.
        guidance: What the pipeline calls its classifier-free guidance scale.
        guided: Guidance scales of ours that are tested, with the pipeline's own for the same.
        prompted: What the pipeline is called with, given prompt and negative prompt.
        negative: A negative prompt; empty where the pipeline has none.
        sizes: Widths and heights of images that the pipeline draws; the second is not square.
        rate: Learning rate at which one image is soon overfitted.
        steps: How soon, in steps.
        slow: Whether that takes long.
        flow: Whether it is trained by flow matching.
        original: Names of tensors in published files of the denoiser alone, without
            ``model.diffusion_model``, and not as diffusers has them.
    """

    write: Callable[[Path, Path], Path]
    templates: Mapping[str, str]
    pipeline: str
    denoiser: str
    samplers: Mapping[str, str]
    states: Callable[[Any, list[str]], Mapping[str, Tensor]]
    predict: Callable[[Any, Tensor, Tensor, Conditioning], Tensor]
    of_pipeline: Callable[[Any, Tensor], Tensor] = lambda _, latents: latents
    guidance: str = "guidance_scale"
    guided: Mapping[float, float] = field(default_factory=lambda: {1.0: 1.0, 5.0: 5.0})
    prompted: Callable[[str, str], Mapping[str, Any]] = lambda prompt, negative: {
        "prompt": prompt,
        "negative_prompt": negative or None,
    }
    negative: str = "a ball"
    sizes: tuple[tuple[int, int], tuple[int, int]] = ((16, 16), (24, 16))
    rate: float = 3e-3
    steps: int = 200
    slow: bool = False
    flow: bool = True
    original: tuple[str, ...] = ()

    def load(self, folder: Path, **parts: Any) -> Any:
        """Return diffusers' pipeline of a base, in float32, with other parts if some are given."""
        import diffusers
        import torch

        pipeline = getattr(diffusers, self.pipeline).from_pretrained(
            folder, dtype=torch.float32, **parts
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


def tiny_families() -> dict[str, TinyFamily]:
    """Return the families of all files here, by name."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        found[module.name] = importlib.import_module(f"{__name__}.{module.name}").FAMILY
    return found
