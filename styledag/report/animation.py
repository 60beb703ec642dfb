"""Animations made smaller, and their frames laid side by side for print."""

import hashlib
import io
from collections.abc import Iterator

from PIL import Image

STRIP_FRAMES = 6
STRIP_FRAME_PX = 112
_STRIP_GAP_PX = 4
_DEFAULT_FRAME_MS = 100


def as_webp(
    image: Image.Image, side_px: int, quality: int, *, xmp: bytes
) -> tuple[bytes, tuple[int, int]]:
    """Return an animation as WebP, its frames scaled down to a longer side, and its size.

    Frames keep their durations; it repeats for ever.

    Args:
        image: The opened animation; its position is changed.
        side_px: Longer side at most, in pixels.
        quality: WebP's quality, 0 to 100.
        xmp: Packet of metadata to put into it.
    """
    frames: list[Image.Image] = []
    durations_ms: list[int] = []
    for frame in _frames(image):
        small = frame.convert("RGB")
        small.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
        frames.append(small)
        durations_ms.append(int(frame.info.get("duration") or _DEFAULT_FRAME_MS))
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=durations_ms,
        loop=0,
        quality=quality,
        method=4,
        xmp=xmp,
    )
    return buffer.getvalue(), frames[0].size


def strip(image: Image.Image) -> Image.Image:
    """Return a few frames of an animation in one image, from the first to the last new one.

    They stand side by side, or one below the other where a frame is itself a row of images.

    Frames that were seen before are skipped, so a loop that runs forwards and backwards is shown
    once forwards.

    Args:
        image: The opened animation; its position is changed.
    """
    seen: dict[str, Image.Image] = {}
    for frame in _frames(image):
        small = frame.convert("RGB")
        digest = hashlib.sha256(small.tobytes()).hexdigest()
        if digest not in seen:
            small.thumbnail((STRIP_FRAME_PX * 4, STRIP_FRAME_PX), Image.Resampling.LANCZOS)
            seen[digest] = small
    frames = _spread(list(seen.values()))
    width_px, height_px = frames[0].size
    down = width_px > 2 * height_px
    step_px = _STRIP_GAP_PX + (height_px if down else width_px)
    length_px = step_px * len(frames) - _STRIP_GAP_PX
    sheet = Image.new("RGB", (width_px, length_px) if down else (length_px, height_px), "white")
    for index, frame in enumerate(frames):
        sheet.paste(frame, (0, index * step_px) if down else (index * step_px, 0))
    return sheet


def _frames(image: Image.Image) -> Iterator[Image.Image]:
    for index in range(getattr(image, "n_frames", 1)):
        image.seek(index)
        yield image


def _spread(frames: list[Image.Image]) -> list[Image.Image]:
    if len(frames) <= STRIP_FRAMES:
        return frames
    last = len(frames) - 1
    return [frames[round(index * last / (STRIP_FRAMES - 1))] for index in range(STRIP_FRAMES)]
