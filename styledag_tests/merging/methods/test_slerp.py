import math

import pytest
import torch

from styledag.merging.methods.slerp import Slerp, merge_slerp, slerp
from styledag_tests.merging.methods.tensors import BASE, ONE, parents


def test_an_arc_worked_by_hand() -> None:
    base, tuned = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    middle = slerp(base, tuned, 0.5, parallel=0.9995)
    assert middle.tolist() == pytest.approx([math.sqrt(0.5), 2 * math.sqrt(0.5)])
    third = slerp(base, tuned, 1 / 3, parallel=0.9995)
    assert third.tolist() == pytest.approx([math.sin(math.pi / 3), 2 * math.sin(math.pi / 6)])


@pytest.mark.parametrize("times", [1, -1, 0])
def test_without_a_limit_what_has_no_angle_is_linear(times: int) -> None:
    base = torch.ones(4)
    found = slerp(base, times * base, 0.25, parallel=1.0)
    torch.testing.assert_close(found, torch.lerp(base, times * base, 0.25))


def test_it_is_mergekits() -> None:
    # tools/merge_references.py. mergekit 0.1.5: slerp with t 0.3; its dot_threshold is 0.9995 too.
    expected = [0.6341234, -1.1755157, 1.7328224, 0.2552409, -0.7502673, 1.4387138]
    assert merge_slerp(parents(0.3), Slerp()).tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("weight", "parent"), [(0.0, BASE), (1.0, ONE)])
def test_the_ends_are_the_parents(weight: float, parent: torch.Tensor) -> None:
    assert torch.equal(merge_slerp(parents(weight), Slerp()), parent)


@pytest.mark.parametrize("base", [torch.zeros(3), torch.ones(3), -torch.ones(3)])
def test_without_an_angle_it_is_linear(base: torch.Tensor) -> None:
    assert torch.equal(
        slerp(base, 3 * torch.ones(3), 0.25, parallel=0.9995),
        torch.lerp(base, 3 * torch.ones(3), 0.25),
    )
