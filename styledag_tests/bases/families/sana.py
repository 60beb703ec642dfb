"""Sana with tiny random weights of the real classes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers import AutoencoderDC, DPMSolverMultistepScheduler, SanaTransformer2DModel
from torch import Tensor
from transformers import Gemma2Config, Gemma2Model

from styledag.bases.conditioning import Conditioning
from styledag.bases.sana import MASK, STATES
from styledag_tests.bases.families import TinyFamily
from styledag_tests.bases.tiny_parts import seeded, write_gemma_tokenizer, write_index

CHANNELS = 4


def write_sana(folder: Path, tokenizer: Path) -> Path:
    """Write a base, and return its folder; CLIP's tokenizer is not used."""
    del tokenizer
    vocabulary = write_gemma_tokenizer(folder / "tokenizer")
    DPMSolverMultistepScheduler(
        algorithm_type="dpmsolver++",
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=3.0,
        final_sigmas_type="zero",
    ).save_pretrained(folder / "scheduler")
    with seeded():
        Gemma2Model(
            Gemma2Config(
                vocab_size=vocabulary,
                hidden_size=16,
                intermediate_size=24,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=1,
                head_dim=8,
                query_pre_attn_scalar=8,
                max_position_embeddings=4096,
                attn_implementation="eager",
            )
        ).save_pretrained(folder / "text_encoder")
        AutoencoderDC(
            latent_channels=CHANNELS,
            attention_head_dim=2,
            encoder_block_types=("ResBlock", "EfficientViTBlock"),
            decoder_block_types=("ResBlock", "EfficientViTBlock"),
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            encoder_qkv_multiscales=((), (5,)),
            decoder_qkv_multiscales=((), (5,)),
            encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=(1, 1),
            downsample_block_type="conv",
            upsample_block_type="interpolate",
            scaling_factor=0.41407,
        ).save_pretrained(folder / "vae")
        SanaTransformer2DModel(
            in_channels=CHANNELS,
            out_channels=CHANNELS,
            num_layers=2,
            num_attention_heads=2,
            attention_head_dim=8,
            num_cross_attention_heads=2,
            cross_attention_head_dim=8,
            cross_attention_dim=16,
            caption_channels=16,
            sample_size=16,
        ).save_pretrained(folder / "transformer")
    write_index(
        folder,
        "SanaPipeline",
        scheduler=("diffusers", "DPMSolverMultistepScheduler"),
        text_encoder=("transformers", "Gemma2Model"),
        tokenizer=("transformers", "GemmaTokenizerFast"),
        transformer=("diffusers", "SanaTransformer2DModel"),
        vae=("diffusers", "AutoencoderDC"),
    )
    return folder


def _instruction(pipeline: Any) -> Any:
    return type(pipeline).__call__.__wrapped__.__defaults__[-1]


def _states(pipeline: Any, texts: list[str]) -> Mapping[str, Tensor]:
    states, mask, _, _ = pipeline.encode_prompt(
        list(texts), False, device="cpu", complex_human_instruction=_instruction(pipeline)
    )
    return {STATES: states, MASK: mask.bool()}


def _predict(
    pipeline: Any, latents: Tensor, timesteps: Tensor, conditioning: Conditioning
) -> Tensor:
    predicted: Tensor = pipeline.transformer(
        latents,
        encoder_hidden_states=conditioning[STATES],
        encoder_attention_mask=conditioning[MASK],
        timestep=timesteps,
    ).sample
    return predicted


FAMILY = TinyFamily(
    write=write_sana,
    templates={"sana": "Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers"},
    pipeline="SanaPipeline",
    denoiser="transformer",
    samplers={"dpm++": "DPMSolverMultistepScheduler"},
    states=_states,
    predict=_predict,
    prompted=lambda prompt, negative: {
        "prompt": prompt,
        "negative_prompt": negative,
        "use_resolution_binning": False,
    },
    negative="",
    sizes=((32, 32), (64, 32)),
    slow=True,
)
