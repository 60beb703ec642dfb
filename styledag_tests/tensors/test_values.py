"""Weights have the version of their values: header, dtype and file decide nothing."""

from pathlib import Path

import pytest
import torch
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


def test_what_is_known_is_not_read_again(tmp_path: Path, store: Store) -> None:
    folder = saved(tmp_path / "unet", 0.5, torch.float16)
    before = weights_version(folder, known_as="v1", items=store.items)
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    assert weights_version(folder, known_as="v1", items=store.items) == before


def test_a_folder_without_sound_weights_is_refused(tmp_path: Path, store: Store) -> None:
    with pytest.raises(ModelError, match="no safetensors"):
        weights_version(tmp_path, known_as="v1", items=store.items)
    (tmp_path / "model.safetensors").write_bytes(b"half a file")
    with pytest.raises(ModelError, match="no sound safetensors"):
        weights_version(tmp_path, known_as="v1", items=store.items)
