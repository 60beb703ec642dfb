"""Tiny Stable Diffusion pipelines of both generations, in diffusers' layout."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

WIDTH = 32


def write_pipeline(folder: Path, starter: Path, *, version: int, seed: int = 0) -> Path:
    """A pipeline with every kind of tensor of the real one: twelve output blocks, VAE attention."""
    tokenizer = CLIPTokenizer.from_pretrained(starter / "stable-diffusion" / "tokenizer")
    second = version == 2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = StableDiffusionPipeline(
            unet=UNet2DConditionModel(
                sample_size=8,
                block_out_channels=(8, 8, 16, 16),
                norm_num_groups=4,
                attention_head_dim=(2, 2, 4, 4) if second else 2,
                cross_attention_dim=WIDTH,
                use_linear_projection=second,
            ),
            vae=AutoencoderKL(
                block_out_channels=(8, 16),
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                norm_num_groups=4,
                layers_per_block=2,
            ),
            text_encoder=CLIPTextModel(
                CLIPTextConfig(
                    vocab_size=len(tokenizer),
                    hidden_size=WIDTH,
                    intermediate_size=2 * WIDTH,
                    num_hidden_layers=11,
                    num_attention_heads=2,
                    hidden_act="gelu" if second else "quick_gelu",
                    bos_token_id=tokenizer.bos_token_id,
                    eos_token_id=tokenizer.eos_token_id,
                    pad_token_id=tokenizer.pad_token_id,
                )
            ),
            tokenizer=tokenizer,
            scheduler=DDIMScheduler(
                beta_schedule="scaled_linear",
                clip_sample=False,
                steps_offset=1,
                prediction_type="v_prediction" if second else "epsilon",
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        # Norms and biases begin as ones and zeros, which would hide an exchange of two names.
        for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
            for parameter in part.parameters():
                parameter.data.normal_(std=0.1)
        pipeline.save_pretrained(folder)
    return folder


def state_of(pipeline: StableDiffusionPipeline) -> dict[str, torch.Tensor]:
    """All weights of a pipeline, by part and name."""
    return {
        f"{part}.{name}": tensor
        for part in ("unet", "vae", "text_encoder")
        for name, tensor in getattr(pipeline, part).state_dict().items()
        if not name.endswith("position_ids")
    }


def without_weights(pipeline: Path, folder: Path) -> Path:
    """The configurations of a pipeline alone, as a loader gets them from elsewhere."""
    for path in pipeline.rglob("*"):
        if path.is_file() and path.suffix != ".safetensors":
            copy = folder / path.relative_to(pipeline)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return folder
