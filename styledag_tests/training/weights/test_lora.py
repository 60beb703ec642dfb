import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file

from styledag.bases.find import find_base
from styledag.errors import TrainingError
from styledag.tensors.layout import DIFFUSERS_LORA_FILE, KOHYA_LORA_FILE
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.recipe import LoraSettings, Recipe
from styledag.training.weights.lora import LoraAdapters
from styledag.training.weights.stored_weights import stored_weights
from styledag.training.weights.trainable import Trainable
from styledag_tests.bases.loading import load_unet, save_unet
from styledag_tests.training.conftest import Encode
from styledag_tests.training.training import train

RECIPE = Recipe(trained="unet", lora=LoraSettings(rank=2, alpha=3.0))


@pytest.fixture
def encoded(encode: Encode) -> EncodedDataset:
    return encode(5)


def noised(unet: UNet2DConditionModel) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 4, 8, 8, generator=generator)
    states = torch.randn(1, 77, unet.config.cross_attention_dim, generator=generator)
    with torch.no_grad():
        output: torch.Tensor = unet(latents, torch.tensor([500]), states).sample
    return output


def moved(adapters: LoraAdapters) -> dict[str, torch.Tensor]:
    """Give the adapters weights as if they had been trained."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapters.parameters.values():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return {name: each.detach().clone() for name, each in adapters.parameters.items()}


def test_folded_weights_do_what_the_adapters_did(base: Path) -> None:
    unet = load_unet(base)
    untouched = noised(unet)
    stored = stored_weights(find_base(base), unet.state_dict())
    adapters = LoraAdapters(unet, RECIPE, Trainable(find_base(base), RECIPE))
    torch.testing.assert_close(noised(unet), untouched)  # An adapter begins as nothing.
    averages = moved(adapters)
    plain = load_unet(base)
    plain.load_state_dict(adapters.folded(stored, averages), strict=True)
    adapted = noised(unet)
    assert not torch.allclose(adapted, untouched, atol=1e-3)
    torch.testing.assert_close(noised(plain), adapted, atol=1e-5, rtol=1e-5)


@pytest.mark.gpu
def test_a_folded_snapshot_takes_the_memory_of_single_weights(base: Path, tmp_path: Path) -> None:
    device = torch.device("cuda", 0)
    unet = load_unet(base).to(device)
    stored = stored_weights(find_base(base), unet.state_dict())
    adapters = LoraAdapters(unet, RECIPE, Trainable(find_base(base), RECIPE))
    averages = {name: each.detach() for name, each in adapters.parameters.items()}
    largest = 4 * max(each.numel() for each in unet.parameters())
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    save_unet(unet, adapters.folded(stored, averages), tmp_path / "unet")
    assert torch.cuda.max_memory_allocated(device) - before < 5 * largest


@pytest.mark.parametrize("file", [DIFFUSERS_LORA_FILE, KOHYA_LORA_FILE])
def test_diffusers_loads_the_written_adapters(base: Path, tmp_path: Path, file: str) -> None:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    unet = load_unet(base)
    attention = Recipe(trained="attention", lora=LoraSettings(rank=2, alpha=3.0))
    adapters = LoraAdapters(unet, attention, Trainable(find_base(base), attention))
    averages = moved(adapters)
    adapters.write(averages, tmp_path / "lora", "unet")
    parts: dict[str, Any] = dict.fromkeys(
        ("vae", "text_encoder", "tokenizer", "safety_checker", "feature_extractor")
    )
    pipeline: Any = StableDiffusionPipeline(
        unet=load_unet(base),
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        requires_safety_checker=False,
        **parts,
    )
    pipeline.load_lora_weights(tmp_path / "lora", weight_name=file)
    torch.testing.assert_close(noised(pipeline.unet), noised(unet), atol=2e-3, rtol=2e-3)


def test_readers_that_know_no_alpha_get_the_same_change(base: Path, tmp_path: Path) -> None:
    unet = load_unet(base)
    stored = stored_weights(find_base(base), unet.state_dict())
    adapters = LoraAdapters(unet, RECIPE, Trainable(find_base(base), RECIPE))
    averages = moved(adapters)
    adapters.write(averages, tmp_path / "lora", "unet")
    folded = adapters.folded(stored, averages)
    before = load_unet(base).state_dict()
    named = load_file(tmp_path / "lora" / DIFFUSERS_LORA_FILE)
    layers = [n.removesuffix(".lora_A.weight") for n in named if n.endswith(".lora_A.weight")]
    assert layers
    for layer in layers:
        down, up = (named[f"{layer}.lora_{half}.weight"].float() for half in "AB")
        name = f"{layer.removeprefix('unet.')}.weight"
        change = (up.flatten(1) @ down.flatten(1)).reshape(before[name].shape)
        torch.testing.assert_close(before[name] + change, folded[name], atol=1e-3, rtol=1e-2)


def test_the_same_adapters_are_written_as_the_same_bytes(base: Path, tmp_path: Path) -> None:
    adapters = LoraAdapters(load_unet(base), RECIPE, Trainable(find_base(base), RECIPE))
    averages = moved(adapters)
    contents = set()
    for _ in range(10):
        adapters.write(averages, tmp_path / "lora", "unet")
        contents |= {(path.name, path.read_bytes()) for path in (tmp_path / "lora").iterdir()}
    assert sorted(name for name, _ in contents) == [KOHYA_LORA_FILE, DIFFUSERS_LORA_FILE]


def test_training_adapters_gives_a_plain_unet_and_the_adapters(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    result = train(encoded, base, tmp_path, lora=LoraSettings(rank=2), trained="attention")
    assert result.final.lora is not None
    assert sorted(path.name for path in result.final.lora.iterdir()) == [
        KOHYA_LORA_FILE,
        DIFFUSERS_LORA_FILE,
    ]
    before = load_unet(base).state_dict()
    after = load_unet(result.final.folder, subfolder="").state_dict()
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name].half(), after[name].half())}
    assert changed
    assert all(".attn" in name and name.endswith(".weight") for name in changed)


def test_adapters_without_peft_are_refused(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(TrainingError, match=r"pip install 'styledag\[lora\]'"):
        LoraAdapters(load_unet(base), RECIPE, Trainable(find_base(base), RECIPE))
