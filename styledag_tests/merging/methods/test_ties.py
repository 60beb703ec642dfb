import pytest
import torch

from styledag.merging.methods.ties import Ties, merge_ties, trimmed
from styledag_tests.merging.methods.tensors import BASE, ONE, parents


def test_one_fine_tune_is_trimmed_and_weighted() -> None:
    # Changes 0.4, -0.5, -1.0, 0, 0.05, -0.3: the largest three are kept, by mergekit as well.
    merged = merge_ties(parents(0.5), Ties(density=0.5))
    assert merged.tolist() == pytest.approx([0.7, -1.25, 1.5, 0.25, -0.75, 1.5])


def test_it_is_mergekits() -> None:
    # tools/merge_references.py. mergekit 0.1.5: ties with weights 0.2 and 0.5, density 0.5,
    # lambda 0.7 (their sum).
    expected = [0.78, -1.6, 2.35, 0.95, -0.75, 1.5]
    merged = merge_ties(parents(0.2, 0.5), Ties(density=0.5))
    assert merged.tolist() == pytest.approx(expected, abs=1e-6)


def test_weight_zero_is_the_base() -> None:
    assert torch.equal(merge_ties(parents(0.0, 0.0), Ties()), BASE)


def test_density_one_and_weight_one_is_the_fine_tune() -> None:
    torch.testing.assert_close(merge_ties(parents(1.0), Ties(density=1.0)), ONE)


def test_equally_large_changes_are_all_kept_and_one_at_least() -> None:
    change = torch.tensor([[1.0, -1.0], [0.5, 1.0]])
    assert trimmed(change, 0.5).tolist() == [[1.0, -1.0], [0.0, 1.0]]
    assert trimmed(torch.tensor([0.1, 0.2, 0.3]), 0.2).tolist() == pytest.approx([0, 0, 0.3])
    assert trimmed(torch.tensor(0.1), 0.2) == torch.tensor(0.1)
