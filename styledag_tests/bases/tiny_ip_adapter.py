"""IP-Adapters with random weights in the layout in which they are published."""

from pathlib import Path
from typing import Literal

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from styledag_tests.bases.tiny_parts import seeded

HIDDEN, PROJECTED = 16, 24
DEPTH, HEAD = 4, 64  # of the resampler, as diffusers has them
WEIGHTS, IMAGE_ENCODER = "models/adapter.safetensors", "models/image_encoder"
Layout = Literal["plain", "plus"]


def write_ip_adapter(folder: Path, unet: Path, layout: Layout = "plain") -> Path:
    """Write an adapter and its image encoder as in h94/IP-Adapter, and return the folder.

    Args:
        folder: Made.
        unet: Folder of the UNet that the adapter is for.
        layout: Plain, or Plus with a resampler of the encoder's hidden states.
    """
    config = CLIPVisionConfig(
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=3,
        num_attention_heads=2,
        projection_dim=PROJECTED,
        image_size=16,
        patch_size=8,
    )
    model = UNet2DConditionModel.from_pretrained(unet)
    with seeded():
        CLIPVisionModelWithProjection(config).save_pretrained(folder / IMAGE_ENCODER)
        tensors = {**_attention(model), **_projections(layout, model.config.cross_attention_dim)}
    save_file({name: each.contiguous() for name, each in tensors.items()}, folder / WEIGHTS)
    return folder


def _attention(unet: UNet2DConditionModel) -> dict[str, Tensor]:
    modules = [
        unet.get_submodule(name.removesuffix(".processor"))
        for name in unet.attn_processors
        if name.endswith("attn2.processor")
    ]
    return {
        f"ip_adapter.{2 * at + 1}.to_{each}_ip.weight": torch.randn(
            getattr(module, f"to_{each}").weight.shape
        )
        for at, module in enumerate(modules)
        for each in "kv"
    }


def _projections(layout: Layout, width: int) -> dict[str, Tensor]:
    if layout == "plain":
        tokens = 4
        parts: dict[str, nn.Module] = {
            "proj": nn.Linear(PROJECTED, tokens * width),
            "norm": nn.LayerNorm(width),
        }
        latents = {}
    else:
        parts = {
            "proj_in": nn.Linear(HIDDEN, width),
            "proj_out": nn.Linear(width, width),
            "norm_out": nn.LayerNorm(width),
        }
        for at in range(DEPTH):
            parts |= {
                f"layers.{at}.0.norm1": nn.LayerNorm(width),
                f"layers.{at}.0.norm2": nn.LayerNorm(width),
                f"layers.{at}.0.to_q": nn.Linear(width, HEAD, bias=False),
                f"layers.{at}.0.to_kv": nn.Linear(width, 2 * HEAD, bias=False),
                f"layers.{at}.0.to_out": nn.Linear(HEAD, width, bias=False),
                f"layers.{at}.1.0": nn.LayerNorm(width),
                f"layers.{at}.1.1": nn.Linear(width, 4 * width, bias=False),
                f"layers.{at}.1.3": nn.Linear(4 * width, width, bias=False),
            }
        latents = {"image_proj.latents": torch.randn(1, 3, width)}
    return latents | {
        f"image_proj.{part}.{name}": each
        for part, module in parts.items()
        for name, each in module.state_dict().items()
    }
