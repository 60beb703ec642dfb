"""What the judge of artists sees of an image, against values worked out by hand."""

import pytest
import torch

from styledag.demo.judge import COLOURS, STEPS, palette_and_shades, with_steps


def test_histograms_count_colours_and_differences_of_the_drawing_alone() -> None:
    """Two rows of white, one of black, one of a blue half-way between two bins."""
    pixels = torch.ones(1, 3, 4, 4)
    pixels[:, :, 2] = 0
    pixels[:, :, 3] = torch.tensor([0, 0, 2.5 / (COLOURS - 1)])[:, None]
    shares = palette_and_shades(pixels)[0].square()
    palette, across, down = shares.split([COLOURS**3, len(STEPS) - 1, len(STEPS) - 1])
    expected = torch.zeros(COLOURS**3)
    expected[[0, 2, 3]] = torch.tensor([0.5, 0.25, 0.25])
    torch.testing.assert_close(palette, expected)
    # Across, nothing differs, and the last column has no neighbour; below, black meets blue.
    torch.testing.assert_close(across[0], torch.tensor(0.75))
    (bin_of_blue,) = (at for at, edge in enumerate(STEPS[1:]) if STEPS[at] <= 2.5 / 7 < edge)
    assert down[bin_of_blue] == pytest.approx(0.5)
    assert across[1:].sum() == 0


def test_faint_shading_and_outlines_both_show_in_the_steps() -> None:
    pixels = torch.ones(1, 3, 4, 4)
    pixels[..., 2:] -= 0.01
    pixels[:, 0, 3] = 0
    steps = with_steps(pixels)
    assert steps.shape == (1, 9, 4, 4)
    torch.testing.assert_close(steps[:, :3], 2 * pixels - 1)
    assert steps[0, 3, 0, 1] == pytest.approx(-0.2, abs=0.03)  # A hundredth, to the right.
    assert steps[0, 6, 2, 0] == pytest.approx(-2, abs=0.03)  # From white to nothing, below.
    assert not steps[0, 3:, 0, 0].any()
