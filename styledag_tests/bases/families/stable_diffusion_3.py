"""Stable Diffusion 3.5 with tiny random weights of the real classes, T5 among them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel
from torch import Tensor
from transformers import CLIPTextModelWithProjection, T5Config, T5EncoderModel

from styledag.bases.conditioning import Conditioning
from styledag.bases.texts.clip import STATES
from styledag.bases.texts.clip_pair import POOLED
from styledag.bases.texts.t5 import T5_STATES
from styledag_tests.bases.families import TinyFamily
from styledag_tests.bases.tiny_parts import (
    clip_config,
    seeded,
    tiny_autoencoder,
    write_clip_tokenizers,
    write_index,
    write_t5_tokenizer,
)

WIDTHS, PROJECTED, T5_WIDTH = (24, 32), (24, 32), 64
CHANNELS = 6


def write_stable_diffusion_3(folder: Path, tokenizer: Path, *, with_t5: bool = True) -> Path:
    """Write a base, and return its folder.

    Args:
        folder: Made.
        tokenizer: Folder of a CLIP tokenizer; the second one pads with another token.
        with_t5: Whether it has a T5.
    """
    tokens = write_clip_tokenizers(folder, tokenizer)
    FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(folder / "scheduler")
    with seeded():
        for name, width, projected in zip(
            ("text_encoder", "text_encoder_2"), WIDTHS, PROJECTED, strict=True
        ):
            model = CLIPTextModelWithProjection(clip_config(tokens, width, projected))
            if name == "text_encoder":  # as the real one's
                torch.nn.init.eye_(model.text_projection.weight)
            model.save_pretrained(folder / name)
        if with_t5:
            config = T5Config(
                vocab_size=write_t5_tokenizer(folder / "tokenizer_3"),
                d_model=T5_WIDTH,
                d_kv=8,
                d_ff=64,
                num_layers=2,
                num_heads=4,
            )
            T5EncoderModel(config).save_pretrained(folder / "text_encoder_3")
        tiny_autoencoder(
            latent_channels=CHANNELS,
            scaling_factor=1.5305,
            shift_factor=0.0609,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ).save_pretrained(folder / "vae")
        SD3Transformer2DModel(
            sample_size=8,
            in_channels=CHANNELS,
            out_channels=CHANNELS,
            num_layers=3,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=T5_WIDTH,
            caption_projection_dim=32,
            pooled_projection_dim=sum(PROJECTED),
            pos_embed_max_size=16,
            dual_attention_layers=(0, 1),
            qk_norm="rms_norm",
        ).save_pretrained(folder / "transformer")
    write_index(
        folder,
        "StableDiffusion3Pipeline",
        scheduler=("diffusers", "FlowMatchEulerDiscreteScheduler"),
        text_encoder=("transformers", "CLIPTextModelWithProjection"),
        text_encoder_2=("transformers", "CLIPTextModelWithProjection"),
        text_encoder_3=("transformers", "T5EncoderModel") if with_t5 else None,
        tokenizer=("transformers", "CLIPTokenizer"),
        tokenizer_2=("transformers", "CLIPTokenizer"),
        tokenizer_3=("transformers", "T5TokenizerFast") if with_t5 else None,
        transformer=("diffusers", "SD3Transformer2DModel"),
        vae=("diffusers", "AutoencoderKL"),
    )
    return folder


def _states(pipeline: Any, texts: list[str]) -> Mapping[str, Tensor]:
    states, _, pooled, _ = pipeline.encode_prompt(
        texts, None, None, device="cpu", do_classifier_free_guidance=False
    )
    clip, t5 = states.split([77, 256], dim=1)
    assert not clip[..., sum(WIDTHS) :].any()
    return {STATES: clip[..., : sum(WIDTHS)], T5_STATES: t5, POOLED: pooled}


def _predict(
    pipeline: Any, latents: Tensor, timesteps: Tensor, conditioning: Conditioning
) -> Tensor:
    clip = torch.nn.functional.pad(conditioning[STATES], (0, T5_WIDTH - sum(WIDTHS)))
    predicted: Tensor = pipeline.transformer(
        hidden_states=latents,
        timestep=timesteps,
        encoder_hidden_states=torch.cat([clip, conditioning[T5_STATES]], dim=1),
        pooled_projections=conditioning[POOLED],
    ).sample
    return predicted


FAMILY = TinyFamily(
    write=write_stable_diffusion_3,
    templates={"sd35-medium": "stabilityai/stable-diffusion-3.5-medium"},
    pipeline="StableDiffusion3Pipeline",
    denoiser="transformer",
    samplers={"euler": "FlowMatchEulerDiscreteScheduler"},
    states=_states,
    predict=_predict,
)
