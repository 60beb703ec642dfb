"""Stable Diffusion 1.x with tiny random weights of the real classes."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from styledag.bases.conditioning import Conditioning
from styledag.bases.texts.clip import STATES
from styledag_tests.bases.families import TinyFamily
from styledag_tests.bases.tiny_parts import clip_config, seeded, tiny_autoencoder, write_index

WIDTH = 32


def write_stable_diffusion(folder: Path, tokenizer: Path) -> Path:
    """Write a base, and return its folder.

    Args:
        folder: Made.
        tokenizer: Folder of a CLIP tokenizer.
    """
    shutil.copytree(tokenizer, folder / "tokenizer")
    tokens = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        steps_offset=1,
    ).save_pretrained(folder / "scheduler")
    with seeded():
        CLIPTextModel(clip_config(tokens, WIDTH, WIDTH)).save_pretrained(folder / "text_encoder")
        tiny_autoencoder(latent_channels=4, scaling_factor=0.18215).save_pretrained(folder / "vae")
        UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(16, 32),
            layers_per_block=1,
            norm_num_groups=8,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=4,
            cross_attention_dim=WIDTH,
        ).save_pretrained(folder / "unet")
    write_index(
        folder,
        "StableDiffusionPipeline",
        scheduler=("diffusers", "DDIMScheduler"),
        text_encoder=("transformers", "CLIPTextModel"),
        tokenizer=("transformers", "CLIPTokenizer"),
        unet=("diffusers", "UNet2DConditionModel"),
        vae=("diffusers", "AutoencoderKL"),
        safety_checker=None,
        feature_extractor=None,
    )
    return folder


def _states(pipeline: Any, texts: list[str]) -> Mapping[str, Tensor]:
    states, _ = pipeline.encode_prompt(
        texts, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    return {STATES: states}


def _predict(
    pipeline: Any, latents: Tensor, timesteps: Tensor, conditioning: Conditioning
) -> Tensor:
    predicted: Tensor = pipeline.unet(latents, timesteps, conditioning[STATES]).sample
    return predicted


FAMILY = TinyFamily(
    write=write_stable_diffusion,
    templates={
        "sd15": "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "starter": "data/starter/stable-diffusion",
    },
    pipeline="StableDiffusionPipeline",
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
)
