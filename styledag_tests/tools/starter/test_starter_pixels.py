"""How drawings are changed for training."""

import torch

from tools.starter.pixels import covered, flattened, moved, recoloured, redrawn, shifted, tiled


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _images() -> torch.Tensor:
    pixels = torch.ones(6, 3, 32, 32)
    pixels[..., 8:24, 8:24] = torch.rand(6, 3, 16, 16, generator=_generator())
    return pixels


def test_flattened_images_have_few_colours() -> None:
    flat = flattened(_images(), _generator())
    inner = flat[0].flatten(1).T
    exact = {tuple(colour) for colour in (inner * 1000).round().int().tolist()}
    # Edges are mixtures of neighbours; most pixels are one of the few.
    assert len(exact) < len(_images()[0].flatten(1).T.unique(dim=0))


def test_white_stays_white_when_colours_turn_and_images_move() -> None:
    white = torch.ones(4, 3, 32, 32)
    for changed in (
        recoloured(white, _generator(), strength=0.3),
        moved(white, _generator()),
        covered(white, _generator()),
    ):
        assert torch.equal(changed, white)


def test_shifted_images_are_as_sharp_on_white_and_half_of_them_mirrored() -> None:
    images = _images()
    changed = shifted(images, _generator(2))
    inner = images[..., 8:24, 8:24]
    whole, mirrored = 0, 0
    for before, after in zip(inner, changed, strict=True):
        rows, columns = (after != 1).any(dim=0).nonzero().amin(dim=0).tolist()
        drawn = after[:, rows : rows + 16, columns : columns + 16]
        whole += torch.equal(drawn, before)
        mirrored += torch.equal(drawn, before.flip(2))
    assert whole + mirrored == len(images)
    assert whole > 0
    assert mirrored > 0


def test_redrawn_images_follow_from_the_generator_alone() -> None:
    first, again = (redrawn(_images(), _generator(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, redrawn(_images(), _generator(4)))
    assert first.min() >= 0
    assert first.max() <= 1


def test_unmoved_images_are_the_same() -> None:
    pixels = _images()
    still = moved(pixels, _generator(), turn=0, scale=0, shift=0, flip=0)
    torch.testing.assert_close(still, pixels, atol=1e-5, rtol=0)
    mirrored = moved(pixels, _generator(), turn=0, scale=0, shift=0, flip=1)
    torch.testing.assert_close(mirrored, pixels.flip(-1), atol=1e-5, rtol=0)


def test_tiles_lie_row_by_row() -> None:
    pixels = torch.arange(5.0)[:, None, None, None].expand(5, 3, 2, 2)
    grid = tiled(pixels, columns=3)
    assert grid.shape == (3, 4, 6)
    assert grid[0, 0].tolist() == [0, 0, 1, 1, 2, 2]
    assert grid[0, 2].tolist() == [3, 3, 4, 4, 1, 1]
