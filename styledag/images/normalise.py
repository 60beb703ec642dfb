"""The stage ``jpeg_images``: raw images become RGB JPEGs of one size, or of a few shapes."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from styledag.collect.records import RawImage
from styledag.errors import DataError, ImageError
from styledag.images.buckets import nearest_bucket, settings_buckets
from styledag.images.decode import decode_image
from styledag.images.encode import codec_versions, encode_jpeg
from styledag.images.records import JpegImage
from styledag.images.resize import to_bucket, to_square
from styledag.images.settings import ImageSettings
from styledag.manifest import Manifest, Rejection
from styledag.settings import settings_identity
from styledag.store.artifact import Facts
from styledag.store.items import item_key
from styledag.store.workspace import Workspace

if TYPE_CHECKING:
    from PIL.Image import Image

CODE_VERSION = "3"

_NAMESPACE = "jpeg"
_REASONS_NAMED = 3


def normalise_images(
    raw: Manifest[RawImage], settings: ImageSettings, workspace: Workspace
) -> Manifest[JpegImage]:
    """Return, and write into the workspace, the images as RGB JPEGs.

    Each image is decoded once, however many addresses or runs it appears in; so is each that
    is rejected. ``work["decodes"]`` counts what was not known before.

    Args:
        raw: Images as they were found; their bytes are blobs.
        settings: Size and manner.
        workspace: Where the manifest, the blobs and what is known of each image are kept.

    Raises:
        DataError: If not one image can be used; the message names the commonest reasons.
        StorageError: If a raw image's blob is missing.
    """
    recipe = {
        "settings": settings_identity(settings),
        "codecs": codec_versions(),
        "code_version": CODE_VERSION,
    }
    keys = {row.sha256: item_key(raw=row.sha256, **recipe) for row in raw.rows}
    known = dict(workspace.items.get_many_json(_NAMESPACE, list(keys.values())))
    kept: list[JpegImage] = []
    rejected: list[Rejection] = []
    with workspace.progress.task("jpeg images", len(raw.rows)) as advance:
        for row in raw.rows:
            key = keys[row.sha256]
            found = known.get(key)
            if found is None or not _usable(found, workspace):
                found = known[key] = _normalise(row.sha256, settings, workspace)
                workspace.items.put_json(_NAMESPACE, key, found)
            if "reason" in found:
                rejected.append(Rejection(subject=row.origin.url, **found))
            else:
                kept.append(_jpeg_image(row, found))
            advance(1)
    if not kept:
        raise DataError(_nothing_kept(rejected))
    manifest = Manifest(tuple(kept), tuple(rejected))
    manifest.write(workspace.folder)
    return manifest


def jpeg_facts(jpegs: Manifest[JpegImage]) -> Facts:
    """Return the manifest's counts and, by width and height, how many images are in each bucket.

    The buckets' counts add up to ``kept``: none is lost for want of others of its shape.
    """
    buckets = Counter(f"{row.width_px}x{row.height_px}" for row in jpegs.rows)
    return {**jpegs.facts, "buckets": dict(sorted(buckets.items()))}


def _usable(found: dict[str, Any], workspace: Workspace) -> bool:
    return "reason" in found or workspace.blobs.has(found["sha256"])


def _normalise(raw_sha256: str, settings: ImageSettings, workspace: Workspace) -> dict[str, Any]:
    """Return what a manifest's row says of one image, or its rejection, as JSON."""
    content = workspace.blobs.read(raw_sha256)
    workspace.work["decodes"] += 1
    try:
        decoded = decode_image(
            content, background=settings.background, max_pixels=settings.max_pixels
        )
        image = _resized(decoded.image, settings)
    except ImageError as exc:
        return {"reason": exc.reason, "detail": exc.detail}
    return {
        "sha256": workspace.blobs.put(encode_jpeg(image, quality=settings.quality)),
        "width_px": image.width,
        "height_px": image.height,
        "raw_width_px": decoded.image.width,
        "raw_height_px": decoded.image.height,
        "raw_format": decoded.format,
        "frames": decoded.frames,
        "notes": list(decoded.notes),
    }


def _resized(image: "Image", settings: ImageSettings) -> "Image":
    if settings.mode == "bucket":
        bucket = nearest_bucket(image.size, settings_buckets(settings))
        return to_bucket(image, bucket, upscale=settings.upscale)
    return to_square(
        image,
        size_px=settings.size_px,
        mode=settings.mode,
        upscale=settings.upscale,
        background=settings.background,
    )


def _jpeg_image(row: RawImage, found: dict[str, Any]) -> JpegImage:
    facts = {**found, "notes": tuple(found["notes"])}
    return JpegImage(origin=row.origin, raw_sha256=row.sha256, **facts)


def _nothing_kept(rejected: Sequence[Rejection]) -> str:
    if not rejected:
        return "there are no images to normalise: check the style file's sources"
    counts = Counter(rejection.reason for rejection in rejected).most_common(_REASONS_NAMED)
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts)
    first = next(each for each in rejected if each.reason == counts[0][0])
    return (
        f"none of {len(rejected)} images can be used ({reasons}); the first, {first.subject}, "
        f"{first.detail}: check the style file's sources and images"
    )
