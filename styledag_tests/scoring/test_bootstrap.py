import numpy as np
import pytest
from scipy import stats

from styledag.scoring.bootstrap import bootstrap, units_of, weighted_mean
from styledag.scoring.style import StyleDistance, rbf_kernel

VALUES = np.random.default_rng(0).normal(size=40)


def test_the_interval_of_a_mean_is_scipys() -> None:
    prompts = [f"prompt {number}" for number in range(40)]
    low, high = bootstrap(weighted_mean(VALUES), prompts, [0] * 40, "mean")
    peer = stats.bootstrap(
        (VALUES,), np.mean, n_resamples=5_000, method="percentile", rng=1
    ).confidence_interval
    assert low == pytest.approx(peer.low, abs=0.04)
    assert high == pytest.approx(peer.high, abs=0.04)


def test_seeds_of_a_prompt_stay_together() -> None:
    # All seeds of a prompt are alike: 4 seeds tell no more than one.
    prompts = [f"prompt {number}" for number in range(40)]
    once = bootstrap(weighted_mean(VALUES), prompts, [0] * 40, "mean")
    repeated = bootstrap(
        weighted_mean(np.repeat(VALUES, 4)),
        np.repeat(prompts, 4).tolist(),
        [0, 1, 2, 3] * 40,
        "mean",
    )
    assert repeated == pytest.approx(once)


def test_a_single_prompt_is_resampled_over_its_seeds() -> None:
    low, high = bootstrap(weighted_mean(VALUES), ["a"] * 40, list(range(40)), "mean")
    assert low is not None
    assert high is not None
    assert low < VALUES.mean() < high


def test_a_single_image_has_no_interval() -> None:
    assert bootstrap(weighted_mean(VALUES[:1]), ["a"], [0], "mean") == (None, None)


def test_it_follows_from_its_name_alone() -> None:
    prompts = [str(number) for number in range(40)]
    first = bootstrap(weighted_mean(VALUES), prompts, [0] * 40, "style")
    assert bootstrap(weighted_mean(VALUES), prompts, [0] * 40, "style") == first
    assert bootstrap(weighted_mean(VALUES), prompts, [0] * 40, "retention") != first


def test_resamples_without_a_figure_are_left_out() -> None:
    assert bootstrap(lambda _: None, ["a", "b"], [0, 0], "x") == (None, None)


def test_one_choice_of_prompts_that_has_a_figure_has_no_interval() -> None:
    """Of two prompts, each twice alone has no distance to itself, and both once is one choice."""
    rows = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
    prompts, seeds = [*"aaaabbbb"], [0, 1, 2, 3] * 2
    units = units_of(prompts, seeds)
    distance = StyleDistance(rows, rows[:3] + 1, rbf_kernel, units)
    assert distance() is not None
    assert bootstrap(distance, prompts, seeds, "cmmd") == (None, None)
    three = StyleDistance(rows, rows[:3] + 1, rbf_kernel, units_of([*"aaabbbcc"], seeds))
    low, high = bootstrap(three, [*"aaabbbcc"], seeds, "cmmd")
    assert low is not None
    assert high is not None
    assert low < high
