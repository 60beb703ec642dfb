"""Images as data URIs, scaled down together until they fit into a number of bytes."""

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from styledag.errors import StorageError
from styledag.report.animation import as_webp, strip
from styledag.sampling.marking import mark_of

Source: TypeAlias = Path | bytes
"""An image's file, or its bytes."""

FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
"""Formats that may be shown, with their media types."""

_SAMPLED = 4
_STRIP_QUALITY = 80
_TAG_BYTES = 256
_HOPE = 0.95


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An image that a page would like to show.

    Attributes:
        source: The image.
        uses: How often the page shows it; each takes its bytes anew.
        moving: ``True`` for an animation, to be shown with a strip of its frames.
    """

    source: Source
    uses: int = 1
    moving: bool = False


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """An image as a page shows it.

    Attributes:
        uri: The ``data:`` URI.
        width_px: Width.
        height_px: Height.
        strip: For an animation, a few of its frames side by side.
    """

    uri: str
    width_px: int
    height_px: int
    strip: "Embedded | None" = None

    @property
    def size_bytes(self) -> int:
        """Bytes that one showing of it takes, its HTML tag included."""
        return _TAG_BYTES + len(self.uri) + (self.strip.size_bytes if self.strip else 0)


@dataclass(frozen=True, kw_only=True)
class Album:
    """What became of the images that were wanted.

    Attributes:
        images: Those that are shown, by their source.
        side_px: Longer side at most of recompressed images; ``None`` where all are as they were.
        left_out: How many found no room.
        size_bytes: What those that are shown take.
    """

    images: Mapping[Source, Embedded] = field(default_factory=dict)
    side_px: int | None = None
    left_out: int = 0
    size_bytes: int = 0


@dataclass(frozen=True)
class _Level:
    side_px: int
    quality: int


_LEVELS = (
    _Level(768, 90),
    _Level(512, 84),
    _Level(384, 82),
    _Level(288, 80),
    _Level(208, 76),
    _Level(144, 70),
    _Level(96, 62),
)


def embed(wanted: Sequence[Wanted], max_bytes: int) -> Album:
    """Return images as data URIs that together take at most ``max_bytes``.

    Images are embedded as they are where that fits. Else all are recompressed, and scaled down to
    the largest size at which they fit; where none does, the last of ``wanted`` are left out.

    Args:
        wanted: The images, the most important first, each source once.
        max_bytes: Room for their data URIs.

    Raises:
        StorageError: If a file is missing or is not an image of :data:`FORMATS`.
    """
    strips = {each.source: _strip(each.source) for each in wanted if each.moving}
    sampled = wanted[:: max(1, len(wanted) // _SAMPLED)]
    for level in (None, *_LEVELS):
        last = level is _LEVELS[-1]
        images = {each.source: _embedded(each, level, strips) for each in sampled}
        estimate = _total_bytes(sampled, images) * len(wanted) / max(1, len(sampled))
        if estimate > max_bytes * _HOPE and not last:
            continue
        images |= {
            each.source: _embedded(each, level, strips)
            for each in wanted
            if each.source not in images
        }
        if last or _total_bytes(wanted, images) <= max_bytes:
            break
    kept = _within(wanted, images, max_bytes)
    return Album(
        images=kept,
        side_px=None if level is None else level.side_px,
        left_out=len(images) - len(kept),
        size_bytes=_total_bytes((each for each in wanted if each.source in kept), kept),
    )


def _total_bytes(wanted: Iterable[Wanted], images: Mapping[Source, Embedded]) -> int:
    return sum(each.uses * images[each.source].size_bytes for each in wanted)


def _within(
    wanted: Iterable[Wanted], images: Mapping[Source, Embedded], max_bytes: int
) -> dict[Source, Embedded]:
    kept: dict[Source, Embedded] = {}
    room = max_bytes
    for each in wanted:
        cost = each.uses * images[each.source].size_bytes
        if cost > room:
            continue
        room -= cost
        kept[each.source] = images[each.source]
    return kept


def _embedded(wanted: Wanted, level: _Level | None, strips: Mapping[Source, Embedded]) -> Embedded:
    with _opened(wanted.source) as (image, content):
        media_type, size = FORMATS[image.format or ""], image.size
        if level is not None:
            smaller, smaller_size = _scaled(
                image, level, moving=wanted.moving, xmp=mark_of(content)
            )
            if len(smaller) < len(content) or smaller_size != size:
                media_type, content, size = FORMATS["WEBP"], smaller, smaller_size
    return Embedded(
        uri=_data_uri(media_type, content),
        width_px=size[0],
        height_px=size[1],
        strip=strips.get(wanted.source),
    )


def _strip(source: Source) -> Embedded:
    with _opened(source) as (image, content):
        frames = strip(image)
    uri = _data_uri(FORMATS["WEBP"], _webp(frames, _STRIP_QUALITY, mark_of(content)))
    return Embedded(uri=uri, width_px=frames.width, height_px=frames.height)


@contextmanager
def _opened(source: Source) -> Iterator[tuple[Image.Image, bytes]]:
    """Open an image and map whatever Pillow says of a broken one."""
    content = _content(source)
    try:
        with Image.open(io.BytesIO(content), formats=tuple(FORMATS)) as image:
            image.load()
            yield image, content
    except (OSError, SyntaxError, ValueError, EOFError) as exc:
        raise StorageError(
            f"{_describe(source)} is not a readable image ({exc}); build what made it once more"
        ) from exc


def _scaled(
    image: Image.Image, level: _Level, *, moving: bool, xmp: bytes
) -> tuple[bytes, tuple[int, int]]:
    if moving:
        return as_webp(image, level.side_px, level.quality, xmp=xmp)
    small = image.convert("RGBA" if image.has_transparency_data else "RGB")
    small.thumbnail((level.side_px, level.side_px), Image.Resampling.LANCZOS)
    return _webp(small, level.quality, xmp), small.size


def _webp(image: Image.Image, quality: int, xmp: bytes) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=4, xmp=xmp)
    return buffer.getvalue()


def _data_uri(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _content(source: Source) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return source.read_bytes()
    except OSError as exc:
        raise StorageError(f"{source} cannot be read: {exc.strerror}") from exc


def _describe(source: Source) -> str:
    return str(source) if isinstance(source, Path) else f"an image of {len(source)} bytes"
