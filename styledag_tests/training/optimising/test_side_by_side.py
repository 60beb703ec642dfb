"""A batch in two halves, at the same time."""

import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from styledag.bases.texts.clip import STATES
from styledag.training.batches import Batch, Batches
from styledag.training.optimising.side_by_side import SideBySide
from styledag.training.recipe import EmaSettings, LoraSettings, Recipe
from styledag_tests.training.conftest import Encode
from styledag_tests.training.encoded import OBJECTIVE
from styledag_tests.training.training import train

WHOLE = {"batch_size": 5, "epochs": 2, "gradient_accumulation": 1, "ema": EmaSettings(mode="none")}


@pytest.fixture
def batch(encode: Encode) -> Batch:
    encoded = encode(5)
    recipe = Recipe(batch_size=5, seed=7, caption_dropout=0.5)
    made = Batches(encoded, recipe, OBJECTIVE).training_batch(encoded.train, 1)
    assert 0 < len(made.dropped) < 5
    return made


def test_halves_have_every_sample_once_and_know_which_captions_are_dropped(batch: Batch) -> None:
    first, second = batch.halves()
    assert [len(first), len(second)] == [3, 2]
    for name in ("latents", "noise", "timesteps", "weights"):
        parts = [getattr(first, name), getattr(second, name)]
        assert torch.equal(torch.cat(parts), getattr(batch, name))
    states = [first.conditioning[STATES], second.conditioning[STATES]]
    assert torch.equal(torch.cat(states), batch.conditioning[STATES])
    dropped = [*first.dropped.tolist(), *(3 + second.dropped).tolist()]
    assert dropped == batch.dropped.tolist()


def test_both_halves_run_at_once_each_on_half_of_the_threads(batch: Batch) -> None:
    torch.set_num_threads(3)
    both = threading.Barrier(2, timeout=30)
    seen = {}

    def function(half: Batch) -> Tensor:
        both.wait()
        seen[len(half)] = torch.get_num_threads()
        return half.weights.sum()

    side_by_side = SideBySide()
    assert side_by_side.summed(function, batch) == batch.weights.sum()
    assert seen == {3: 2, 2: 1}
    assert torch.get_num_threads() == 3
    later = []
    new = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    new.start()
    new.join()
    assert later == [3]


@pytest.mark.parametrize("fails", [3, 2])
def test_an_error_in_a_half_is_raised_when_neither_runs_any_more(batch: Batch, fails: int) -> None:
    torch.set_num_threads(2)
    ended = []

    def function(half: Batch) -> Tensor:
        if len(half) == fails:
            raise RuntimeError("out of memory")
        threading.Event().wait(0.05)
        ended.append(len(half))
        return half.weights.sum()

    with pytest.raises(RuntimeError, match="out of memory"):
        SideBySide().summed(function, batch)
    assert ended == [5 - fails]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("lora", "checkpointing"), [(None, False), (LoraSettings(rank=2), True)])
def test_halves_train_as_the_whole_batch_does_and_to_the_same_bits_each_time(
    base: Path, encode: Encode, tmp_path: Path, lora: LoraSettings | None, checkpointing: bool
) -> None:
    encoded = encode(8)
    results = [
        train(
            encoded,
            base,
            tmp_path / str(number),
            threads=threads,
            **WHOLE,
            lora=lora,
            gradient_checkpointing=checkpointing,
            caption_dropout=0.5,
            dropped_captions="base",
        )
        for number, threads in enumerate((1, 2, 2))
    ]
    whole, halves, again = (
        load_file(next(each.final.folder.rglob("*.safetensors"))) for each in results
    )
    assert all(torch.equal(halves[name], again[name]) for name in whole)
    for name, weight in whole.items():
        torch.testing.assert_close(halves[name], weight, atol=1e-4, rtol=1e-2)
    for one, other in zip(*(each.log for each in results[:2]), strict=True):
        assert other.loss == pytest.approx(one.loss, rel=1e-4)
        assert other.grad_norm == pytest.approx(one.grad_norm, rel=1e-3)
