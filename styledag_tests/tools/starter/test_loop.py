"""The training loop: resumable, averaged, and left in a usable state."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing, nn

from tools.starter.loop import Loop, LoopSettings, psnr_db

SETTINGS = LoopSettings(
    name="line", steps=40, learning_rate=0.05, warmup_steps=4, decay_steps=10, bfloat16=False
)


def _loop(folder: Path, settings: LoopSettings) -> tuple[nn.Linear, Loop]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Linear(3, 1)
    return model, Loop(model, settings, folder, torch.device("cpu"))


def _trained(folder: Path, settings: LoopSettings) -> nn.Linear:
    model, loop = _loop(folder, settings)

    def loss_of(generator: torch.Generator) -> Tensor:
        x = torch.randn(8, 3, generator=generator)
        return (model(x)[:, 0] - x.sum(dim=1)).square().mean()

    loop.run(loss_of)
    loop.adopt_averages()
    return model


def test_a_stopped_run_ends_in_the_same_weights(tmp_path: Path) -> None:
    whole = _trained(tmp_path / "whole", SETTINGS)
    # Stopped before the rate falls, the same schedule goes on.
    _trained(tmp_path / "parts", replace(SETTINGS, steps=20, decay_steps=1))
    resumed = _trained(tmp_path / "parts", SETTINGS)
    assert torch.equal(whole.weight, resumed.weight)


def test_the_rate_falls_before_each_restart_and_rises_after_it(tmp_path: Path) -> None:
    model, loop = _loop(tmp_path, replace(SETTINGS, restarts=(20,)))
    rates = []

    def loss_of(generator: torch.Generator) -> Tensor:
        rates.append(loop.optimizer.param_groups[0]["lr"] / SETTINGS.learning_rate)
        return model(torch.randn(8, 3, generator=generator)).square().mean()

    loop.run(loss_of)
    cycle = [0.2, 0.4, 0.6, 0.8, *[1] * 7, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert rates == pytest.approx(cycle * 2)


def test_the_log_of_a_killed_run_tells_each_step_once(tmp_path: Path) -> None:
    _trained(tmp_path, replace(SETTINGS, steps=20, decay_steps=1))
    log = tmp_path / "line.log.jsonl"
    log.write_text('{"step": 10, "seconds": 0.1}\n{"step": 25, "seconds": 0.3}\n')
    _trained(tmp_path, SETTINGS)
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [10, 25]


def test_another_seed_begins_anew_and_leaves_no_line_of_the_run_before(tmp_path: Path) -> None:
    fresh = _trained(tmp_path / "fresh", replace(SETTINGS, seed=1))
    _trained(tmp_path / "line", SETTINGS)
    (tmp_path / "line" / "line.log.jsonl").write_text('{"step": 10, "seconds": 0.1}\n')
    anew = _trained(tmp_path / "line", replace(SETTINGS, seed=1))
    assert torch.equal(anew.weight, fresh.weight)
    lines = (tmp_path / "line" / "line.log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [25]


def test_training_brings_the_averages_close_to_the_answer(tmp_path: Path) -> None:
    model = _trained(tmp_path, replace(SETTINGS, steps=300, ema_decay=0.9))
    torch.testing.assert_close(model.weight, torch.ones(1, 3), atol=0.05, rtol=0)


def test_a_finished_run_takes_no_step_when_asked_again(tmp_path: Path) -> None:
    first = _trained(tmp_path, SETTINGS)
    lines = (tmp_path / "line.log.jsonl").read_text()
    again = _trained(tmp_path, SETTINGS)
    assert torch.equal(first.weight, again.weight)
    assert (tmp_path / "line.log.jsonl").read_text() == lines


def _one_of_two(rank: int, folder: Path) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    torch.save(_trained(folder / "run", SETTINGS).weight, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_train_one_model_on_batches_of_their_own(tmp_path: Path) -> None:
    multiprocessing.spawn(_one_of_two, (tmp_path,), nprocs=2)  # type: ignore[no-untyped-call]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, _trained(tmp_path / "alone", SETTINGS).weight)


def test_frozen_parameters_stay_as_they_are(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    loop = Loop(model, SETTINGS, tmp_path, torch.device("cpu"))
    loop.run(lambda generator: model(torch.randn(8, 3, generator=generator)).square().mean())
    assert torch.equal(model[0].weight, before)


def test_a_tenth_of_the_range_is_20_db() -> None:
    assert psnr_db(0.1**2) == pytest.approx(20)
