import dataclasses
from collections import Counter
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler
from torch.utils._python_dispatch import TorchDispatchMode

from styledag.bases.conditioning import Conditioning
from styledag.bases.diffusion_objective import DiffusionObjective
from styledag.bases.latents import Moments
from styledag.bases.texts.clip import STATES
from styledag.errors import DataError
from styledag.training.batches import Batch, Batches
from styledag.training.recipe import Recipe
from styledag_tests.training.conftest import Encode
from styledag_tests.training.encoded import OBJECTIVE

RECIPE = Recipe(batch_size=3, gradient_accumulation=2, epochs=4, seed=7)


def same(one: Batch, other: Batch) -> bool:
    def tensors(batch: Batch) -> list[torch.Tensor]:
        named = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
        conditioning = named.pop("conditioning")
        return [*named.values(), *conditioning.tensors.values()]

    return all(torch.equal(*pair) for pair in zip(tensors(one), tensors(other), strict=True))


def test_every_sample_is_seen_once_an_epoch_in_another_order(encode: Encode) -> None:
    encoded = encode(13, validation=2)
    batches = Batches(encoded, RECIPE, OBJECTIVE)
    assert batches.steps_per_epoch == 2
    assert batches.total_steps == 8
    orders = []
    for epoch in (1, 2):
        steps = list(batches.steps(epoch))
        assert [[len(micro) for micro in step] for step in steps] == [[3, 3], [3, 2]]
        orders.append([each.id for step in steps for micro in step for each in micro])
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(each.id for each in encoded.train)
    assert orders[0] != orders[1]


class Copies(TorchDispatchMode):
    """Notes which copies to another device do not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[bool] = []

    def __torch_dispatch__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.ops.aten._to_copy.default and "device" in kwargs:
            self.waits.append(not kwargs.get("non_blocking", False))
        return func(*args, **(kwargs or {}))


def test_a_copy_of_memory_that_may_be_freed_waits(encode: Encode) -> None:
    """Apple's GPUs read it later; the meta device stands for them."""
    encoded = encode(3)
    batch = Batches(encoded, RECIPE, OBJECTIVE).training_batch(encoded.train, 1)
    with Copies() as copies:
        batch.to(torch.device("meta"))
    assert len(copies.waits) == 6
    assert all(copies.waits)


def test_halves_have_each_sample_once_and_know_whose_caption_is_dropped(encode: Encode) -> None:
    encoded = encode(5)
    recipe = Recipe(batch_size=5, caption_dropout=0.5, seed=7)
    batch = Batches(encoded, recipe, OBJECTIVE).training_batch(encoded.train, 1)
    first, second = batch.halves()
    assert [len(first), len(second)] == [3, 2]
    assert 0 < len(batch.dropped) < 5
    dropped = torch.cat([first.dropped, 3 + second.dropped])
    joined = {
        name: torch.cat([getattr(first, name), getattr(second, name)])
        for name in ("latents", "noise", "timesteps", "weights")
    }
    conditioning = Conditioning.concatenated([first.conditioning, second.conditioning])
    assert same(Batch(**joined, conditioning=conditioning, dropped=dropped), batch)


def test_skipping_gives_the_rest_of_the_epoch(encode: Encode) -> None:
    batches = Batches(encode(13), RECIPE, OBJECTIVE)
    assert list(batches.steps(3, skip=1)) == list(batches.steps(3))[1:]


def test_a_sample_s_numbers_do_not_depend_on_its_neighbours(encode: Encode) -> None:
    encoded = encode(5)
    batches = Batches(encoded, RECIPE, OBJECTIVE)
    together = batches.training_batch(encoded.train, 2)
    for at, sample in enumerate(encoded.train):
        alone = batches.training_batch([sample], 2)
        assert torch.equal(alone.latents[0], together.latents[at])
        assert torch.equal(alone.noise[0], together.noise[at])
        assert alone.timesteps[0] == together.timesteps[at]
        assert torch.equal(alone.conditioning[STATES][0], together.conditioning[STATES][at])


def test_one_more_sample_leaves_the_others_numbers(encode: Encode) -> None:
    encoded = encode(6)
    fewer = dataclasses.replace(encoded, samples=encoded.samples[:-1])
    batches, before = (
        Batches(each, RECIPE, OBJECTIVE).training_batch(fewer.samples, 1)
        for each in (encoded, fewer)
    )
    assert same(batches, before)


def test_numbers_change_with_epoch_and_run_seed(encode: Encode) -> None:
    encoded = encode(4)
    other = Batches(encoded, dataclasses.replace(RECIPE, seed=8), OBJECTIVE)
    batches = Batches(encoded, RECIPE, OBJECTIVE)
    first = batches.training_batch(encoded.train, 1)
    for further in (
        batches.training_batch(encoded.train, 2),
        other.training_batch(encoded.train, 1),
    ):
        assert not torch.equal(first.noise, further.noise)
        assert not torch.equal(first.latents, further.latents)
        assert not torch.equal(first.timesteps, further.timesteps)


def test_flips_dropout_and_timesteps_come_as_often_as_stated(encode: Encode) -> None:
    encoded = encode(1)
    mean = encoded.moments["16x16"].mean
    still = dataclasses.replace(
        encoded, moments={"16x16": Moments(mean, torch.full_like(mean, -30.0))}
    )
    recipe = dataclasses.replace(RECIPE, caption_dropout=0.25)
    batches = Batches(still, recipe, DiffusionObjective(DDPMScheduler(num_train_timesteps=10)))
    empty = encoded.conditioning[STATES][encoded.empty_caption]
    mirrored = mean[0, 1] * encoded.scale.factor
    flips = dropped = 0
    timesteps: Counter[int] = Counter()
    for epoch in range(1000):
        batch = batches.training_batch(still.train, epoch)
        flips += torch.allclose(batch.latents[0], mirrored, atol=1e-4)
        dropped += torch.equal(batch.conditioning[STATES][0], empty)
        timesteps[int(batch.timesteps[0])] += 1
    assert abs(flips - 500) < 5 * 16
    assert abs(dropped - 250) < 5 * 14
    assert sorted(timesteps) == list(range(10))
    assert all(abs(count - 100) < 5 * 10 for count in timesteps.values())


def test_validation_is_always_the_same_and_covers_all_timesteps(encode: Encode) -> None:
    encoded = encode(9, validation=4)
    recipe = dataclasses.replace(RECIPE, caption_dropout=0.9)
    batches = Batches(encoded, recipe, OBJECTIVE)
    once, again = list(batches.validation_batches()), list(batches.validation_batches())
    assert all(same(one, other) for (_, one), (_, other) in zip(once, again, strict=True))
    found = Counter((band, int(each)) for band, batch in once for each in batch.timesteps)
    assert found == {(band, 125 * band + 62): 4 for band in range(8)}
    empty = encoded.conditioning[STATES][encoded.empty_caption]
    assert not any(
        torch.equal(states, empty) for _, batch in once for states in batch.conditioning[STATES]
    )


def test_empty_training_split_is_refused(encode: Encode) -> None:
    encoded = encode(2, validation=2)
    with pytest.raises(DataError, match="training split is empty"):
        Batches(encoded, RECIPE, OBJECTIVE)


def test_flips_that_were_not_encoded_are_refused(encode: Encode) -> None:
    encoded = encode(2, flip=False)
    with pytest.raises(DataError, match="horizontal_flip"):
        Batches(encoded, RECIPE, OBJECTIVE)
    unflipped = dataclasses.replace(RECIPE, horizontal_flip=False)
    assert len(Batches(encoded, unflipped, OBJECTIVE).training_batch(encoded.train, 1)) == 2
