"""How the starter's weights are stored: in half the bytes, and read back as float32."""

import json
from pathlib import Path
from typing import Any


def save_half(model: Any, folder: Path) -> None:
    """Write a transformers model's folder with float16 weights; the model becomes float16 too."""
    model.half().save_pretrained(folder)
    name_float32(folder / "config.json")


def name_float32(path: Path) -> None:
    """Let a transformers model compute in float32 however its weights are stored.

    Plain ``from_pretrained`` takes the type that ``config.json`` names, and a CPU is far slower in
    float16. diffusers takes float32 by itself.

    Args:
        path: The model's ``config.json``, which is written anew.
    """
    config = json.loads(path.read_text(encoding="utf-8"))
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        if "dtype" in part:
            part["dtype"] = "float32"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def forget_path(path: Path) -> None:
    """Take out of a model's ``config.json`` the folder that it once was read from."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("_name_or_path", None)
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def quieten_branches(model: Any) -> None:
    """Set what each residual branch of a diffusers model adds to zero, before it is trained.

    The model then starts as its skip connections, which train several times faster than
    diffusers' own initial weights (Ho et al. 2020, "Denoising Diffusion Probabilistic Models", did
    the same).

    Args:
        model: An ``AutoencoderKL`` or a ``UNet2DConditionModel``, changed in place.
    """
    import torch
    from diffusers.models.attention import BasicTransformerBlock
    from diffusers.models.resnet import ResnetBlock2D

    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, ResnetBlock2D):
                part.conv2.weight.zero_()
            elif isinstance(part, BasicTransformerBlock):
                for last in (part.attn1.to_out[0], part.attn2.to_out[0], part.ff.net[2]):
                    last.weight.zero_()
