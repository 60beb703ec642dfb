"""A base smaller still than the starter, in its format."""

import shutil
from pathlib import Path

import pytest
import torch

from styledag_tests.bases.loading import write_index

SIZE_PX = 16
TEXT_WIDTH = 32


@pytest.fixture(scope="session")
def base(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter's tokenizer with models of a few thousand weights."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("base")
    write_index(folder)
    shutil.copytree(starter / "stable-diffusion" / "tokenizer", folder / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    text_config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    ).save_pretrained(folder / "scheduler")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        CLIPTextModel(text_config).save_pretrained(folder / "text_encoder")
        AutoencoderKL(
            sample_size=SIZE_PX,
            latent_channels=4,
            block_out_channels=(8, 16),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
            scaling_factor=0.5,
        ).save_pretrained(folder / "vae")
        UNet2DConditionModel(
            sample_size=SIZE_PX // 2,
            block_out_channels=(16, 32),
            layers_per_block=1,
            norm_num_groups=8,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=4,
            cross_attention_dim=TEXT_WIDTH,
        ).save_pretrained(folder / "unet")
    return folder
