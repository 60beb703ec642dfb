import pytest
import torch

from styledag.errors import ModelError
from styledag.merging.method import Parents
from styledag.merging.methods.layer_swap import LayerSwap, layer_swap
from styledag_tests.merging.methods.tensors import BASE, ONE

SETTINGS = LayerSwap(layers=("*.attn2.*", "mid*"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("up.attn2.to_k", ONE), ("mid_block.x", ONE), ("up.attn1.to_k", BASE), ("attn2", BASE)],
)
def test_layers_that_match_are_the_fine_tunes(name: str, expected: torch.Tensor) -> None:
    assert torch.equal(layer_swap(Parents(name, BASE, [ONE], [1.0]), SETTINGS), expected)


def test_they_are_interpolated_by_the_weight() -> None:
    merged = layer_swap(Parents("mid.x", BASE, [ONE], [0.5]), SETTINGS)
    torch.testing.assert_close(merged, (BASE + ONE) / 2)


def test_it_is_mergekits_and_sd_mechas() -> None:
    # tools/merge_references.py. mergekit 0.1.5: linear, weights by filter: 0.25 of the base and
    # 0.75 in attn2, the base elsewhere; sd-mecha 1.1.8: weighted_sum with 0.75 and 0 by block.
    swapped, kept = "mid_block.attn2.to_k.weight", "mid_block.attn1.to_k.weight"
    expected = {
        swapped: [0.8, -1.375, 1.25, 0.25, -0.7125, 1.275],
        kept: [0.5, -1.0, 2.0, 0.25, -0.75, 1.5],
    }
    for name, values in expected.items():
        merged = layer_swap(Parents(name, BASE, [ONE], [0.75]), LayerSwap(layers=("*.attn2.*",)))
        assert merged.tolist() == pytest.approx(values, abs=1e-6)


def test_a_pattern_that_matches_nothing_is_named() -> None:
    SETTINGS.check_names(["a.attn2.b", "mid"])
    with pytest.raises(ModelError, match=r"'mid\*', which no tensor's name matches.*'a\.attn2\.b'"):
        SETTINGS.check_names(["a.attn2.b"])
