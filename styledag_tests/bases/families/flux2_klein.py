"""FLUX.2 klein with tiny random weights of the real classes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
)
from torch import Tensor
from transformers import Qwen3ForCausalLM

from styledag.bases.conditioning import Conditioning
from styledag.bases.flux2_klein import STATES
from styledag_tests.bases.families import TinyFamily
from styledag_tests.bases.tiny_parts import (
    change,
    little_variance,
    qwen_config,
    seeded,
    write_index,
    write_qwen_tokenizer,
)

CHANNELS = 3


def write_flux2_klein(folder: Path, tokenizer: Path) -> Path:
    """Write a base, and return its folder; CLIP's tokenizer is not used."""
    del tokenizer
    vocabulary = write_qwen_tokenizer(folder / "tokenizer")
    FlowMatchEulerDiscreteScheduler(
        shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15
    ).save_pretrained(folder / "scheduler")
    with seeded():
        config = qwen_config(vocabulary, layers=28)
        Qwen3ForCausalLM(config).save_pretrained(folder / "text_encoder")
        autoencoder = AutoencoderKLFlux2(
            latent_channels=CHANNELS,
            block_out_channels=(8, 16),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
            use_quant_conv=False,
            use_post_quant_conv=False,
        )
        little_variance(autoencoder)
        autoencoder.bn.running_mean.normal_()
        autoencoder.bn.running_var.uniform_(0.5, 2.0)
        autoencoder.save_pretrained(folder / "vae")
        Flux2Transformer2DModel(
            in_channels=4 * CHANNELS,
            num_layers=2,
            num_single_layers=3,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=3 * config.hidden_size,
            timestep_guidance_channels=32,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=False,
        ).save_pretrained(folder / "transformer")
    write_index(
        folder,
        "Flux2KleinPipeline",
        scheduler=("diffusers", "FlowMatchEulerDiscreteScheduler"),
        text_encoder=("transformers", "Qwen3ForCausalLM"),
        tokenizer=("transformers", "Qwen2TokenizerFast"),
        transformer=("diffusers", "Flux2Transformer2DModel"),
        vae=("diffusers", "AutoencoderKLFlux2"),
    )
    change(folder / "model_index.json", is_distilled=False)
    return folder


def _states(pipeline: Any, texts: list[str]) -> Mapping[str, Tensor]:
    states, _ = pipeline.encode_prompt(texts, device="cpu")
    return {STATES: states}


def _predict(
    pipeline: Any, latents: Tensor, timesteps: Tensor, conditioning: Conditioning
) -> Tensor:
    image_ids = Flux2KleinPipeline._prepare_latent_ids(latents)
    states = conditioning[STATES]
    predicted = pipeline.transformer(
        hidden_states=Flux2KleinPipeline._pack_latents(latents),
        timestep=timesteps / 1000,
        encoder_hidden_states=states,
        txt_ids=Flux2KleinPipeline._prepare_text_ids(states),
        img_ids=image_ids,
    ).sample
    unpacked: Tensor = Flux2KleinPipeline._unpack_latents_with_ids(predicted, image_ids)
    return unpacked


def _of_pipeline(pipeline: Any, latents: Tensor) -> Tensor:
    norm = pipeline.vae.bn
    mean, variance = (each.view(1, -1, 1, 1) for each in (norm.running_mean, norm.running_var))
    patched = Flux2KleinPipeline._patchify_latents(latents)
    normalised: Tensor = (patched - mean) / torch.sqrt(
        variance + pipeline.vae.config.batch_norm_eps
    )
    return normalised


def _prompted(prompt: str, negative: str) -> Mapping[str, Any]:
    assert not negative, "the pipeline has no negative prompt"
    return {"prompt": prompt}


FAMILY = TinyFamily(
    write=write_flux2_klein,
    templates={"flux2-klein": "black-forest-labs/FLUX.2-klein-base-4B"},
    pipeline="Flux2KleinPipeline",
    denoiser="transformer",
    samplers={"euler": "FlowMatchEulerDiscreteScheduler"},
    states=_states,
    predict=_predict,
    of_pipeline=_of_pipeline,
    prompted=_prompted,
    negative="",
    slow=True,
    original=(
        "img_in.weight",
        "time_in.in_layer.weight",
        "double_stream_modulation_img.lin.weight",
        "double_blocks.1.img_attn.qkv.weight",
        "double_blocks.0.txt_attn.norm.key_norm.scale",
        "double_blocks.0.txt_mlp.2.weight",
        "single_blocks.2.linear1.weight",
        "single_blocks.0.norm.query_norm.scale",
        "final_layer.adaLN_modulation.1.weight",
    ),
)
