"""Stable Diffusion XL with tiny random weights of the real classes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import EulerDiscreteScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from styledag.bases.conditioning import Conditioning
from styledag.bases.texts.clip import STATES
from styledag.bases.texts.clip_pair import POOLED
from styledag_tests.bases.families import TinyFamily
from styledag_tests.bases.tiny_parts import (
    change,
    clip_config,
    seeded,
    tiny_autoencoder,
    write_clip_tokenizers,
    write_index,
)

WIDTHS, PROJECTED, TIME_WIDTH = (32, 48), 24, 8
FACTOR = 2
CHANNELS = 4


def write_stable_diffusion_xl(folder: Path, tokenizer: Path) -> Path:
    """Write a base, and return its folder.

    Args:
        folder: Made.
        tokenizer: Folder of a CLIP tokenizer; the second one pads with another token, as SDXL's.
    """
    tokens = write_clip_tokenizers(folder, tokenizer)
    EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="leading",
        steps_offset=1,
    ).save_pretrained(folder / "scheduler")
    # What SDXL's schedule states for other samplers than its own.
    change(
        folder / "scheduler" / "scheduler_config.json",
        clip_sample=False,
        set_alpha_to_one=False,
        skip_prk_steps=True,
    )
    with seeded():
        CLIPTextModel(clip_config(tokens, WIDTHS[0], PROJECTED)).save_pretrained(
            folder / "text_encoder"
        )
        CLIPTextModelWithProjection(clip_config(tokens, WIDTHS[1], PROJECTED)).save_pretrained(
            folder / "text_encoder_2"
        )
        tiny_autoencoder(
            latent_channels=CHANNELS, scaling_factor=0.13025, force_upcast=True
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
    write_index(
        folder,
        "StableDiffusionXLPipeline",
        scheduler=("diffusers", "EulerDiscreteScheduler"),
        text_encoder=("transformers", "CLIPTextModel"),
        text_encoder_2=("transformers", "CLIPTextModelWithProjection"),
        tokenizer=("transformers", "CLIPTokenizer"),
        tokenizer_2=("transformers", "CLIPTokenizer"),
        unet=("diffusers", "UNet2DConditionModel"),
        vae=("diffusers", "AutoencoderKL"),
    )
    change(folder / "model_index.json", force_zeros_for_empty_prompt=True)
    return folder


def _states(pipeline: Any, texts: list[str]) -> Mapping[str, Tensor]:
    states, _, pooled, _ = pipeline.encode_prompt(texts, device="cpu")
    return {STATES: states, POOLED: pooled}


def _predict(
    pipeline: Any, latents: Tensor, timesteps: Tensor, conditioning: Conditioning
) -> Tensor:
    height, width = (FACTOR * side for side in latents.shape[-2:])
    ids = torch.tensor([[height, width, 0, 0, height, width]] * len(latents))
    added = {"text_embeds": conditioning[POOLED], "time_ids": ids}
    predicted: Tensor = pipeline.unet(
        latents, timesteps, conditioning[STATES], added_cond_kwargs=added
    ).sample
    return predicted


FAMILY = TinyFamily(
    write=write_stable_diffusion_xl,
    templates={"sdxl": "stabilityai/stable-diffusion-xl-base-1.0"},
    pipeline="StableDiffusionXLPipeline",
    denoiser="unet",
    samplers={
        "ddim": "DDIMScheduler",
        "dpm++": "DPMSolverMultistepScheduler",
        "euler": "EulerDiscreteScheduler",
        "euler_a": "EulerAncestralDiscreteScheduler",
    },
    states=_states,
    predict=_predict,
    flow=False,
    slow=True,
)
