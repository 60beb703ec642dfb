"""What a recipe says of captions, families, noise and the prior, seen in the batches."""

import dataclasses
from collections import Counter

import pytest
import torch
from diffusers import DDPMScheduler

from styledag.bases.diffusion_objective import DiffusionObjective
from styledag.bases.texts.clip import STATES
from styledag.errors import DataError
from styledag.training.batches import Batches, family_weights
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.recipe import PriorSettings, Recipe
from styledag_tests.training.encoded import OBJECTIVE, encoded_dataset

PLAIN = Recipe(batch_size=4, caption_dropout=0.0, horizontal_flip=False, seed=5)
PRIOR = PriorSettings(class_prompt="a drawing", loss_weight=0.75)


def batches_of(encoded: EncodedDataset, **recipe: object) -> Batches:
    return Batches(encoded, dataclasses.replace(PLAIN, **recipe), OBJECTIVE)  # type: ignore[arg-type]


def test_each_epoch_says_one_variant_and_all_come_as_often() -> None:
    encoded = encoded_dataset({"16x16": 1}, variants=3)
    batches = batches_of(encoded)
    said: Counter[int] = Counter()
    for epoch in range(600):
        states = batches.training_batch(encoded.train, epoch).conditioning[STATES][0]
        (at,) = [at for at in range(4) if torch.equal(states, encoded.conditioning[STATES][at])]
        said[at] += 1
        again = batches.training_batch(encoded.train, epoch).conditioning[STATES][0]
        assert torch.equal(again, states)
    assert sorted(said) == [1, 2, 3]
    assert all(abs(count - 200) < 60 for count in said.values())


def test_validation_says_the_main_caption() -> None:
    encoded = encoded_dataset({"16x16": 9}, variants=3, validation=4)
    for _, batch in batches_of(encoded).validation_batches():
        for states in batch.conditioning[STATES]:
            assert torch.equal(states, encoded.conditioning[STATES][1])


def test_family_weights_count_images_or_families_alike() -> None:
    samples = encoded_dataset({"16x16": 9}).train
    families = ["a"] * 6 + ["b"] * 2 + [""]
    samples = tuple(
        dataclasses.replace(each, family=family)
        for each, family in zip(samples, families, strict=True)
    )

    def totals(share: float) -> dict[str, float]:
        weights = family_weights(samples, share)
        assert sum(weights.values()) == pytest.approx(9)
        return {
            family: sum(weights[each.id] for each in samples if each.family == family)
            for family in ("a", "b", "")
        }

    assert totals(0) == pytest.approx({"a": 6, "b": 2, "": 1})
    assert totals(1) == pytest.approx({"a": 3, "b": 3, "": 3})
    between = totals(0.5)
    assert between["a"] / between[""] == pytest.approx(6**0.5)
    assert between["b"] / between[""] == pytest.approx(2**0.5)


def test_batches_carry_the_family_weights_and_validation_none() -> None:
    encoded = encoded_dataset({"16x16": 11}, families=3, validation=2)
    batches = batches_of(encoded, family_weighting=1.0)
    weights = family_weights(encoded.train, 1.0)
    seen = [
        (each.id, weight)
        for step in batches.steps(1)
        for part in step
        for each, weight in zip(part, batches.training_batch(part, 1).weights.tolist(), strict=True)
    ]
    assert dict(seen) == pytest.approx(weights)
    assert sum(weight for _, weight in seen) / len(seen) == pytest.approx(1)
    assert {float(w) for _, batch in batches.validation_batches() for w in batch.weights} == {1.0}


def test_offset_noise_is_one_number_a_channel_of_the_stated_deviation() -> None:
    encoded = encoded_dataset({"16x16": 1})
    without, with_offset = batches_of(encoded), batches_of(encoded, noise_offset=0.1)
    offsets = []
    for epoch in range(300):
        plain = without.training_batch(encoded.train, epoch)
        offset = with_offset.training_batch(encoded.train, epoch)
        assert torch.equal(plain.latents, offset.latents)
        difference = (offset.noise - plain.noise)[0]
        channel = difference.mean(dim=(1, 2), keepdim=True)
        torch.testing.assert_close(difference, channel.expand_as(difference), atol=1e-6, rtol=0)
        offsets.append(channel.flatten())
    deviation = float(torch.cat(offsets).std())
    assert abs(deviation - 0.1) < 5 * 0.1 / (2 * 1200) ** 0.5


def test_each_microstep_has_as_many_prior_samples_and_all_are_used_alike() -> None:
    encoded = encoded_dataset({"16x16": 7, "24x8": 3}, prior=5)
    batches = batches_of(encoded, prior=PRIOR, batch_size=3)
    used: Counter[str] = Counter()
    for epoch in range(1, 11):
        names: list[str] = []
        for step in batches.steps(epoch):
            for part in step:
                style = [each for each in part if each.split == "train"]
                prior = [each for each in part if each.split == "prior"]
                assert len(style) == len(prior)
                assert len({each.bucket for each in part}) == 1
                weights = batches.training_batch(part, epoch).weights
                assert weights.tolist() == [1.0] * len(style) + [0.75] * len(prior)
                names += [each.id for each in prior]
        assert len(set(names)) == len(names) == 10
        used.update(name.partition("/")[0] for name in names)
    by_bucket = {each.id: each.bucket for each in encoded.prior}
    assert {used[each] for each in used if by_bucket[each] == "16x16"} == {14}
    assert {used[each] for each in used if by_bucket[each] == "24x8"} == {6}


def test_without_a_prior_in_the_recipe_its_samples_are_left_alone() -> None:
    encoded = encoded_dataset({"16x16": 7}, prior=5)
    seen = [each for step in batches_of(encoded).steps(1) for part in step for each in part]
    assert {each.split for each in seen} == {"train"}


def test_loss_is_that_of_diffusers_dreambooth() -> None:
    """``loss + args.prior_loss_weight * prior_loss`` of ``train_dreambooth.py``."""
    encoded = encoded_dataset({"16x16": 4}, prior=4)
    batches = batches_of(encoded, prior=PRIOR)
    (part,) = next(batches.steps(1))
    batch = batches.training_batch(part, 1)
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    loss = DiffusionObjective(scheduler)
    target = loss.target(batch.latents, batch.noise, batch.timesteps)
    predicted = torch.tanh(loss.noisy(batch.latents, batch.noise, batch.timesteps))
    errors = batch.weights * loss.per_sample(predicted, target, batch.timesteps)
    ours = errors.sum() / sum(each.split != "prior" for each in part)

    model_pred, model_pred_prior = torch.chunk(predicted, 2, dim=0)
    instance_target, target_prior = torch.chunk(target, 2, dim=0)
    prior_loss = torch.nn.functional.mse_loss(model_pred_prior, target_prior, reduction="mean")
    instance_loss = torch.nn.functional.mse_loss(model_pred, instance_target, reduction="mean")
    torch.testing.assert_close(ours, instance_loss + 0.75 * prior_loss)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"prior": PRIOR}, "without class images of 16x16 px"),
        ({"instance_prompt": "a sks toy"}, "says 'a sks toy' of every image"),
        ({"horizontal_flip": True}, "horizontal_flip"),
    ],
)
def test_what_was_not_encoded_is_refused(recipe: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        batches_of(encoded_dataset({"16x16": 3}), **recipe)


def test_instance_prompt_is_accepted_where_it_was_encoded() -> None:
    encoded = encoded_dataset({"16x16": 3}, prior=1)
    assert batches_of(encoded, instance_prompt="caption 0").steps_per_epoch == 1
