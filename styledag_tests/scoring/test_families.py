import numpy as np

from styledag.images.similarity import Float32
from styledag.scoring.families import families_drawn
from styledag.scoring.records import FamilyRow
from styledag_tests.scoring.vectors import normalised

PAIRS = [(f"prompt {at}", seed) for at in range(8) for seed in range(2)]
RANDOM = np.random.default_rng(0)
SINGLES = normalised(RANDOM.normal(size=(40, 16)))
CLOCK = RANDOM.normal(size=16)
CLOCKS = normalised(CLOCK + 0.05 * RANDOM.normal(size=(20, 16)))
TRAINING = np.concatenate([SINGLES, CLOCKS])
FAMILIES = [*(f"single {at}" for at in range(40)), *["clock"] * 20]
BASE = normalised(SINGLES[:16] + 0.1 * RANDOM.normal(size=(16, 16)))


def drawn(samples: Float32, base: Float32 = BASE) -> list[FamilyRow]:
    return families_drawn("weight 1.00", PAIRS, samples, base, TRAINING, FAMILIES)


def with_clocks(at: list[int]) -> Float32:
    samples = BASE.copy()
    samples[at] = CLOCKS[: len(at)]
    return samples


def test_a_planted_family_of_20_near_duplicates_is_reported() -> None:
    shown = [0, 2, 3, 5, 8, 9, 13]
    (row,) = drawn(with_clocks(shown))
    assert (row.name, row.family, row.images) == ("weight 1.00", "clock", 20)
    assert row.share.value == 7 / 16
    assert list(zip(row.prompts, row.seeds, strict=True)) == [PAIRS[at] for at in shown]


def test_a_family_that_one_prompt_asks_for_is_not_reported() -> None:
    assert drawn(with_clocks([4, 5])) == []


def test_what_the_base_draws_as_well_is_not_reported() -> None:
    clocks = with_clocks([0, 2, 3, 5, 8, 9, 13])
    assert drawn(clocks, clocks) == []


def test_a_single_image_is_no_family() -> None:
    samples = BASE.copy()
    samples[::2] = SINGLES[39]
    assert drawn(samples) == []


def test_without_training_images_there_is_no_family() -> None:
    assert families_drawn("epoch 1", PAIRS, BASE, BASE, TRAINING[:0], []) == []
