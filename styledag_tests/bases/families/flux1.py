"""FLUX.1-dev with tiny random weights of the real classes."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel

from styledag.bases.conditioning import Conditioning
from styledag.bases.flux1 import GUIDANCE
from styledag.bases.texts.clip_pair import POOLED
from styledag.bases.texts.t5 import T5_STATES
from styledag_tests.bases.families import TinyFamily
from styledag_tests.bases.tiny_parts import (
    clip_config,
    seeded,
    tiny_autoencoder,
    write_index,
    write_t5_tokenizer,
)

WIDTH, T5_WIDTH, CHANNELS, PIPELINES_OWN = 24, 32, 4, 3.5


def write_flux1(folder: Path, tokenizer: Path) -> Path:
    """Write a base, and return its folder.

    Args:
        folder: Made.
        tokenizer: Folder of a CLIP tokenizer.
    """
    shutil.copytree(tokenizer, folder / "tokenizer")
    tokens = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    FlowMatchEulerDiscreteScheduler(
        shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15
    ).save_pretrained(folder / "scheduler")
    with seeded():
        CLIPTextModel(clip_config(tokens, WIDTH, WIDTH)).save_pretrained(folder / "text_encoder")
        config = T5Config(
            vocab_size=write_t5_tokenizer(folder / "tokenizer_2"),
            d_model=T5_WIDTH,
            d_kv=8,
            d_ff=32,
            num_layers=2,
            num_heads=4,
        )
        T5EncoderModel(config).save_pretrained(folder / "text_encoder_2")
        tiny_autoencoder(
            latent_channels=CHANNELS,
            scaling_factor=0.3611,
            shift_factor=0.1159,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ).save_pretrained(folder / "vae")
        FluxTransformer2DModel(
            in_channels=4 * CHANNELS,
            num_layers=2,
            num_single_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=T5_WIDTH,
            pooled_projection_dim=WIDTH,
            axes_dims_rope=(4, 6, 6),
            guidance_embeds=True,
        ).save_pretrained(folder / "transformer")
    write_index(
        folder,
        "FluxPipeline",
        scheduler=("diffusers", "FlowMatchEulerDiscreteScheduler"),
        text_encoder=("transformers", "CLIPTextModel"),
        text_encoder_2=("transformers", "T5EncoderModel"),
        tokenizer=("transformers", "CLIPTokenizer"),
        tokenizer_2=("transformers", "T5TokenizerFast"),
        transformer=("diffusers", "FluxTransformer2DModel"),
        vae=("diffusers", "AutoencoderKL"),
    )
    return folder


def _states(pipeline: Any, texts: list[str]) -> Mapping[str, Tensor]:
    with torch.no_grad():  # as the pipeline calls it
        states, pooled, _ = pipeline.encode_prompt(texts, device="cpu")
    return {T5_STATES: states, POOLED: pooled}


def _predict(
    pipeline: Any, latents: Tensor, timesteps: Tensor, conditioning: Conditioning
) -> Tensor:
    count, channels, height, width = latents.shape
    stated = conditioning.tensors.get(GUIDANCE)
    guidance = torch.full((count,), PIPELINES_OWN) if stated is None else stated[:, 0].float()
    states = conditioning[T5_STATES]
    ids = FluxPipeline._prepare_latent_image_ids(
        count, height // 2, width // 2, "cpu", torch.float32
    )
    predicted = pipeline.transformer(
        hidden_states=FluxPipeline._pack_latents(latents, count, channels, height, width),
        timestep=timesteps / 1000,
        guidance=guidance,
        pooled_projections=conditioning[POOLED],
        encoder_hidden_states=states,
        txt_ids=torch.zeros(states.shape[1], 3),
        img_ids=ids,
    ).sample
    unpacked: Tensor = FluxPipeline._unpack_latents(predicted, height, width, 1)
    return unpacked


def _of_pipeline(pipeline: Any, latents: Tensor) -> Tensor:
    """The second of the sizes has one and a half times as many tokens as the first."""
    width_px = 16 if latents.shape[1] == 16 else 24
    unpacked: Tensor = FluxPipeline._unpack_latents(
        latents, 16, width_px, pipeline.vae_scale_factor
    )
    return unpacked


FAMILY = TinyFamily(
    write=write_flux1,
    templates={"flux1-dev": "black-forest-labs/FLUX.1-dev"},
    pipeline="FluxPipeline",
    denoiser="transformer",
    samplers={"euler": "FlowMatchEulerDiscreteScheduler"},
    states=_states,
    predict=_predict,
    of_pipeline=_of_pipeline,
    guidance="true_cfg_scale",
    prompted=lambda prompt, negative: {"prompt": prompt, "negative_prompt": negative},
    rate=1e-2,
    slow=True,
)
