import pytest
import torch
from diffusers.optimization import get_scheduler

from styledag.errors import TrainingError
from styledag.training.schedule import Schedule


@pytest.mark.parametrize("shape", ["constant", "linear", "cosine"])
def test_without_warmup_it_is_diffusers_own(shape: str) -> None:
    ours = Schedule(highest=1e-3, shape=shape, total_steps=20)  # type: ignore[arg-type]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    theirs = get_scheduler(shape, optimizer, num_warmup_steps=0, num_training_steps=20)
    for step in range(20):
        assert ours.learning_rate(step) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()


def test_warmup_rises_from_above_zero_to_the_peak() -> None:
    schedule = Schedule(highest=1e-2, shape="cosine", warmup_steps=4, total_steps=10)
    rates = [schedule.learning_rate(step) for step in range(10)]
    assert rates[:5] == pytest.approx([2e-3, 4e-3, 6e-3, 8e-3, 1e-2])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] > 0


def test_warmup_longer_than_the_run_is_refused() -> None:
    with pytest.raises(TrainingError, match="only 10 optimiser steps"):
        Schedule(highest=1e-2, warmup_steps=10, total_steps=10)
