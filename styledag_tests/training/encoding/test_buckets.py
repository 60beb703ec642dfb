"""Ragged counts of several shapes: no image is lost, whatever the batch size."""

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from styledag.training.batches import Batches
from styledag.training.recipe import PriorSettings, Recipe
from styledag_tests.tiny_base import TEXT_WIDTH
from styledag_tests.training.encoded import OBJECTIVE, encoded_dataset
from styledag_tests.training.training import train

COUNTS = {"64x64": 23, "72x56": 7, "56x72": 1, "80x48": 12}


@pytest.mark.parametrize("batch_size", [1, 4, 5, 32])
@pytest.mark.parametrize("accumulation", [1, 3])
def test_every_epoch_sees_every_image_once_in_batches_of_one_shape(
    batch_size: int, accumulation: int
) -> None:
    encoded = encoded_dataset(COUNTS, validation=3)
    recipe = Recipe(
        batch_size=batch_size, gradient_accumulation=accumulation, epochs=3, horizontal_flip=False
    )
    batches = Batches(encoded, recipe, OBJECTIVE)
    trained = Counter(each.bucket for each in encoded.train)
    microsteps = sum(math.ceil(count / batch_size) for count in trained.values())
    assert batches.steps_per_epoch == math.ceil(microsteps / accumulation)
    assert batches.total_steps == 3 * batches.steps_per_epoch
    for epoch in (1, 2):
        steps = list(batches.steps(epoch))
        assert len(steps) == batches.steps_per_epoch
        assert all(len(step) == accumulation for step in steps[:-1])
        parts = [part for step in steps for part in step]
        assert all(len({each.bucket for each in part}) == 1 for part in parts)
        seen = Counter(each.id for part in parts for each in part)
        assert seen == Counter(each.id for each in encoded.train)
        small = Counter(part[0].bucket for part in parts if len(part) < batch_size)
        assert all(count == 1 for count in small.values())
        assert list(batches.steps(epoch, skip=1)) == steps[1:]


def test_612_images_stay_612() -> None:
    encoded = encoded_dataset({"64x64": 301, "72x56": 157, "56x72": 99, "80x48": 42, "48x80": 13})
    batches = Batches(encoded, Recipe(batch_size=16, horizontal_flip=False), OBJECTIVE)
    seen = [each.id for step in batches.steps(1) for part in step for each in part]
    assert len(seen) == len(set(seen)) == 612


def test_buckets_come_mixed_and_in_another_order_each_epoch() -> None:
    encoded = encoded_dataset({"64x64": 40, "72x56": 40})
    batches = Batches(encoded, Recipe(batch_size=4, horizontal_flip=False), OBJECTIVE)
    orders = [[part[0].bucket for (part,) in batches.steps(epoch)] for epoch in range(1, 21)]
    assert len({tuple(order) for order in orders}) == 20
    changes = [sum(one != other for one, other in pairwise(order)) for order in orders]
    assert min(changes) > 2


def test_a_lone_bucket_s_batch_comes_anywhere_in_an_epoch() -> None:
    encoded = encoded_dataset({"64x64": 36, "72x56": 4})
    batches = Batches(encoded, Recipe(batch_size=4, horizontal_flip=False), OBJECTIVE)
    places = Counter(
        [part[0].bucket for (part,) in batches.steps(epoch)].index("72x56") for epoch in range(200)
    )
    assert set(places) == set(range(10))
    assert max(places.values()) < 50


def test_batches_have_the_shape_of_their_bucket() -> None:
    encoded = encoded_dataset(COUNTS, validation=8)
    batches = Batches(encoded, Recipe(batch_size=4, horizontal_flip=False), OBJECTIVE)
    for (part,) in batches.steps(1):
        width, height = (int(side) for side in part[0].bucket.split("x"))
        batch = batches.training_batch(part, 1)
        assert batch.latents.shape == batch.noise.shape == (len(part), 4, height // 8, width // 8)
    held_out = [(band, len(batch)) for band, batch in batches.validation_batches()]
    for band in range(8):
        assert sum(size for each, size in held_out if each == band) == 8


def test_training_counts_every_image_of_every_shape_and_no_prior(
    base: Path, tmp_path: Path
) -> None:
    encoded = encoded_dataset(
        {"64x64": 5, "96x32": 2, "32x96": 3}, prior=2, validation=2, text_width=TEXT_WIDTH
    )
    result = train(
        encoded,
        base,
        tmp_path,
        epochs=2,
        lr_warmup_steps=0,
        batch_size=2,
        gradient_accumulation=2,
        horizontal_flip=False,
        prior=PriorSettings(class_prompt="a drawing"),
        family_weighting=0.5,
        noise_offset=0.1,
        min_snr_gamma=5.0,
    )
    seen = Counter[int]()
    for each in result.log:
        seen[each.epoch] += each.samples
    assert seen == {1: 8, 2: 8}
    assert all(math.isfinite(each.loss) for each in result.log)
    assert result.final.validation_loss is not None
