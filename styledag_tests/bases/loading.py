"""Models of a base by diffusers' own loading, and its index."""

import json
from pathlib import Path
from typing import Any

INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def write_index(folder: Path, **changed: object) -> None:
    """Write ``model_index.json`` of Stable Diffusion, or a changed one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model_index.json").write_text(json.dumps(INDEX | changed), encoding="utf-8")


def load_unet(base: Path, *, subfolder: str = "unet", dtype: Any = None) -> Any:
    """Return a UNet in evaluation mode, float32 when no dtype is given."""
    import torch
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(
        base / subfolder, torch_dtype=dtype or torch.float32, low_cpu_mem_usage=False
    ).eval()


def save_unet(unet: Any, weights: Any, folder: Path, *, dtype: Any = None) -> None:
    """Write a UNet with other weights as training does, float16 when no dtype is given."""
    import torch

    from styledag.training.snapshots.write import halves, write_halves

    write_halves(unet, halves(weights, dtype or torch.float16), folder)


def load_vae(base: Path, *, subfolder: str = "vae") -> Any:
    """Return an autoencoder, float32, in evaluation mode."""
    import torch
    from diffusers import AutoencoderKL

    return AutoencoderKL.from_pretrained(
        base / subfolder, torch_dtype=torch.float32, low_cpu_mem_usage=False
    ).eval()
