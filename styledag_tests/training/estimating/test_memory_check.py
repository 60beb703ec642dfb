import gc
import shutil
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from styledag.errors import TrainingError
from styledag.models.compute import Compute
from styledag.training.estimating.estimate import PlannedTraining, estimate_training
from styledag.training.estimating.free_memory import free_bytes
from styledag.training.estimating.memory_check import check_memory, memory_advice
from styledag.training.recipe import Recipe
from styledag_tests.bases.loading import write_index
from styledag_tests.training.conftest import CPU

CUDA = Compute(torch.device("cuda", 0), torch.bfloat16)
SIZE = (4, 64, 64)
"""Latents so large that activations outweigh the fixtures' small UNet."""


def planned(base: Path, *, compute: Compute = CUDA, **recipe: Any) -> PlannedTraining:
    recipe = {"batch_size": 8} | recipe
    return PlannedTraining(base=base, recipe=Recipe(**recipe), compute=compute, latents={SIZE: 100})


def test_what_fits_is_let_through_and_told(base: Path) -> None:
    run = planned(base, compute=CPU, batch_size=1)
    assert check_memory(run) == estimate_training(run).device_bytes


def test_what_just_does_not_fit_is_refused_with_the_mildest_setting(base: Path) -> None:
    run = planned(base)
    needed = estimate_training(run).needed_bytes
    assert sum(check_memory(run, free=needed).values()) == needed
    with pytest.raises(TrainingError) as caught:
        check_memory(run, free=needed - 1)
    message = str(caught.value)
    assert "weights" in message
    assert "activations" in message
    assert "batch_size: 1, gradient_accumulation: 8 saves" in message
    assert message.endswith("with gradient_checkpointing: true")


def test_what_an_earlier_run_compiled_is_let_go_first(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: Any = torch.nn.Linear(2, 2)
    compiled.called_instead = compiled.forward  # as torch.compile has it
    earlier = weakref.ref(compiled)
    run = planned(base)
    needed = estimate_training(run).needed_bytes
    monkeypatch.setattr(
        "styledag.training.estimating.memory_check.free_bytes",
        lambda _: needed - 1 if earlier() is not None else needed,
    )
    gc.disable()
    try:
        del compiled
        assert sum(check_memory(run).values()) == needed
    finally:
        gc.enable()


def test_the_advice_fits_and_each_setting_saves_what_it_says(base: Path) -> None:
    run = planned(base)
    before = estimate_training(run).needed_bytes
    least = memory_advice(run, 0)
    assert least.together == {}
    free = (before + least.needed_bytes) // 2
    advice = memory_advice(run, free)
    changed = replace(run, recipe=replace(run.recipe, **advice.together))
    assert sum(check_memory(changed, free=free).values()) == advice.needed_bytes
    for switch in advice.switches:
        alone = replace(run, recipe=replace(run.recipe, **switch.settings))
        assert before - estimate_training(alone).needed_bytes == switch.saved_bytes > 0


def test_only_settings_that_the_device_can_follow_are_advised(base: Path) -> None:
    on_cpu = memory_advice(planned(base, compute=CPU), 0)
    names = {name for switch in on_cpu.switches for name in switch.settings}
    assert not names & {"ema_on_cpu", "weights"}
    assert {"optimizer": "adamw_8bit"} not in [switch.settings for switch in on_cpu.switches]


def test_nothing_is_advised_that_would_still_not_fit(base: Path) -> None:
    with pytest.raises(TrainingError, match="take smaller images"):
        check_memory(planned(base), free=1)


def test_free_memory_of_this_machine_is_some_and_less_than_all() -> None:
    import os

    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < free_bytes(torch.device("cpu")) < whole


def test_only_the_unet_is_looked_at(base: Path, tmp_path: Path) -> None:
    write_index(tmp_path)
    shutil.copytree(base / "unet", tmp_path / "unet")
    run = planned(tmp_path, compute=CPU, batch_size=1)
    assert check_memory(run) == check_memory(planned(base, compute=CPU, batch_size=1))
