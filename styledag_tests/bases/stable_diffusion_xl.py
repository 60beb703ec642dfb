"""A base of Stable Diffusion XL with tiny random weights of the real classes."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

WIDTHS, PROJECTED, TIME_WIDTH = (32, 48), 24, 8
FACTOR = 2
CHANNELS = 4


def write_stable_diffusion_xl(folder: Path, tokenizer: Path, **scheduler: Any) -> Path:
    """Write a base, and return its folder.

    Args:
        folder: Made.
        tokenizer: Folder of a CLIP tokenizer; the second one pads with another token, as SDXL's.
        **scheduler: Settings of its schedule beside SDXL's own.
    """
    shutil.copytree(tokenizer, folder / "tokenizer")
    shutil.copytree(tokenizer, folder / "tokenizer_2")
    tokens = CLIPTokenizer.from_pretrained(folder / "tokenizer_2")
    tokens.pad_token = "!"
    tokens.save_pretrained(folder / "tokenizer_2")
    EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="leading",
        steps_offset=1,
        **scheduler,
    ).save_pretrained(folder / "scheduler")
    _state_more(folder / "scheduler" / "scheduler_config.json")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        CLIPTextModel(_text_config(tokens, WIDTHS[0])).save_pretrained(folder / "text_encoder")
        CLIPTextModelWithProjection(_text_config(tokens, WIDTHS[1])).save_pretrained(
            folder / "text_encoder_2"
        )
        AutoencoderKL(
            sample_size=16,
            latent_channels=CHANNELS,
            block_out_channels=(8, 16),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
            scaling_factor=0.13025,
            force_upcast=True,
        ).save_pretrained(folder / "vae")
        UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(16, 32),
            layers_per_block=1,
            norm_num_groups=8,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=(2, 4),
            transformer_layers_per_block=(1, 2),
            use_linear_projection=True,
            cross_attention_dim=sum(WIDTHS),
            addition_embed_type="text_time",
            addition_time_embed_dim=TIME_WIDTH,
            projection_class_embeddings_input_dim=PROJECTED + 6 * TIME_WIDTH,
        ).save_pretrained(folder / "unet")
    index = {
        "_class_name": "StableDiffusionXLPipeline",
        "force_zeros_for_empty_prompt": True,
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def _state_more(path: Path) -> None:
    """State what SDXL's schedule states for other samplers than its own."""
    config = json.loads(path.read_text())
    further = {"clip_sample": False, "set_alpha_to_one": False, "skip_prk_steps": True}
    path.write_text(json.dumps(config | further), encoding="utf-8")


def _text_config(tokens: CLIPTokenizer, width: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokens),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3,
        num_attention_heads=2,
        projection_dim=PROJECTED,
        bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
    )
