from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file

from styledag.errors import TrainingError
from styledag.style.load import load_style
from styledag.style.template import base_names, write_new_style
from styledag.tensors.header import header_bytes
from styledag.tensors.layout import WEIGHTS_FILE
from styledag.tensors.reader import TensorSpec
from styledag.training.snapshots.write import halves
from styledag_tests.bases.loading import load_unet, save_unet


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_diffusers_loads_a_snapshot_in_its_number_format(
    base: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    unet = load_unet(base)
    averages = unet.state_dict() | {"conv_in.bias": torch.full_like(unet.conv_in.bias, 0.123)}
    save_unet(unet, averages, tmp_path / "unet", dtype=dtype)
    written = load_file(tmp_path / "unet" / WEIGHTS_FILE)
    assert {each.dtype for each in written.values()} == {dtype}
    assert torch.equal(written["conv_in.bias"], averages["conv_in.bias"].to(dtype))
    assert torch.equal(written["conv_in.weight"], unet.conv_in.weight.detach().to(dtype))
    loaded = UNet2DConditionModel.from_pretrained(tmp_path / "unet", torch_dtype=dtype)
    assert loaded.config.cross_attention_dim == unet.config.cross_attention_dim


def test_a_weight_that_only_float16_cannot_hold_fits_bfloat16(base: Path, tmp_path: Path) -> None:
    unet = load_unet(base)
    averages = unet.state_dict() | {"conv_in.bias": torch.full_like(unet.conv_in.bias, 1e5)}
    save_unet(unet, averages, tmp_path / "unet", dtype=torch.bfloat16)
    with pytest.raises(TrainingError, match=r"conv_in\.bias holds 100000, which float16 cannot"):
        halves(averages, torch.float16)


def test_one_of_stable_diffusion_is_at_most_1_72_gb() -> None:
    # The configuration of runwayml/stable-diffusion-v1-5: all else is diffusers' default.
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=64,
            block_out_channels=(320, 640, 1280, 1280),
            layers_per_block=2,
            attention_head_dim=8,
            cross_attention_dim=768,
        )
    specs = [
        TensorSpec(name, torch.float16, tuple(each.shape))
        for name, each in unet.state_dict().items()
    ]
    assert sum(spec.numel for spec in specs) == 859_520_964
    header = header_bytes(specs, {"format": "pt"})
    assert len(header) + sum(spec.nbytes for spec in specs) <= 1_720_000_000


@pytest.mark.parametrize("base", base_names())
def test_what_a_short_run_of_a_new_style_moves_is_in_its_snapshots(
    base: str, tmp_path: Path
) -> None:
    # Bases are published in 16 bits, so that what bfloat16 rounds away leaves them as they were.
    generator = torch.Generator().manual_seed(0)
    before = (0.03 * torch.randn(256, 256, generator=generator)).bfloat16().float()
    moved = 3e-5 * torch.randn(before.shape, generator=generator)
    layer = torch.nn.Linear(1, 1)
    layer.config = {}
    style = load_style(write_new_style("hiroshige", tmp_path, base=base))
    for name, recipe in style.recipes.items():
        folder = tmp_path / name
        dtype = getattr(torch, recipe.snapshot_dtype)
        save_unet(layer, {"weight": before + moved}, folder, dtype=dtype)
        [written] = load_file(folder / "diffusion_pytorch_model.safetensors").values()
        change = written.float() - before
        assert float((change * moved).sum() / moved.square().sum()) > 0.95, name
