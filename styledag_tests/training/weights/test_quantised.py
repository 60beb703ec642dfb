"""A frozen base in 8 or 4 bits: near the whole one, trained beside, and folded into the whole."""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from styledag.bases.base import Base
from styledag.bases.find import find_base
from styledag.errors import TrainingError
from styledag.models.compute import Compute
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.estimating.dry_pass import dry_pass
from styledag.training.estimating.estimate import PlannedTraining, estimate_training
from styledag.training.estimating.live_bytes import LiveBytes
from styledag.training.estimating.memory_check import bytes_by_base_bits
from styledag.training.identity import training_identity
from styledag.training.recipe import LoraSettings, Recipe, recipe_from_json
from styledag.training.weights.lora import LoraAdapters
from styledag.training.weights.masters import lower
from styledag.training.weights.quantised import QuantisedLinear, quantise
from styledag.training.weights.trainable import Trainable
from styledag_tests.bases.families import tiny_families
from styledag_tests.training.conftest import Encode
from styledag_tests.training.test_resume import Interrupting
from styledag_tests.training.training import train

pytest.importorskip("peft")
BITSANDBYTES = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="needs bitsandbytes")
BITS = pytest.mark.parametrize("bits", [8, 4])
WEIGHTS = "diffusion_pytorch_model.safetensors"
FAMILIES = tiny_families()
CPU = torch.device("cpu")
BOUNDS = {8: 0.015, 4: 0.15}
"""Errors of a tiny base's predictions, as shares of their norms; those of its weights are as large.

Eight bits round by half a 127th of the largest of 256 elements, NF4 by about a tenth.
"""


def lora(bits: Any, rank: int = 2) -> Recipe:
    return Recipe(trained="attention", lora=LoraSettings(rank=rank, base_bits=bits))


@pytest.fixture(scope="module")
def folder_of(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("families")
    return cache(
        lambda name: FAMILIES[name].write(root / name, starter / "stable-diffusion" / "tokenizer")
    )


@pytest.fixture(params=FAMILIES)
def small(request: pytest.FixtureRequest, folder_of: Callable[[str], Path]) -> Base:
    return find_base(folder_of(request.param))


@pytest.fixture
def encoded(encode: Encode) -> EncodedDataset:
    return encode(5)


def inputs(base: Base) -> tuple[Tensor, Tensor, Any]:
    shape = base.latents.shape(width_px=32, height_px=32)
    latents = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    given = base.meta_conditioning(3)
    ones = {name: torch.ones(e.shape, dtype=e.dtype) for name, e in given.tensors.items()}
    return latents, torch.tensor([5, 300, 800]), type(given)(ones)


@BITSANDBYTES
@BITS
def test_predictions_are_near_those_of_the_whole_base(small: Base, bits: int) -> None:
    denoiser = small.denoiser().requires_grad_(False)
    with torch.no_grad():
        expected = small.predict(denoiser, *inputs(small))
        quantise(denoiser, small, bits, device=CPU, dtype=torch.float32)
        found = small.predict(denoiser, *inputs(small))
    error = (found - expected).norm() / expected.norm()
    assert 0 < error < BOUNDS[bits]


@BITSANDBYTES
@BITS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_adapters_alone_have_gradients_and_memory_is_as_estimated(
    small: Base, bits: int, dtype: torch.dtype
) -> None:
    recipe, denoiser = lora(bits), small.denoiser()
    adapters = LoraAdapters(denoiser, recipe, Trainable(small, recipe))
    quantise(denoiser, small, bits, device=CPU, dtype=dtype)
    lower(denoiser, dtype)
    latents, timesteps, given = inputs(small)
    latents, given = latents.to(dtype), given.to(dtype=dtype)
    live = LiveBytes([*denoiser.parameters(), *denoiser.buffers()])
    with live:
        prediction = small.predict(denoiser, latents, timesteps, given)
        torch.autograd.backward(prediction.float().square().mean())
    with_gradient = {n for n, each in denoiser.named_parameters() if each.grad is not None}
    assert with_gradient == set(adapters.parameters)
    shape = latents.shape[1], latents.shape[2], latents.shape[3]
    dry = dry_pass(small.folder, recipe, shape, device="cpu", dtype=dtype, batch_size=3)
    assert dry.peak_bytes == pytest.approx(live.peak, rel=0.05)
    there = (*denoiser.parameters(), *denoiser.buffers())
    assert dry.weights_bytes == sum(each.nbytes for each in there)


@BITSANDBYTES
@BITS
def test_gradients_are_those_of_the_weight_that_was_multiplied(bits: int) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(96, 40)
    quantised = QuantisedLinear(layer, bits, device=CPU, dtype=torch.float32)
    plain = nn.Linear(96, 40)
    plain.weight.data, plain.bias.data = quantised.whole_weight(), layer.bias.detach()
    ours, theirs = (torch.randn(2, 7, 96, requires_grad=True) for _ in range(2))
    theirs.data = ours.data.clone()
    factors = torch.randn(2, 7, 40)
    (quantised(ours) * factors).sum().backward()
    (plain(theirs) * factors).sum().backward()
    torch.testing.assert_close(quantised(ours), plain(theirs))
    torch.testing.assert_close(ours.grad, theirs.grad)


@BITS
def test_bytes_are_those_of_elements_and_scales(base: Path, bits: int) -> None:
    found = find_base(base)
    whole, quantised = found.denoiser(device="meta"), found.denoiser(device="meta")
    for each in quantised.parameters():
        each.requires_grad_(False)
    names = quantise(quantised, found, bits, device="meta", dtype=torch.float32)
    saved = 0
    for name in names:
        count = whole.get_submodule(name).weight.numel()
        scales = 4 * math.ceil(count / (256 if bits == 8 else 64))
        saved += 4 * count - (math.ceil(count * bits / 8) + scales + (1024 if bits == 8 else 0))
    shape = found.latents.shape(width_px=16, height_px=16)

    def weights(recipe: Recipe) -> int:
        sizes: dict[str, Any] = {"device": "cpu", "dtype": torch.float32, "batch_size": 1}
        return dry_pass(base, recipe, shape, **sizes).weights_bytes

    assert weights(lora(None)) - weights(lora(bits)) == saved


def test_the_estimate_has_the_base_that_is_loaded_first(
    base: Path, encoded: EncodedDataset
) -> None:
    def planned(bits: int | None, device: str) -> PlannedTraining:
        compute = Compute(torch.device(device), torch.bfloat16)
        return PlannedTraining.of(encoded, base, lora(bits), compute=compute)

    elements = sum(
        each.numel() for each in find_base(base).denoiser(device="meta").state_dict().values()
    )
    whole, quantised = (estimate_training(planned(bits, "cuda:0")) for bits in (None, 4))
    assert quantised.host_bytes == {"base until it is quantised": 4 * elements}
    assert whole.host_bytes == {}
    assert quantised.parameters == whole.parameters
    assert quantised.device_bytes["weights"] < whole.device_bytes["weights"]
    on_cpu = estimate_training(planned(4, "cpu"))
    assert on_cpu.needed_bytes > 4 * elements
    by_bits = bytes_by_base_bits(planned(8, "cuda:0"))
    assert by_bits["4"] < by_bits["8"] < by_bits["none"]
    assert by_bits["none"] == whole.needed_bytes
    assert bytes_by_base_bits(replace(planned(8, "cuda:0"), recipe=Recipe())) == {}


@BITSANDBYTES
@BITS
def test_the_model_is_the_whole_base_and_the_adapters(
    base: Path, encoded: EncodedDataset, tmp_path: Path, bits: int
) -> None:
    settings = LoraSettings(rank=2, base_bits=bits)  # type: ignore[arg-type]
    result = train(encoded, base, tmp_path, lora=settings, trained="attention")
    before, after = (load_file(folder / WEIGHTS) for folder in (base / "unet", result.final.folder))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name].half(), after[name])}
    assert changed
    assert all(".attn" in name and name.endswith(".weight") for name in changed)
    assert result.final.lora is not None
    (file,) = result.final.lora.glob("pytorch*")
    named = load_file(file)
    for name in changed:
        layer = f"unet.{name.removesuffix('.weight')}"
        down, up = (named[f"{layer}.lora_{half}.weight"].float() for half in "AB")
        torch.testing.assert_close(
            after[name].float(), before[name] + up @ down, atol=1e-3, rtol=1e-2
        )


@BITSANDBYTES
@BITS
def test_a_run_that_is_cut_off_ends_in_the_same_weights(
    base: Path, encoded: EncodedDataset, tmp_path: Path, bits: int
) -> None:
    ways: dict[str, Any] = {
        "lora": LoraSettings(rank=2, base_bits=bits),  # type: ignore[arg-type]
        "trained": "attention",
    }
    undisturbed = train(encoded, base, tmp_path / "undisturbed", **ways)
    with pytest.raises(KeyboardInterrupt):
        train(encoded, base, tmp_path / "cut", progress=Interrupting(3), **ways)
    resumed = train(encoded, base, tmp_path / "cut", **ways)
    assert resumed.log == undisturbed.log
    one, other = (load_file(each.final.folder / WEIGHTS) for each in (resumed, undisturbed))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_it_decides_the_weights_and_changes_no_key_where_it_is_left_out() -> None:
    plain, quantised = (training_identity(lora(bits)) for bits in (None, 8))
    assert plain["lora"] == {"rank": 2, "alpha": None}
    assert quantised["lora"] == {"rank": 2, "alpha": None, "base_bits": 8}
    assert training_identity(Recipe())["lora"] is None


@pytest.mark.parametrize("bits", [16, 2, True, "8"])
def test_other_bits_are_refused_by_name(bits: object) -> None:
    with pytest.raises(ValueError, match="base_bits"):
        lora(bits)
    with pytest.raises(TrainingError, match="base_bits"):
        recipe_from_json(json.dumps({"lora": {"base_bits": bits}}), "file")


def test_without_bitsandbytes_it_is_refused(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes.functional", None)
    found = find_base(base)
    with pytest.raises(TrainingError, match=r"styledag\[adam8bit\]"):
        quantise(found.denoiser().requires_grad_(False), found, 8, device=CPU, dtype=torch.float32)


def test_a_denoiser_with_nothing_to_quantise_is_refused(base: Path) -> None:
    found = find_base(base)
    with pytest.raises(TrainingError, match="remove base_bits"):
        quantise(found.denoiser(), found, 8, device=CPU, dtype=torch.float32)
