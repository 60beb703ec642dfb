from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from styledag.models.compute import Compute
from styledag.training.estimating.estimate import Estimate, PlannedTraining, estimate_training
from styledag.training.optimising.optimizers import Optimizer, OptimizerSettings
from styledag.training.recipe import EmaSettings, LoraSettings, PriorSettings, Recipe
from styledag_tests.bases.loading import load_unet
from styledag_tests.training.architectures import write_stable_diffusion_15
from styledag_tests.training.conftest import CPU, Encode
from styledag_tests.training.training import RECIPE, train

CUDA = Compute(torch.device("cuda", 0), torch.bfloat16)
SHAPE = (4, 8, 8)

Estimated = Callable[..., Estimate]


@pytest.fixture
def estimated(base: Path) -> Estimated:
    def estimate(
        *, compute: Compute = CPU, latents: Any = None, validation: int = 2, **recipe: Any
    ) -> Estimate:
        return estimate_training(
            PlannedTraining(
                base=base,
                recipe=Recipe(**recipe),
                compute=compute,
                latents=latents or {SHAPE: 10},
                validation=validation,
                captions=3,
            )
        )

    return estimate


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_moments_are_what_the_optimizer_keeps(base: Path, optimizer: str) -> None:
    recipe = Recipe(optimizer=optimizer)
    trained = dict(load_unet(base).named_parameters())
    for parameter in trained.values():
        parameter.grad = torch.ones_like(parameter)
    built = Optimizer(trained, OptimizerSettings.of(recipe))
    built.step(1e-4, step=0)
    kept = sum(each.nbytes for name, each in built.tensors().items() if "step" not in name)
    planned = PlannedTraining(base=base, recipe=recipe, compute=CPU, latents={SHAPE: 1})
    assert estimate_training(planned).device_bytes["moments"] == kept


def test_eight_bit_moments_take_a_quarter(tmp_path: Path) -> None:
    base = write_stable_diffusion_15(tmp_path)

    def moments(optimizer: str) -> int:
        recipe = Recipe(optimizer=optimizer, batch_size=1)
        planned = PlannedTraining(base=base, recipe=recipe, compute=CUDA, latents={(4, 64, 64): 1})
        return estimate_training(planned).device_bytes["moments"]

    assert moments("adamw_8bit") / moments("adamw") == pytest.approx(0.25, abs=0.01)


def test_averages_are_counted_where_they_are(estimated: Estimated) -> None:
    one = estimated(compute=CUDA)
    assert one.device_bytes["average"] == 4 * one.trained
    two = estimated(compute=CUDA, ema=EmaSettings(mode="power"))
    assert two.device_bytes["average"] == 8 * two.trained
    assert estimated(ema=EmaSettings(mode="none")).device_bytes["average"] == 0
    elsewhere = estimated(compute=CUDA, ema_on_cpu=True)
    assert elsewhere.device_bytes["average"] == 0
    assert elsewhere.host_bytes == {"average": 4 * one.trained}
    assert estimated(ema_on_cpu=True).device_bytes["average"] == 4 * one.trained


def test_weights_in_bfloat16_have_no_masters(estimated: Estimated) -> None:
    full, half = estimated(compute=CUDA), estimated(compute=CUDA, weights="bfloat16")
    assert half.device_bytes["weights"] == 2 * half.parameters
    assert full.device_bytes["weights"] == (2 + 4) * full.parameters
    assert half.device_bytes["gradients"] == full.device_bytes["gradients"] == 2 * full.trained
    summed = estimated(compute=CUDA, gradient_accumulation=2)
    assert summed.device_bytes["gradients"] == 4 * full.trained
    assert half.device_bytes["average"] == full.device_bytes["average"]


def test_frozen_base_is_counted_in_the_format_of_the_passes(estimated: Estimated) -> None:
    plain = estimated(compute=CUDA)
    held = estimated(compute=CUDA, dropped_captions="base", caption_dropout=0.25)
    size = CUDA.dtype.itemsize
    assert held.device_bytes["frozen base"] == size * held.parameters
    assert held.needed_bytes - plain.needed_bytes == held.device_bytes["frozen base"]
    assert held.flops - plain.flops == int(0.25 * held.flops_forward)
    adapted = estimated(
        compute=CUDA, dropped_captions="base", caption_dropout=0.25, lora=LoraSettings(rank=2)
    )
    assert adapted.device_bytes["frozen base"] == held.device_bytes["frozen base"]


def test_the_largest_shape_decides_memory_and_the_mean_decides_operations(
    estimated: Estimated,
) -> None:
    small, large = (4, 8, 8), (4, 16, 16)
    of = {shape: estimated(latents={shape: 1}) for shape in (small, large)}
    mixed = estimated(latents={small: 3, large: 1})
    assert mixed.device_bytes["activations"] == of[large].device_bytes["activations"]
    assert mixed.flops == (3 * of[small].flops + of[large].flops) // 4


def test_counts_are_those_of_the_run_and_the_snapshots_that_it_writes(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    encoded = encode(9, validation=2)
    sizes = []

    def on_snapshot(snapshot: Any) -> None:
        sizes.append(sum(file.stat().st_size for file in snapshot.folder.iterdir()))

    result = train(encoded, base, tmp_path, on_snapshot=on_snapshot)
    found = estimate_training(PlannedTraining.of(encoded, base, Recipe(**RECIPE), compute=CPU))
    assert found.steps == len(result.log)
    assert found.snapshots == len(sizes)
    assert found.images == sum(step.samples for step in result.log)
    assert found.snapshot_bytes == pytest.approx(sizes[0], rel=0.2)
    assert found.disk_bytes > sum(sizes)


def test_the_state_to_resume_from_is_what_is_written(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    encoded = encode(4)
    train(encoded, base, tmp_path, epochs=1, lr_warmup_steps=0, save_state_every_steps=1)
    states = [file for file in tmp_path.rglob("*.safetensors") if "step-" in str(file.parent)]
    found = estimate_training(PlannedTraining.of(encoded, base, Recipe(**RECIPE), compute=CPU))
    assert found.state_bytes == pytest.approx(states[0].stat().st_size, rel=0.1)


def test_prior_images_double_the_passes(estimated: Estimated) -> None:
    plain, prior = estimated(), estimated(prior=PriorSettings(class_prompt="a drawing"))
    assert prior.images == 2 * plain.images
    assert prior.device_bytes["activations"] > plain.device_bytes["activations"]


def test_processes_share_a_microstep_and_keep_gradients_of_the_others(base: Path) -> None:
    def needed(processes: int) -> Estimate:
        return estimate_training(
            PlannedTraining(
                base=base,
                recipe=Recipe(batch_size=8),
                compute=CUDA,
                latents={SHAPE: 8},
                processes=processes,
            )
        )

    alone, both = needed(1), needed(2)
    assert both.device_bytes["activations"] < alone.device_bytes["activations"]
    assert both.device_bytes["gradients of other processes"] == 2 * both.trained


def test_each_shape_has_microsteps_of_its_own(estimated: Estimated) -> None:
    recipe = {"batch_size": 4, "gradient_accumulation": 2, "epochs": 3}
    assert estimated(latents={(4, 8, 8): 8}, **recipe).steps == 3
    assert estimated(latents={(4, 8, 8): 5, (4, 8, 16): 3}, **recipe).steps == 6
