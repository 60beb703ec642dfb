import pytest
import torch
from diffusers.optimization import get_scheduler

from styledag.errors import TrainingError
from styledag.training.recipe import Recipe
from styledag.training.schedule import learning_rate


@pytest.mark.parametrize("shape", ["constant", "linear", "cosine"])
def test_without_warmup_it_is_diffusers_own(shape: str) -> None:
    recipe = Recipe(learning_rate=1e-3, lr_schedule=shape)  # type: ignore[arg-type]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    theirs = get_scheduler(shape, optimizer, num_warmup_steps=0, num_training_steps=20)
    for step in range(20):
        ours = learning_rate(recipe, step, total_steps=20)
        assert ours == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()


def test_warmup_rises_from_above_zero_to_the_peak() -> None:
    recipe = Recipe(learning_rate=1.0e-2, lr_schedule="cosine", lr_warmup_steps=4)
    rates = [learning_rate(recipe, step, total_steps=10) for step in range(10)]
    assert rates[:5] == pytest.approx([2e-3, 4e-3, 6e-3, 8e-3, 1e-2])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] > 0


def test_warmup_longer_than_the_run_is_refused() -> None:
    with pytest.raises(TrainingError, match="only 10 optimiser steps"):
        learning_rate(Recipe(lr_warmup_steps=10), 0, total_steps=10)
