"""Tiny Stable Diffusion pipelines of all generations, in diffusers' layout."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from styledag_tests.bases.families.stable_diffusion_3 import write_stable_diffusion_3

WIDTH = 32
PARTS = ("unet", "transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3")


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


def write_xl_pipeline(folder: Path, starter: Path, seed: int = 0) -> Path:
    """A pipeline of Stable Diffusion XL with every kind of tensor of the real one."""
    tokenizer = CLIPTokenizer.from_pretrained(starter / "stable-diffusion" / "tokenizer")

    def config(width: int, act: str, layers: int) -> CLIPTextConfig:
        return CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=2,
            hidden_act=act,
            projection_dim=24,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = StableDiffusionXLPipeline(
            unet=UNet2DConditionModel(
                sample_size=8,
                block_out_channels=(8, 8, 16),
                norm_num_groups=4,
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
                attention_head_dim=(2, 2, 4),
                transformer_layers_per_block=(1, 1, 2),
                use_linear_projection=True,
                cross_attention_dim=WIDTH + 48,
                addition_embed_type="text_time",
                addition_time_embed_dim=8,
                projection_class_embeddings_input_dim=24 + 6 * 8,
            ),
            vae=AutoencoderKL(
                block_out_channels=(8, 16),
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                norm_num_groups=4,
                layers_per_block=2,
                scaling_factor=0.13025,
            ),
            text_encoder=CLIPTextModel(config(WIDTH, "quick_gelu", 2)),
            text_encoder_2=CLIPTextModelWithProjection(config(48, "gelu", 10)),
            tokenizer=tokenizer,
            tokenizer_2=tokenizer,
            scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", steps_offset=1),
        )
        for part in parts_of(pipeline).values():
            for parameter in part.parameters():
                parameter.data.normal_(std=0.1)
        pipeline.save_pretrained(folder)
    return folder


def write_sd3_pipeline(folder: Path, starter: Path, *, with_t5: bool) -> Path:
    """A pipeline of Stable Diffusion 3.5 whose first CLIP has no projection, as the real one."""
    write_stable_diffusion_3(folder, starter / "stable-diffusion" / "tokenizer", with_t5=with_t5)
    generator = torch.Generator().manual_seed(0)
    for path in sorted(folder.glob("*/*.safetensors")):
        tensors = {
            name: 0.1 * torch.randn(each.shape, generator=generator)
            for name, each in load_file(path).items()
        }
        if path.parent.name == "text_encoder":
            projection = tensors["text_projection.weight"]
            tensors["text_projection.weight"] = torch.eye(len(projection))
        save_file(tensors, path, metadata={"format": "pt"})
    return folder


def parts_of(pipeline: DiffusionPipeline) -> dict[str, torch.nn.Module]:
    """The models of a pipeline, by part."""
    found = {part: getattr(pipeline, part, None) for part in PARTS}
    return {part: model for part, model in found.items() if model is not None}


def state_of(pipeline: DiffusionPipeline) -> dict[str, torch.Tensor]:
    """All weights of a pipeline, by part and name."""
    return {
        f"{part}.{name}": tensor
        for part, model in parts_of(pipeline).items()
        for name, tensor in model.state_dict().items()
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
