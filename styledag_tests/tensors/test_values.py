"""Weights have the version of their values: header, dtype and file decide nothing."""

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

from styledag.errors import ModelError
from styledag.store.store import Store
from styledag.tensors.values import weights_version


def saved(folder: Path, value: float, dtype: torch.dtype, **header: str) -> Path:
    folder.mkdir()
    tensors = {"b": torch.full((2, 3), value, dtype=dtype), "a": torch.zeros(1, dtype=dtype)}
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors", metadata=header)
    return folder


def test_the_values_alone_decide(tmp_path: Path, store: Store) -> None:
    folders = [
        saved(tmp_path / "half", 0.5, torch.float16, format="pt"),
        saved(tmp_path / "full", 0.5, torch.float32, format="pt", weight="0"),
        saved(tmp_path / "other", 0.25, torch.float16, format="pt"),
    ]
    half, full, other = (
        weights_version(folder, known_as=folder.name, items=store.items) for folder in folders
    )
    assert half == full != other


def test_shards_and_files_that_are_not_read_change_nothing(tmp_path: Path, store: Store) -> None:
    whole, shards = tmp_path / "whole", tmp_path / "shards"
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8,),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=8,
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
    )
    unet.save_pretrained(whole)
    version = weights_version(whole, known_as=None, items=store.items)
    unet.save_pretrained(shards, max_shard_size="10KB")
    assert weights_version(shards, known_as=None, items=store.items) == version
    for variant in ("fp16", "non_ema"):
        unet.half().save_pretrained(whole, variant=variant)
    assert weights_version(whole, known_as=None, items=store.items) == version


def test_what_is_known_is_not_read_again(tmp_path: Path, store: Store) -> None:
    folder = saved(tmp_path / "unet", 0.5, torch.float16)
    before = weights_version(folder, known_as="v1", items=store.items)
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    assert weights_version(folder, known_as="v1", items=store.items) == before


def test_a_folder_without_sound_weights_is_refused(tmp_path: Path, store: Store) -> None:
    with pytest.raises(ModelError, match="has no weights"):
        weights_version(tmp_path, known_as="v1", items=store.items)
    (tmp_path / "model.safetensors").write_bytes(b"half a file")
    with pytest.raises(ModelError, match="no whole safetensors"):
        weights_version(tmp_path, known_as="v1", items=store.items)
