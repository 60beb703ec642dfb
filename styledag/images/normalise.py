"""The stage ``jpeg_images``: raw images become RGB JPEGs of one size, or of a few shapes."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from styledag.batched import batched
from styledag.collect.records import RawImage
from styledag.collector import many_objects
from styledag.errors import DataError
from styledag.images.encode import codec_versions
from styledag.images.records import JpegImage
from styledag.images.settings import ImageSettings
from styledag.images.worker_pool import MACHINE_REASONS, WorkerPool
from styledag.manifest import Manifest, Rejection, rows_of
from styledag.progress import Advance
from styledag.remembered_rows import remembered_rows
from styledag.settings import canonical_json, settings_identity
from styledag.store.artifact import Facts
from styledag.store.items import item_keys
from styledag.store.workspace import Workspace

CODE_VERSION = "8"

_NAMESPACE = "jpeg"
_REASONS_NAMED = 3
_BATCH = 1_000

_Found = Mapping[str, Any]


def normalise_images(
    raw: Manifest[RawImage], settings: ImageSettings, workspace: Workspace
) -> Manifest[JpegImage]:
    """Return, and write into the workspace, the images as RGB JPEGs.

    Each image is decoded once, however many addresses or runs it appears in; so is each that
    is rejected, unless the machine had a part in that. ``work["decodes"]`` counts what was not
    known before. Decoders run in processes of their own on all processors: a crash or a hang costs
    one image (``decoder_crashed``, ``decode_timeout``).

    Raises:
        DataError: If not one image can be used; the message names the commonest reasons.
        DeviceError: If the processes that decode cannot be started.
        StorageError: If a raw image's blob is missing.
    """
    recipe = {
        "settings": settings_identity(settings),
        "codecs": codec_versions(),
        "code_version": CODE_VERSION,
    }
    table = raw.table
    sha256s = table["sha256"].to_pylist() if len(raw.rows) else []

    def make(new: Sequence[int]) -> list[JpegImage | Rejection]:
        keys = item_keys("raw", (sha256s[at] for at in new), **recipe)
        advance(len(sha256s) - len(new))
        found = _found(keys, settings, workspace, advance)
        with many_objects():
            rows = rows_of(table.take(pa.array(new, pa.int64())), RawImage)
            return [_jpeg_image(row, found[row.sha256]) for row in rows]

    def is_there(kept: pa.Table) -> pa.Array:
        stored = workspace.blobs.known(kept["sha256"].to_pylist())
        return pc.is_in(kept["sha256"], pa.array(stored, pa.string()))

    with workspace.progress.task("jpeg images", len(sha256s)) as advance:
        manifest = remembered_rows(
            table,
            JpegImage,
            make,
            key="origin.url",
            made_by=canonical_json(recipe),
            file=workspace.kept and workspace.kept / "rows.arrow",
            is_there=is_there,
        )
    if not len(manifest.rows):
        raise DataError(_nothing_kept(manifest.rejected))
    manifest.write(workspace.folder)
    return manifest


def _found(
    keys: Mapping[str, str], settings: ImageSettings, workspace: Workspace, advance: Advance
) -> dict[str, _Found]:
    """Return what becomes of raw images, by sha256; their keys are those of the items."""
    found: dict[str, _Found] = {}
    with WorkerPool(settings, images=len(keys)) as pool:
        for batch in map(dict, batched(keys.items(), _BATCH)):
            known = _known(batch, workspace)
            advance(len(known))
            found |= known
            missing = {sha256: key for sha256, key in batch.items() if sha256 not in known}
            for sha256, result in _converted(missing, pool, workspace):
                found[sha256] = result
                advance(1)
    return found


def jpeg_facts(jpegs: Manifest[JpegImage]) -> Facts:
    """Return the manifest's counts and, by width and height, how many images are in each bucket.

    The buckets' counts add up to ``kept``: none is lost for want of others of its shape.
    """
    table = jpegs.table
    sizes = zip(table["width_px"].to_pylist(), table["height_px"].to_pylist(), strict=True)
    buckets = Counter(f"{width_px}x{height_px}" for width_px, height_px in sizes)
    return {**jpegs.facts, "buckets": dict(sorted(buckets.items()))}


def _known(keys: Mapping[str, str], workspace: Workspace) -> dict[str, _Found]:
    """Return what earlier runs made of raw images, as far as its blobs are there."""
    items = workspace.items.get_many_json(_NAMESPACE, list(keys.values()))
    known = {sha256: items[key] for sha256, key in keys.items() if key in items}
    there = workspace.blobs.known(
        result["sha256"] for result in known.values() if "sha256" in result
    )
    return {
        sha256: result
        for sha256, result in known.items()
        if "reason" in result or result["sha256"] in there
    }


def _converted(
    keys: Mapping[str, str], pool: WorkerPool, workspace: Workspace
) -> Iterator[tuple[str, _Found]]:
    """Yield what becomes of each raw image, by its sha256, as it is decoded."""

    def convert(sha256: str) -> _Found:
        converted = pool.convert(workspace.blobs.read(sha256))
        if not converted.jpeg:
            return converted.record
        return {**converted.record, "sha256": workspace.blobs.put(converted.jpeg)}

    for sha256, result in pool.map(convert, keys):
        workspace.work["decodes"] += 1
        if result.get("reason") not in MACHINE_REASONS:
            workspace.items.put_json(_NAMESPACE, keys[sha256], result)
        yield sha256, result


def _jpeg_image(row: RawImage, found: _Found) -> JpegImage | Rejection:
    if "reason" in found:
        return Rejection(subject=row.origin.url, **found)
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
