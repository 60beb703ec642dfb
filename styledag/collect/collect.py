"""The stage: from a style's sources to a manifest of its images."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from styledag.collect.harvest import MANY_OF_ONE, Harvest
from styledag.collect.records import UNKNOWN_LICENCE, RawImage
from styledag.collect.settings import FetchSettings, SourceSettings
from styledag.collect.sources import collector_of
from styledag.collect.web.request_headers import contact_hint
from styledag.collector import many_objects
from styledag.errors import SourceDownError, SourceError, is_transient
from styledag.manifest import Manifest, Rejection
from styledag.store.digest import LOG_FOLDER
from styledag.store.workspace import Workspace

logger = logging.getLogger("styledag.collect")

CODE_VERSION = "6"
_HOW_STATED = {"html": ", such as licence: {text: CC BY 4.0}"}
NOTES = "sources.txt"
"""File in an artifact's log: what was found where."""


@many_objects()
def collect_images(
    sources: Sequence[SourceSettings], workspace: Workspace, *, project: Path
) -> Manifest[RawImage]:
    """Return the images of all sources exactly as these serve them, and write the manifest.

    An image's bytes are in ``workspace.blobs`` as soon as they are received, so that after a kill
    only the rest is fetched, and in a run without news nothing at all.

    Raises:
        StyleFileError: If a selector cannot be read.
        SourceError: If a source cannot be read, gives no image, or gave only a part because a
            server failed. What was received is kept, so the next try fetches only the rest; the
            other sources are read first for the same reason.
    """
    failed: list[SourceError] = []
    images: dict[str, RawImage] = {}
    rejected: list[Rejection] = []
    notes: list[str] = []
    for source in sources:
        try:
            harvest = _harvest(source, workspace, project)
        except SourceError as exc:
            failed.append(exc)
            continue
        rejected += harvest.rejected
        notes += _notes(source, harvest)
        named = _named_apart(harvest, images)
        known = sum(image.key in images for image in named)
        if known:
            notes.append(
                f"{source.name}: {known} images are in an earlier source too, whose words count"
            )
        for image in named:
            images.setdefault(image.key, image)
    if failed:
        raise SourceError("; ".join(str(error) for error in failed)) from failed[0]
    if not images:
        raise SourceError("no image found: the style file names no sources")
    manifest = Manifest(tuple(images.values()), tuple(rejected))
    manifest.write(workspace.folder)
    _write_notes(notes, workspace.folder)
    return manifest


def _harvest(source: SourceSettings, workspace: Workspace, project: Path) -> Harvest:
    harvest = collector_of(source)(source, workspace, project=project)
    fetch = getattr(source, "fetch", FetchSettings())
    hint = contact_hint(fetch, {each.reason for each in harvest.rejected})
    _check_complete(source, harvest, fetch, hint)
    if not harvest.images:
        example = harvest.rejected[0]
        raise SourceError(
            f"no image could be taken from {source.name}: {_counts(harvest.rejected)}; for "
            f"example {example.subject}: {example.detail}{hint}"
        )
    return harvest


def _check_complete(
    source: SourceSettings, harvest: Harvest, fetch: FetchSettings, hint: str
) -> None:
    """Refuse a harvest that is smaller than it would be if every server answered.

    Raises:
        SourceDownError: If an address failed for a reason that may pass.
    """
    failed = [
        each
        for each in harvest.rejected
        if is_transient(each.reason)
        and not any(fnmatchcase(each.subject, pattern) for pattern in fetch.gone)
    ]
    if not failed:
        return
    first = failed[0]
    raise SourceDownError(
        f"{source.name} was read in part only: {len(failed)} addresses failed "
        f"({_counts(failed)}), first {first.subject}: {first.detail}. Nothing is published; the "
        f"{len(harvest.images)} images that were received are kept: run again when the server "
        "answers. Addresses that are gone for good can be listed under fetch.gone in the style "
        f"file{hint}"
    )


def _counts(rejected: Sequence[Rejection]) -> str:
    counts = Counter(each.reason for each in rejected)
    return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))


def _named_apart(harvest: Harvest, taken: dict[str, RawImage]) -> list[RawImage]:
    """Return the images, those of a folder under names that no other folder has used."""
    if not harvest.inside:
        return list(harvest.images)
    return [
        replace(image, origin=replace(image.origin, url=f"{harvest.inside}/{image.origin.url}"))
        if image.key in taken
        else image
        for image in harvest.images
    ]


def _notes(source: SourceSettings, harvest: Harvest) -> list[str]:
    """Return what the author of a source wants to know of it."""
    kept, left_out = len(harvest.images), len(harvest.rejected)
    counts = f"; left out: {_counts(harvest.rejected)}" if left_out else ""
    lines = [f"{source.name}: {kept} of {kept + left_out} taken{counts}", *harvest.notes]
    captions = [image.origin.caption for image in harvest.images if image.origin.caption]
    if harvest.inside or captions:
        several = sum("\n" in caption for caption in captions)
        of_lines = f", {several} of them of several lines (captions.lines)" if several else ""
        lines.append(f"{source.name}: {len(captions)} of {kept} images have a caption{of_lines}")
    lines += _same_bytes(source, harvest)
    unknown = sum(image.origin.licence == UNKNOWN_LICENCE for image in harvest.images)
    nobody = sum(not image.origin.author for image in harvest.images)
    if unknown or nobody:
        how = _HOW_STATED.get(source.type, "")
        lines.append(
            f"{source.name}: {unknown} images have no licence and {nobody} no author: set licence "
            f"and author in the style file where one holds for all{how}"
        )
    for line in lines:
        logger.info("%s", line)
    return lines


def _same_bytes(source: SourceSettings, harvest: Harvest) -> list[str]:
    """Return a line if many addresses of a site gave one file: what it shows in place of others."""
    counts = Counter(image.sha256 for image in harvest.images)
    [(sha256, count)] = counts.most_common(1)
    if harvest.inside or count < MANY_OF_ONE:
        return []
    first = next(image for image in harvest.images if image.sha256 == sha256)
    return [
        f"{source.name}: {count} addresses gave the very same file, first {first.origin.url}: if "
        "it is a placeholder, take it out under curation.drop, and see whether the site wants a "
        "referer, cookies or another user agent (fetch)"
    ]


def _write_notes(lines: Sequence[str], folder: Path) -> None:
    """Write a log of the build, which is no part of the artifact's version."""
    log = folder / LOG_FOLDER / NOTES
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="replace")
