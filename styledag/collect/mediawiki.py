"""A wiki that runs MediaWiki, read by its API: files by category, page, name, search, or all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from styledag.collect.file_page import FilePage, read_file_page
from styledag.collect.harvest import Find, Harvest, take_images
from styledag.collect.mediawiki_api import MediaWikiApi
from styledag.collect.records import Origin
from styledag.collect.settings import MediaWikiSource
from styledag.collect.sources import collects
from styledag.collect.web.client import Client
from styledag.collect.web.links import absolute_url
from styledag.collect.web.originals import uploaded_url
from styledag.collect.web.rendered_text import plain_text
from styledag.collect.wiki_listing import TEXT, Place, WikiListing, name_refusal, page_text
from styledag.errors import FetchError, SourceError
from styledag.manifest import Rejection
from styledag.store.workspace import Workspace

SVG = "image/svg+xml"
_RENDERING = {"prop": "imageinfo", "iiprop": "url|size|mime"}
_LICENCE = ("LicenseShortName", "UsageTerms", "License")
_AUTHOR = ("Artist", "Attribution")
"""Not ``Credit``, which is where a file is from: "Own work" is nobody's name."""


@collects(MediaWikiSource)
def collect_mediawiki(source: MediaWikiSource, workspace: Workspace, *, project: Path) -> Harvest:
    """Return the images of a wiki.

    Raises:
        SourceError: If the API cannot be asked, or nothing that the source names holds an image.
    """
    host = urlsplit(source.api).hostname or ""
    with Client(source.fetch, workspace, hosts=[host], project=project) as client:
        api = MediaWikiApi(source.api, client)
        listing = WikiListing(source, api)
        with workspace.progress.task("wiki's lists", None) as advance:
            client.on_wait = lambda seconds: advance(0, waiting_s=seconds)
            listing.read(advance)
        finds, missing = _finds(source, api, listing)
        if not finds:
            reasons = "; ".join((*listing.notes, *(each.subject for each in missing)))
            raise SourceError(
                f"no image found in {source.api}: {reasons or 'the wiki lists none'}; check the "
                "names in the style file"
            )
        harvest = take_images(finds, client, workspace)
    rejected = (*harvest.rejected, *listing.rejected, *missing)
    return Harvest(harvest.images, rejected, notes=tuple(listing.notes))


@dataclass(frozen=True)
class _File:
    """A file's page and its newest version."""

    page: Mapping[str, Any]
    info: Mapping[str, Any]

    @property
    def title(self) -> str:
        return str(self.page["title"])

    @property
    def name(self) -> str:
        """Its name without namespace."""
        return self.title.partition(":")[2]


def _finds(
    source: MediaWikiSource, api: MediaWikiApi, listing: WikiListing
) -> tuple[list[Find], list[Rejection]]:
    files: list[_File] = []
    missing: list[Rejection] = []
    for title, page in sorted(listing.files.items()):
        # The first of those received is not always the newest.
        infos: Sequence[Mapping[str, Any]] = [
            each for each in page.get("imageinfo", ()) if "url" in each
        ]
        if infos:
            newest = max(infos, key=lambda info: str(info.get("timestamp", "")))
            files.append(_File(page, newest))
        else:
            detail = str(page.get("invalidreason", "")) or "the wiki has no such file"
            missing.append(Rejection(subject=title, reason="file_missing", detail=detail))
    renderings = _renderings(source, api, files)
    pages = _file_pages(api, files)
    finds = [
        _find(
            source,
            file,
            listing.place_of(file.title),
            renderings.get(file.title, ""),
            pages.get(file.title, FilePage()),
        )
        for file in files
    ]
    return finds, missing


def _file_pages(api: MediaWikiApi, files: Sequence[_File]) -> Mapping[str, FilePage]:
    """Return what the pages of files say, by title, where the API lacks licence or author."""
    titles = [
        file.title
        for file in files
        if not (_metadata(file.info, *_LICENCE) and _metadata(file.info, *_AUTHOR))
    ]
    pages = api.pages_titled(titles, prop="revisions", **TEXT)
    return {str(page["title"]): read_file_page(page_text(page)) for page in pages}


def _renderings(
    source: MediaWikiSource, api: MediaWikiApi, files: Sequence[_File]
) -> Mapping[str, str]:
    """Return the addresses of the wiki's own PNG renderings of its SVG files, by title."""
    titles = [file.title for file in files if file.info.get("mime") == SVG]
    found: dict[str, str] = {}
    for page in api.pages_titled(titles, iiurlwidth=str(source.svg_width_px), **_RENDERING):
        for info in page.get("imageinfo", ()):
            if info.get("thumburl"):
                found.setdefault(str(page["title"]), str(info["thumburl"]))
    return found


def _find(
    source: MediaWikiSource, file: _File, place: Place | None, rendering: str, page: FilePage
) -> Find:
    info = file.info
    is_drawn = info.get("mime") == SVG
    own_title = PurePosixPath(file.name).stem.replace("_", " ")
    url = rendering if is_drawn and rendering else uploaded_url(str(info["url"]))
    origin = Origin(
        url=absolute_url(source.api, url),
        page_url=str(info.get("descriptionurl", "")) if place is None else place.url,
        title=own_title if place is None else place.title_of(own_title),
        alt="" if place is None else own_title,
        caption="" if place is None else place.caption,
        description=_metadata(info, "ImageDescription") or page.description,
        licence=_metadata(info, *_LICENCE) or page.licence or source.licence,
        author=_metadata(info, *_AUTHOR) or page.author or source.author,
    )
    # The sha1 is that of the file as uploaded, not of a rendering.
    sha1 = "" if is_drawn else str(info.get("sha1", ""))
    return Find(origin=origin, sha1=sha1, refusal=_refusal(source, file, rendering))


def _refusal(source: MediaWikiSource, file: _File, rendering: str) -> FetchError | None:
    """Return why a file is not worth asking for, by its name and what the API says of it."""
    refused = name_refusal(source, file.title)
    if refused is not None:
        return refused
    mime = str(file.info.get("mime", ""))
    if mime == SVG:
        detail = "the wiki offers no PNG rendering of this SVG"
        return None if rendering else FetchError("unsupported_format", detail)
    if mime and not mime.startswith("image/"):
        return FetchError("not_an_image", f"the wiki says it is {mime}")
    max_bytes = source.fetch.max_image_bytes
    if int(file.info.get("size", 0)) > max_bytes:
        return FetchError("too_large", f"more than the {max_bytes} bytes allowed")
    return None


def _metadata(info: Mapping[str, Any], *names: str) -> str:
    """Return the first of some entries that says anything, as text."""
    metadata = info.get("extmetadata")
    # An empty extmetadata comes as a list, even in format version 2.
    entries: Mapping[str, Any] = metadata if isinstance(metadata, dict) else {}
    texts: Iterator[str] = (
        plain_text(str((entries.get(name) or {}).get("value", ""))) for name in names
    )
    return next((text for text in texts if text), "")
