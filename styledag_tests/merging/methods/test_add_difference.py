import pytest
import torch

from styledag.merging.methods.add_difference import AddDifference, add_difference
from styledag.models.reference import ModelReference
from styledag_tests.merging.methods.tensors import BASE, ONE, ONTO, TWO, parents

SETTINGS = AddDifference(onto=ModelReference(model="other"))


def test_the_difference_is_added_to_the_other_base_as_by_mergekit_and_sd_mecha() -> None:
    # tools/merge_references.py. mergekit 0.1.5: task_arithmetic on the other base with 0.5 of the
    # fine-tune and -0.5 of its base; sd-mecha 1.1.8: add_difference with alpha 0.5.
    merged = add_difference(parents(0.5, onto=ONTO), SETTINGS)
    assert merged.tolist() == pytest.approx([1.2, 0.75, -1.5, 0.0, 0.525, 0.1])


def test_two_styles_add_up_to_task_arithmetic_on_the_base_itself() -> None:
    # mergekit 0.1.5: task_arithmetic with weights 0.2 and 0.5.
    expected = [0.38, -1.6, 2.05, 0.75, -0.64, 1.54]
    merged = add_difference(parents(0.2, 0.5, onto=BASE), SETTINGS)
    assert merged.tolist() == pytest.approx(expected, abs=1e-6)
    by_hand = BASE + 0.2 * (ONE - BASE) + 0.5 * (TWO - BASE)
    torch.testing.assert_close(merged, by_hand)


def test_weight_zero_is_the_other_base() -> None:
    assert torch.equal(add_difference(parents(0.0, onto=ONTO), SETTINGS), ONTO)
