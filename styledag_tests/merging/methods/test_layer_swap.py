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


def test_a_pattern_that_matches_nothing_is_named() -> None:
    SETTINGS.check_names(["a.attn2.b", "mid"])
    with pytest.raises(ModelError, match=r"'mid\*', which no tensor's name matches.*'a\.attn2\.b'"):
        SETTINGS.check_names(["a.attn2.b"])
