import pytest
import torch

from styledag.merging.method import Parents
from styledag.merging.methods.dare import Dare, merge_dare
from styledag_tests.merging.methods.tensors import BASE, parents


def test_it_is_mergekits() -> None:
    # tools/merge_references.py. mergekit 0.1.5: dare_linear with weights 0.2 and 0.5, density 0.5,
    # no rescaling, its masks being those that follow from this seed and name: 001000 and 110111.
    expected = [0.3, -1.5, 1.8, 0.75, -0.65, 1.6]
    merged = merge_dare(parents(0.2, 0.5), Dare(rescale=False))
    assert merged.tolist() == pytest.approx(expected, abs=1e-6)


def test_what_is_kept_is_divided_by_the_density() -> None:
    merged = merge_dare(parents(0.2), Dare())
    assert merged.tolist() == pytest.approx([0.5, -1.0, 2.0 - 2 * 0.2, 0.25, -0.75, 1.5])


def test_the_choice_has_the_density_and_follows_from_seed_and_name() -> None:
    zeros, ones = torch.zeros(20_000), torch.ones(20_000)

    def kept(seed: int, name: str) -> torch.Tensor:
        merged = merge_dare(Parents(name, zeros, [ones], [1.0]), Dare(density=0.25, seed=seed))
        assert merged.unique().tolist() == [0.0, 4.0]
        return merged != 0

    assert float(kept(0, "a").float().mean()) == pytest.approx(0.25, abs=0.02)
    assert torch.equal(kept(0, "a"), kept(0, "a"))
    assert not torch.equal(kept(0, "a"), kept(1, "a"))
    assert not torch.equal(kept(0, "a"), kept(0, "b"))


def test_weight_zero_is_the_base() -> None:
    assert torch.equal(merge_dare(parents(0.0, 0.0), Dare()), BASE)
