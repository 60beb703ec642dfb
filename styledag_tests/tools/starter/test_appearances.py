"""Appearances change every drawing in one way, and leave the white around it."""

import pytest
import torch

from tools.starter.appearances import NAMES, appeared


@pytest.mark.parametrize("name", NAMES)
def test_white_stays_white_and_ink_changes(name: str) -> None:
    white = torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)
    ink = torch.tensor([200, 90, 30], dtype=torch.uint8)[None, :, None, None].expand(1, 3, 4, 4)
    assert torch.equal(appeared(white, name), white)
    assert not torch.equal(appeared(ink, name), ink)


def test_flat_leaves_four_steps_of_each_colour() -> None:
    ramp = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)
    assert len(appeared(ramp, "flat").unique()) == 4
