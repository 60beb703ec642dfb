"""A contact sheet of images as they were found, before anything was left out."""

import base64
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from styledag.collect.records import RawImage
from styledag.images.contact_sheet import Section, ShownImage, sheet_page, shown_name
from styledag.images.converting.convert import Converted
from styledag.images.records import JpegImage
from styledag.images.settings import ImageSettings
from styledag.images.thumbnails import THUMBNAIL_PX
from styledag.images.worker_pool import WorkerPool
from styledag.store.blobs import Blobs

MOST_SHOWN = 400
_SETTINGS = ImageSettings(size_px=THUMBNAIL_PX, mode="pad", quality=75)
_LEGEND = (
    "Green: can be decoded. Point at an image to see its address, caption, licence and author."
)
_MOST_CAPTION_CHARS = 200


def write_found_sheet(
    images: Sequence[RawImage | JpegImage], facts: Mapping[str, int], blobs: Blobs, path: Path
) -> None:
    """Write a page with a thumbnail of each image, or of :data:`MOST_SHOWN` spread over all.

    Raises:
        StorageError: If an image's blob is missing.
    """
    step = -(-len(images) // MOST_SHOWN) or 1
    shown = images[::step]

    with WorkerPool(_SETTINGS, images=len(shown)) as pool:

        def convert(at: int) -> Converted:
            return pool.convert(blobs.read(shown[at].sha256))

        thumbnails = dict(pool.map(convert, range(len(shown))))
    sections = [
        Section("Found", not_shown=len(images) - len(shown)),
        Section("Cannot be decoded"),
    ]
    for at, image in enumerate(shown):
        converted = thumbnails[at]
        sections[not converted.jpeg].images.append(_shown(image, converted))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(sheet_page(facts, sections, _LEGEND), encoding="utf-8")


def _shown(image: RawImage | JpegImage, converted: Converted) -> ShownImage:
    origin = image.origin
    caption = textwrap.shorten(origin.caption, _MOST_CAPTION_CHARS, placeholder=" ...") or "none"
    author = origin.author or "unknown"
    detail = f"caption: {caption}; licence: {origin.licence}; author: {author}"
    if not converted.jpeg:
        detail = str(converted.record["detail"])
    return ShownImage(
        name=shown_name(origin),
        url=origin.url,
        detail=detail,
        kept=bool(converted.jpeg),
        thumbnail=base64.b64encode(converted.jpeg).decode(),
    )
