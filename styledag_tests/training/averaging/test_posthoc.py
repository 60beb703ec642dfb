import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from styledag.errors import TrainingError
from styledag.training.averaging.ema import Ema
from styledag.training.averaging.posthoc import (
    MAX_SNAPSHOTS,
    Profile,
    gamma_of,
    length_of,
    posthoc_weights,
    power_decay,
    reconstruct,
    require_length,
    spread_snapshots,
)
from styledag.training.recipe import EmaSettings

LENGTHS = (0.05, 0.1)


def stored(snapshots: int, lengths: tuple[float, float] = LENGTHS) -> list[Profile]:
    return [
        (step / snapshots, gamma_of(length))
        for step in range(1, snapshots + 1)
        for length in lengths
    ]


@pytest.mark.parametrize(("length", "gamma"), [(0.05, 16.97), (0.1, 6.94), (0.25, 0.72)])
def test_exponents_are_those_of_the_paper(length: float, gamma: float) -> None:
    assert gamma_of(length) == pytest.approx(gamma, abs=0.01)
    assert length_of(gamma_of(length)) == pytest.approx(length, rel=1e-12)


@pytest.mark.parametrize("length", [0.001, 0.05, 0.2, 0.28, 12**-0.5])
def test_the_exponent_is_the_largest_root_of_the_cubic(length: float) -> None:
    ratio = length**-2
    roots = np.roots([1, 7, 16 - ratio, 12 - ratio])
    assert gamma_of(length) == pytest.approx(max(roots.real), abs=1e-6)


def test_a_length_is_the_deviation_of_the_steps_that_an_average_holds() -> None:
    steps = 20_000
    power = gamma_of(0.1) + 1
    edges = np.arange(steps + 1) / steps
    shares = np.diff(edges**power)
    middles = (edges[1:] + edges[:-1]) / 2
    mean = shares @ middles
    assert math.sqrt(shares @ (middles - mean) ** 2) == pytest.approx(0.1, abs=1e-5)


@pytest.mark.parametrize("length", [0, -0.1, 0.2887, 0.5])
def test_no_average_has_such_a_length(length: float) -> None:
    with pytest.raises(ValueError, match=r"at most 0\.2887"):
        gamma_of(length)


def test_the_first_step_overwrites_whatever_was_there() -> None:
    assert power_decay(1, gamma_of(0.1)) == 0
    assert power_decay(2, 0.0) == 0.5


@pytest.mark.parametrize("place", [0, 7, 19])
def test_a_stored_average_is_reconstructed_from_itself_alone(place: int) -> None:
    profiles = stored(10)
    step, gamma = profiles[place]
    expected = np.zeros(20)
    expected[place] = 1
    np.testing.assert_allclose(posthoc_weights(profiles, step, gamma), expected, atol=1e-9)


@pytest.mark.parametrize("length", [0.03, 0.07, 0.15, 0.2])
def test_coefficients_are_the_least_squares_over_finely_drawn_profiles(length: float) -> None:
    cells = 20_000
    profiles = stored(10)
    edges = np.arange(cells + 1) / cells

    def drawn(step: float, gamma: float) -> np.ndarray:
        return np.diff(np.minimum(edges / step, 1) ** (gamma + 1)) * cells

    table = np.stack([drawn(*each) for each in profiles], axis=1)
    wanted = drawn(1, gamma_of(length))
    # Least squares with a sum of 1: the last coefficient is one less the others.
    rest = table[:, :-1] - table[:, -1:]
    free, *_ = np.linalg.lstsq(rest, wanted - table[:, -1], rcond=None)
    found = reconstruct(profiles, 1, length)
    assert sum(found.coefficients) == pytest.approx(1)
    np.testing.assert_allclose(found.coefficients[:-1], free, rtol=2e-3, atol=2e-3)
    off = table @ np.array(found.coefficients) - wanted
    assert found.error == pytest.approx(np.linalg.norm(off) / np.linalg.norm(wanted), rel=1e-2)


def test_steps_count_only_as_shares_of_the_run() -> None:
    scaled = [(step * 4000, gamma) for step, gamma in stored(8)]
    np.testing.assert_allclose(
        posthoc_weights(scaled, 4000, 3.0), posthoc_weights(stored(8), 1, 3.0), rtol=1e-6
    )


@pytest.mark.parametrize("length", [0.03, 0.04, 0.075, 0.15, 0.2])
def test_reconstruction_equals_a_directly_kept_average(length: float) -> None:
    steps, snapshots = 400, 10
    trained = {"w": nn.Parameter(torch.zeros(500))}
    kept = Ema(trained, EmaSettings(mode="power", lengths=LENGTHS), total_steps=steps)
    direct = Ema(trained, EmaSettings(mode="power", lengths=(length, 0.25)), total_steps=steps)
    generator = torch.Generator().manual_seed(0)
    found = require_length(stored(snapshots), 1, length)
    parts = []
    for step in range(1, steps + 1):
        drift = torch.randn(500, generator=generator)
        with torch.no_grad():
            trained["w"].add_(drift, alpha=step**-0.5)
        kept.update()
        direct.update()
        if step % (steps // snapshots) == 0:
            assert kept.second is not None
            parts += [kept.averages["w"].double(), kept.second["w"].double()]
    reconstructed = sum(
        coefficient * part for coefficient, part in zip(found.coefficients, parts, strict=True)
    )
    expected = direct.averages["w"].double()
    assert isinstance(reconstructed, torch.Tensor)
    off = (reconstructed - expected).norm() / expected.norm()
    assert off < 0.01


@pytest.mark.parametrize(
    ("snapshots", "length"), [(1, 0.15), (3, 0.25), (10, 0.02), (10, 0.28), (32, 0.01)]
)
def test_a_length_out_of_reach_is_refused_with_the_nearest_in_reach(
    snapshots: int, length: float
) -> None:
    with pytest.raises(TrainingError, match=f"length {length:g} cannot") as caught:
        require_length(stored(snapshots), 1, length)
    message = str(caught.value)
    assert "lengths 0.05 and 0.1" in message
    assert "snapshot_every_epochs" in message
    nearest = float(message.split("nearest that can is ")[1].split(":")[0])
    assert abs(nearest - 0.075) < abs(length - 0.075)
    require_length(stored(snapshots), 1, nearest)


def test_few_snapshots_give_what_lies_between_their_lengths() -> None:
    for length in (0.05, 0.06, 0.08, 0.1):
        require_length(stored(1), 1, length)


def test_many_snapshots_are_thinned_out_evenly() -> None:
    assert spread_snapshots(range(5)) == [0, 1, 2, 3, 4]
    places = spread_snapshots(range(300))
    assert len(places) == MAX_SNAPSHOTS
    assert places[-1] == 299
    assert {later - earlier for earlier, later in pairwise(places)} <= {9, 10}
