"""GIFs with a label under each frame, one palette and an unhurried end."""

import io
from collections.abc import Sequence

from PIL import Image

from styledag.sampling.cells import cell
from styledag.sampling.lettering import line_height_px, text_image
from styledag.sampling.marking import mark_gif

HOLD_MS = 1_600
"""How long the last frame stands."""
MAX_WIDTH_PX = 1_280
"""Frames side by side are reduced to this width, so that a page can hold the GIF."""

_GAP_PX = 4
_MIN_FONT_PX = 13
_PALETTE_FRAMES = 12
_PALETTE_SIDE_PX = 256


def labelled_frame(images: Sequence[Image.Image], label: str) -> Image.Image:
    """Return images side by side with one label under them."""
    cells = [cell(image, min_px=192) for image in images]
    width = sum(each.width + _GAP_PX for each in cells) - _GAP_PX
    row = Image.new("RGB", (width, cells[0].height), "white")
    for place, each in enumerate(cells):
        row.paste(each, (place * (each.width + _GAP_PX), 0))
    if width > MAX_WIDTH_PX:
        # Before the label, which stays as large as it can be read.
        reduced = (MAX_WIDTH_PX, round(row.height * MAX_WIDTH_PX / width))
        row = row.resize(reduced, Image.Resampling.LANCZOS)
    font_px = max(_MIN_FONT_PX, row.height // 18)
    strip = (row.width, line_height_px(font_px) + 6)
    frame = Image.new("RGB", (row.width, row.height + strip[1]), "white")
    frame.paste(row, (0, 0))
    frame.paste(text_image(label, strip, font_px, centred=True), (0, row.height))
    return frame


def there_and_back(
    frames: Sequence[Image.Image], *, frame_ms: int
) -> tuple[list[Image.Image], list[int]]:
    """Return a loop without a jump, with how long each of its frames stands.

    It goes from the first frame to the last, rests there, and returns twice as fast through the
    same frames.

    Args:
        frames: At least one.
        frame_ms: Milliseconds of a frame on the way there; :data:`HOLD_MS` of the last.
    """
    back = list(frames[-2:0:-1])
    durations_ms = [frame_ms] * len(frames) + [max(20, frame_ms // 2)] * len(back)
    durations_ms[len(frames) - 1] = HOLD_MS
    return [*frames, *back], durations_ms


def marked_gif(frames: Sequence[Image.Image], durations_ms: Sequence[int]) -> bytes:
    """Return an endless GIF of images that a model made, with the mark that says so.

    Its frames share a palette, so that colours do not flicker.
    """
    palette = _common_palette(frames)
    indexed = [
        frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for frame in frames
    ]
    buffer = io.BytesIO()
    indexed[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=indexed[1:],
        duration=list(durations_ms),
        loop=0,
        optimize=False,
    )
    return mark_gif(buffer.getvalue())


def _common_palette(frames: Sequence[Image.Image]) -> Image.Image:
    step = max(1, -(-len(frames) // _PALETTE_FRAMES))
    chosen = [frame.copy() for frame in [*frames[::step], frames[-1]]]
    for each in chosen:
        each.thumbnail((_PALETTE_SIDE_PX, _PALETTE_SIDE_PX), Image.Resampling.NEAREST)
    width, height = chosen[0].size
    strip = Image.new("RGB", (width, height * len(chosen)))
    for place, each in enumerate(chosen):
        strip.paste(each, (0, place * height))
    return strip.quantize(256, method=Image.Quantize.MEDIANCUT)
