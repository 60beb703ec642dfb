"""Z-Image with tiny random weights of the real classes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, ZImageTransformer2DModel
from torch import Tensor
from transformers import Qwen3Model

from styledag.bases.conditioning import Conditioning
from styledag.bases.z_image import MASK, STATES
from styledag_tests.bases.families import TinyFamily
from styledag_tests.bases.tiny_parts import (
    qwen_config,
    seeded,
    tiny_autoencoder,
    write_index,
    write_qwen_tokenizer,
)

CHANNELS, TOKENS = 4, 512


def write_z_image(folder: Path, tokenizer: Path) -> Path:
    """Write a base, and return its folder; CLIP's tokenizer is not used."""
    del tokenizer
    vocabulary = write_qwen_tokenizer(folder / "tokenizer")
    FlowMatchEulerDiscreteScheduler(shift=6.0).save_pretrained(folder / "scheduler")
    with seeded():
        config = qwen_config(vocabulary, layers=3)
        Qwen3Model(config).save_pretrained(folder / "text_encoder")
        tiny_autoencoder(
            latent_channels=CHANNELS,
            scaling_factor=0.3611,
            shift_factor=0.1159,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ).save_pretrained(folder / "vae")
        transformer = ZImageTransformer2DModel(
            in_channels=CHANNELS,
            dim=32,
            n_layers=2,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=config.hidden_size,
            axes_dims=[4, 6, 6],
            axes_lens=[1024, 256, 256],
        )
        for padding in (transformer.x_pad_token, transformer.cap_pad_token):
            torch.nn.init.normal_(padding)
        transformer.save_pretrained(folder / "transformer")
    write_index(
        folder,
        "ZImagePipeline",
        scheduler=("diffusers", "FlowMatchEulerDiscreteScheduler"),
        text_encoder=("transformers", "Qwen3Model"),
        tokenizer=("transformers", "Qwen2Tokenizer"),
        transformer=("diffusers", "ZImageTransformer2DModel"),
        vae=("diffusers", "AutoencoderKL"),
    )
    return folder


def _states(pipeline: Any, texts: list[str]) -> Mapping[str, Tensor]:
    each, _ = pipeline.encode_prompt(list(texts), device="cpu", do_classifier_free_guidance=False)
    states = torch.zeros(len(each), TOKENS, each[0].shape[-1])
    mask = torch.zeros(len(each), TOKENS, dtype=torch.bool)
    for at, own in enumerate(each):
        states[at, : len(own)] = own
        mask[at, : len(own)] = True
    return {STATES: states, MASK: mask}


def _predict(
    pipeline: Any, latents: Tensor, timesteps: Tensor, conditioning: Conditioning
) -> Tensor:
    lengths = conditioning[MASK].sum(1).tolist()
    predicted = pipeline.transformer(
        [each[:, None] for each in latents],
        (1000 - timesteps) / 1000,
        [each[:length] for each, length in zip(conditioning[STATES], lengths, strict=True)],
    ).sample
    return -torch.stack(predicted)[:, :, 0]


FAMILY = TinyFamily(
    write=write_z_image,
    templates={"z-image": "Tongyi-MAI/Z-Image"},
    pipeline="ZImagePipeline",
    denoiser="transformer",
    samplers={"euler": "FlowMatchEulerDiscreteScheduler"},
    states=_states,
    predict=_predict,
    rate=1e-2,
    steps=500,
    guided={1.0: 0.0, 5.0: 4.0},
    original=(
        "x_embedder.weight",
        "cap_embedder.1.weight",
        "cap_pad_token",
        "noise_refiner.0.attention.qkv.weight",
        "context_refiner.0.feed_forward.w1.weight",
        "layers.0.attention.q_norm.weight",
        "layers.0.attention.out.weight",
        "layers.0.adaLN_modulation.0.bias",
        "final_layer.linear.weight",
    ),
    slow=True,
)
