"""Images as tensors, and the ways in which a drawing may be changed and still show the same."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional


def parts_of(pixels: Tensor, size: int = 100) -> Iterator[Tensor]:
    """Yield images in batches: few at a time take little memory."""
    for start in range(0, len(pixels), size):
        yield pixels[start : start + size]


def flattened(pixels: Tensor, generator: torch.Generator, *, share: float = 1.0) -> Tensor:
    """Return images in few flat colours with hard edges, as if cut from paper.

    Every pixel takes the nearest of 4 to 10 colours that were picked from the image itself.

    Args:
        pixels: Between 0 and 1. # BCHW
        generator: Decides which colours, and which images are left alone.
        share: Share of the images that are changed.
    """
    count, _, height, width = pixels.shape
    chosen = torch.rand(count, generator=generator) < share
    chosen = chosen.to(pixels.device)
    if not bool(chosen.any()):
        return pixels
    some = pixels[chosen]
    fine = functional.interpolate(some, scale_factor=2, mode="bilinear", align_corners=False)
    points = fine.flatten(2).transpose(1, 2)  # => [batch, points, 3]
    colours = int(torch.randint(4, 11, (), generator=generator))
    at = torch.randint(0, points.shape[1], (len(some), colours), generator=generator)
    at = at.to(pixels.device)
    palette = points.gather(1, at[..., None].expand(-1, -1, 3))
    palette = torch.cat([palette, torch.ones_like(palette[:, :1])], dim=1)
    nearest = torch.cdist(points, palette).argmin(dim=2)
    flat = palette.gather(1, nearest[..., None].expand(-1, -1, 3))
    flat = flat.transpose(1, 2).reshape(len(some), 3, 2 * height, 2 * width)
    result = pixels.clone()
    result[chosen] = functional.avg_pool2d(flat, 2)
    return result


def recoloured(pixels: Tensor, generator: torch.Generator, *, strength: float) -> Tensor:
    """Return images whose colours were turned, stretched and shifted; white stays white.

    Args:
        pixels: Between 0 and 1. # BCHW
        generator: Decides how.
        strength: Standard deviation of the colour matrix around the identity.
    """
    count = len(pixels)
    noise = torch.randn(count, 3, 3, generator=generator) * strength
    scale = 1 + torch.randn(count, 1, 1, generator=generator) * strength
    matrix = (torch.eye(3) * scale + noise).to(pixels.device)
    ink = 1 - pixels
    return (1 - torch.einsum("bij,bjhw->bihw", matrix, ink)).clamp(0, 1)


def moved(
    pixels: Tensor,
    generator: torch.Generator,
    *,
    turn: float = 0.15,
    scale: float = 0.15,
    shift: float = 0.08,
    flip: float = 0.5,
) -> Tensor:
    """Return images that were turned, scaled, sheared, shifted and mirrored, on white.

    Args:
        pixels: Between 0 and 1, on white. # BCHW
        generator: Decides how.
        turn: Standard deviation of the angle in radians, and of the shear.
        scale: Standard deviation of the logarithm of either side's length.
        shift: Standard deviation of the shift as a share of half the image.
        flip: Share of mirrored images.
    """
    count = len(pixels)

    def normal(deviation: float) -> Tensor:
        return torch.randn(count, generator=generator) * deviation

    angle, shear = normal(turn), normal(turn / 2)
    wide, high = torch.exp(normal(scale)), torch.exp(normal(scale))
    mirrored = torch.rand(count, generator=generator) < flip
    wide = torch.where(mirrored, -wide, wide)
    cos, sin = angle.cos(), angle.sin()
    rows = [
        torch.stack([wide * cos, high * (shear - sin), normal(shift)], dim=1),
        torch.stack([wide * sin, high * cos, normal(shift)], dim=1),
    ]
    theta = torch.stack(rows, dim=1).to(pixels.device)
    grid = functional.affine_grid(theta, list(pixels.shape), align_corners=False)
    ink = functional.grid_sample(1 - pixels, grid, mode="bilinear", align_corners=False)
    return 1 - ink


def shifted(pixels: Tensor, generator: torch.Generator, *, most: int = 4) -> Tensor:
    """Return images of which half are mirrored, all shifted alike, by whole pixels: as sharp.

    Args:
        pixels: Between 0 and 1, on white. # BCHW
        generator: Decides how.
        most: How many pixels at most, to either side.
    """
    mirrored = torch.rand(len(pixels), generator=generator) < 0.5
    mirrored = mirrored.to(pixels.device)[:, None, None, None]
    wide = functional.pad(torch.where(mirrored, pixels.flip(3), pixels), (most,) * 4, value=1.0)
    top, left = torch.randint(0, 2 * most + 1, (2,), generator=generator).tolist()
    return wide[:, :, top : top + pixels.shape[2], left : left + pixels.shape[3]]


def blurred(pixels: Tensor, generator: torch.Generator, *, share: float = 0.3) -> Tensor:
    """Return images of which a share was halved in size and brought back."""
    size = int(pixels.shape[-1])
    small = size // int(torch.randint(2, 4, (), generator=generator))
    soft = functional.interpolate(
        functional.interpolate(pixels, size=small, mode="area"),
        size=size,
        mode="bilinear",
        align_corners=False,
    )
    chosen = torch.rand(len(pixels), generator=generator) < share
    return torch.where(chosen.to(pixels.device)[:, None, None, None], soft, pixels)


def covered(pixels: Tensor, generator: torch.Generator, *, share: float = 0.3) -> Tensor:
    """Return images of which a share lost a square of a quarter to half of the side."""
    count, _, height, width = pixels.shape
    side = torch.rand(count, generator=generator) * 0.25 + 0.2
    middle_y, middle_x = torch.rand(2, count, generator=generator)
    ys = (torch.arange(height) + 0.5) / height
    xs = (torch.arange(width) + 0.5) / width
    rows = (ys[None] - middle_y[:, None]).abs() < side[:, None] / 2
    columns = (xs[None] - middle_x[:, None]).abs() < side[:, None] / 2
    chosen = torch.rand(count, generator=generator) < share
    mask = rows[:, :, None] & columns[:, None, :] & chosen[:, None, None]
    return pixels.masked_fill(mask[:, None].to(pixels.device), 1.0)


def redrawn(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Return images as another artist might have drawn them: for models that name subjects.

    Args:
        pixels: Between 0 and 1, on white. # BCHW
        generator: Decides how.
    """
    changed = moved(pixels, generator)
    changed = recoloured(changed, generator, strength=0.1)
    changed = flattened(changed, generator, share=0.2)
    changed = blurred(changed, generator, share=0.2)
    changed = covered(changed, generator, share=0.15)
    light = torch.randn(len(pixels), 1, 1, 1, generator=generator) * 0.15
    return (1 - (1 - changed) * torch.exp(light).to(pixels.device)).clamp(0, 1)


def tiled(pixels: Tensor, *, columns: int | None = None) -> Tensor:
    """Return images side by side as one: BCHW gives CHW."""
    columns = columns or math.ceil(math.sqrt(len(pixels)))
    rows = math.ceil(len(pixels) / columns)
    blank = pixels.new_ones(rows * columns - len(pixels), *pixels.shape[1:])
    grid = torch.cat([pixels, blank]).reshape(rows, columns, *pixels.shape[1:])
    return grid.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)
