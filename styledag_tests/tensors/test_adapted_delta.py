"""A UNet that adapters were folded into, stored as what is left beside base and adapters."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from styledag.bases.find import find_base
from styledag.errors import ModelError
from styledag.tensors.delta import restore_delta, write_delta
from styledag.tensors.layout import CONFIG_FILE, DIFFUSERS_LORA_FILE, WEIGHTS_FILE
from styledag.training.recipe import LoraSettings, Recipe
from styledag.training.weights.lora import LoraAdapters
from styledag.training.weights.stored_weights import stored_weights
from styledag.training.weights.trainable import Trainable
from styledag_tests.bases.loading import load_unet, save_unet

# Convolutions too, whose adapters have four dimensions.
RECIPE = Recipe(trained="unet", lora=LoraSettings(rank=4, alpha=2.0))


@pytest.fixture(scope="module")
def base_unet(starter: Path) -> Path:
    return starter / "stable-diffusion" / "unet"


@pytest.fixture(scope="module")
def trained(base_unet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a UNet and its adapters, as training hands both over."""
    folder = tmp_path_factory.mktemp("lora")
    unet, base = load_unet(base_unet.parent), find_base(base_unet.parent)
    stored = stored_weights(base, unet.state_dict())
    adapters = LoraAdapters(unet, RECIPE, Trainable(base, RECIPE))
    generator = torch.Generator().manual_seed(1)
    averages = {
        name: each.detach() + 0.02 * torch.randn(each.shape, generator=generator)
        for name, each in adapters.parameters.items()
    }
    save_unet(unet, adapters.folded(stored, averages), folder / "unet")
    adapters.write(averages, folder / "lora", "unet")
    return folder


@pytest.fixture(scope="module")
def adapters(trained: Path) -> Path:
    return trained / "lora" / DIFFUSERS_LORA_FILE


def test_it_takes_a_tenth_and_comes_back_byte_for_byte(
    trained: Path, adapters: Path, base_unet: Path, tmp_path: Path
) -> None:
    without = write_delta(trained / "unet", base_unet, tmp_path / "without")
    size = write_delta(trained / "unet", base_unet, tmp_path / "delta", adapters=adapters)
    assert size.stored < without.stored / 10
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        restore_delta(tmp_path / "delta", base_unet, tmp_path / "whole", adapters=adapters)
    finally:
        torch.set_num_threads(threads)
    for name in (WEIGHTS_FILE, CONFIG_FILE):
        restored, handed_over = tmp_path / "whole" / name, trained / "unet" / name
        assert restored.read_bytes() == handed_over.read_bytes()


def test_one_made_without_adapters_is_restored_beside_them(
    trained: Path, adapters: Path, base_unet: Path, tmp_path: Path
) -> None:
    write_delta(trained / "unet", base_unet, tmp_path / "delta")
    restore_delta(tmp_path / "delta", base_unet, tmp_path / "whole", adapters=adapters)
    restored = (tmp_path / "whole" / WEIGHTS_FILE).read_bytes()
    assert restored == (trained / "unet" / WEIGHTS_FILE).read_bytes()


def test_other_adapters_are_refused(
    trained: Path, adapters: Path, base_unet: Path, tmp_path: Path
) -> None:
    write_delta(trained / "unet", base_unet, tmp_path / "delta", adapters=adapters)
    tensors = load_file(adapters)
    name = next(name for name in tensors if ".lora_B." in name)
    others = tmp_path / "others.safetensors"
    save_file(tensors | {name: tensors[name] + 0.1}, others)
    with pytest.raises(ModelError, match="or to it with other adapters"):
        restore_delta(tmp_path / "delta", base_unet, tmp_path / "whole", adapters=others)
    none = tmp_path / "none.safetensors"
    with pytest.raises(ModelError, match=r"none\.safetensors cannot be read"):
        restore_delta(tmp_path / "delta", base_unet, tmp_path / "whole", adapters=none)
    assert not (tmp_path / "whole").exists()


def test_adapters_of_another_base_are_named(
    trained: Path, adapters: Path, base_unet: Path, tmp_path: Path
) -> None:
    tensors = load_file(adapters)
    name = next(name for name in tensors if ".lora_B." in name)
    shorter = tmp_path / "shorter.safetensors"
    save_file(tensors | {name: tensors[name][1:].clone()}, shorter)
    layer = name.removesuffix(".lora_B.weight")
    with pytest.raises(ModelError, match=f"the adapter '{layer}' gives .* name the base that"):
        write_delta(trained / "unet", base_unet, tmp_path / "delta", adapters=shorter)
