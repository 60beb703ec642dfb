"""The stage: from a style's sources to a manifest of its images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from styledag.collect.folder import collect_folder
from styledag.collect.harvest import Harvest
from styledag.collect.html import collect_html
from styledag.collect.mediawiki import collect_mediawiki
from styledag.collect.records import RawImage
from styledag.collect.settings import FolderSource, HtmlSource, SourceSettings
from styledag.errors import SourceError, is_transient
from styledag.manifest import Manifest, Rejection
from styledag.store.workspace import Workspace

CODE_VERSION = "2"


def collect_images(
    sources: Sequence[SourceSettings], workspace: Workspace, *, project: Path
) -> Manifest[RawImage]:
    """Return the images of all sources exactly as these serve them, and write the manifest.

    An image's bytes are in ``workspace.blobs`` as soon as they are received, so that after a kill
    only the rest is fetched, and in a run without news nothing at all.

    Args:
        sources: Where to look; an image that two of them offer counts for the first.
        workspace: Where bytes are kept and the manifest goes.
        project: Folder that a folder source's path is relative to.

    Raises:
        StyleFileError: If a selector cannot be read.
        SourceError: If a source cannot be read, gives no image, or gave only a part because a
            server failed. What was received is kept, so the next try fetches only the rest; the
            other sources are read first for the same reason.
    """
    failed: list[SourceError] = []
    images: dict[str, RawImage] = {}
    rejected: list[Rejection] = []
    for source in sources:
        try:
            harvest = _harvest(source, workspace, project)
        except SourceError as exc:
            failed.append(exc)
            continue
        rejected += harvest.rejected
        for image in _named_apart(harvest, source, images):
            images.setdefault(image.key, image)
    if failed:
        raise SourceError("; ".join(str(error) for error in failed)) from failed[0]
    if not images:
        raise SourceError("no image found: the style file names no sources")
    manifest = Manifest(tuple(images.values()), tuple(rejected))
    manifest.write(workspace.folder)
    return manifest


def _harvest(source: SourceSettings, workspace: Workspace, project: Path) -> Harvest:
    if isinstance(source, HtmlSource):
        name, harvest = source.start[0], collect_html(source, workspace)
    elif isinstance(source, FolderSource):
        name, harvest = source.path, collect_folder(source, workspace, project=project)
    else:
        name, harvest = source.api, collect_mediawiki(source, workspace)
    _check_complete(name, source, harvest)
    if not harvest.images:
        reasons = Manifest[RawImage]((), harvest.rejected).facts
        counts = ", ".join(
            f"{reason.removeprefix('rejected_')} {count}"
            for reason, count in reasons.items()
            if reason.startswith("rejected_")
        )
        example = harvest.rejected[0]
        raise SourceError(
            f"no image could be taken from {name}: {counts}; for example {example.subject}: "
            f"{example.detail}"
        )
    return harvest


def _check_complete(name: str, source: SourceSettings, harvest: Harvest) -> None:
    """Refuse a harvest that is smaller than it would be if every server answered.

    Raises:
        SourceError: If an address failed for a reason that may pass.
    """
    if isinstance(source, FolderSource):
        return
    failed = [
        each
        for each in harvest.rejected
        if is_transient(each.reason)
        and not any(fnmatchcase(each.subject, pattern) for pattern in source.fetch.gone)
    ]
    if not failed:
        return
    first = failed[0]
    counts = Counter(each.reason for each in failed)
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
    raise SourceError(
        f"{name} was read in part only: {len(failed)} addresses failed ({reasons}), first "
        f"{first.subject}: {first.detail}. Nothing is published; the {len(harvest.images)} "
        "images that were received are kept: run again when the server answers. Addresses that "
        "are gone for good can be listed under fetch.gone in the style file"
    )


def _named_apart(
    harvest: Harvest, source: SourceSettings, taken: dict[str, RawImage]
) -> list[RawImage]:
    """Return the images, those of a folder under names that no other folder has used."""
    if not isinstance(source, FolderSource):
        return list(harvest.images)
    return [
        replace(image, origin=replace(image.origin, url=f"{source.path}/{image.origin.url}"))
        if image.key in taken
        else image
        for image in harvest.images
    ]
