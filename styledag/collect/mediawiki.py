"""A wiki that runs MediaWiki, read by its API: files by category, page, name, search, or all."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from styledag.collect.file_facts import WikiFile, facts_of
from styledag.collect.file_page import FilePage
from styledag.collect.harvest import Find, Harvest, take_images
from styledag.collect.mediawiki_api import MediaWikiApi
from styledag.collect.records import UNKNOWN_LICENCE, Origin
from styledag.collect.settings import MediaWikiSource
from styledag.collect.web.addresses import parts_of
from styledag.collect.web.client import Client
from styledag.collect.web.links import absolute_url
from styledag.collect.web.originals import uploaded_url
from styledag.collect.wiki_listing import Place, WikiListing, name_refusal
from styledag.errors import FetchError, SourceError
from styledag.manifest import Rejection
from styledag.store.workspace import Workspace

SVG = "image/svg+xml"
_NOT_OPENED = frozenset(("image/vnd.djvu", "image/x.djvu", "image/x-djvu", "image/x-xcf"))
"""What a wiki calls images and no decoder opens: whole books, and layers of drawings."""
_RENDERING = {"prop": "imageinfo", "iiprop": "url|size|mime"}


def collect_mediawiki(source: MediaWikiSource, workspace: Workspace, *, project: Path) -> Harvest:
    """Return the images of a wiki.

    Raises:
        SourceError: If the API cannot be asked, or nothing that the source names holds an image.
    """
    host = parts_of(source.api).hostname or ""
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


def _finds(
    source: MediaWikiSource, api: MediaWikiApi, listing: WikiListing
) -> tuple[list[Find], list[Rejection]]:
    files: list[WikiFile] = []
    missing: list[Rejection] = []
    for title, page in sorted(listing.files.items()):
        # The first of those received is not always the newest.
        infos: Sequence[Mapping[str, Any]] = [
            each for each in page.get("imageinfo", ()) if "url" in each
        ]
        if infos:
            newest = max(infos, key=lambda info: str(info.get("timestamp", "")))
            files.append(WikiFile(page, newest))
        else:
            detail = str(page.get("invalidreason", "")) or _why_missing(page)
            missing.append(Rejection(subject=title, reason="file_missing", detail=detail))
    renderings = _renderings(source, api, files)
    facts = facts_of(files, api, listing.notes)
    finds = [
        _find(
            source,
            file,
            listing.place_of(file.title),
            renderings.get(file.title, ""),
            facts[file.title],
        )
        for file in files
    ]
    return finds, missing


def _why_missing(page: Mapping[str, Any]) -> str:
    infos = page.get("imageinfo", ())
    if any("filehidden" in each for each in infos):
        return "the wiki hides its newest version"
    if any("filemissing" in each for each in infos):
        return "the wiki has a page for it, but has lost the file"
    return "the wiki has no such file"


def _renderings(
    source: MediaWikiSource, api: MediaWikiApi, files: Sequence[WikiFile]
) -> Mapping[str, str]:
    """Return the addresses of the wiki's own PNG renderings of its SVG files, by title."""
    titles = [file.title for file in files if file.info.get("mime") == SVG]
    found: dict[str, str] = {}
    for page in api.pages_titled(titles, iiurlwidth=str(source.svg_width_px), **_RENDERING):
        for info in page.get("imageinfo", ()):
            drawn = str(info.get("thumburl", ""))
            # A wiki with $wgSVGNativeRendering has browsers draw the file itself.
            if drawn and not parts_of(drawn).path.lower().endswith(".svg"):
                found.setdefault(str(page["title"]), drawn)
    return found


def _find(
    source: MediaWikiSource, file: WikiFile, place: Place | None, rendering: str, facts: FilePage
) -> Find:
    info = file.info
    is_drawn = info.get("mime") == SVG
    own_title = PurePosixPath(file.name).stem.replace("_", " ")
    url = rendering if is_drawn and rendering else uploaded_url(str(info["url"]))
    origin = Origin(
        url=absolute_url(source.api, url),
        page_url=_page_url(source, info) if place is None else place.url,
        title=own_title if place is None else place.title_of(own_title),
        alt="" if place is None else own_title,
        caption="" if place is None else place.caption,
        description=facts.description,
        # What the style file states of the wiki's files is not about another's.
        licence=facts.licence or (UNKNOWN_LICENCE if file.repository else source.licence),
        author=facts.author or ("" if file.repository else source.author),
    )
    # The sha1 is that of the file as uploaded, not of a rendering.
    sha1 = "" if is_drawn else str(info.get("sha1", ""))
    return Find(origin=origin, sha1=sha1, refusal=_refusal(source, file, rendering))


def _page_url(source: MediaWikiSource, info: Mapping[str, Any]) -> str:
    """Return a file's page; some wikis state it without a scheme."""
    url = str(info.get("descriptionurl", ""))
    return absolute_url(source.api, url) if url.startswith("/") else url


def _refusal(source: MediaWikiSource, file: WikiFile, rendering: str) -> FetchError | None:
    """Return why a file is not worth asking for, by its name and what the API says of it."""
    refused = name_refusal(source, file.title)
    if refused is not None:
        return refused
    mime = str(file.info.get("mime", ""))
    if mime == SVG:
        detail = "the wiki offers no PNG rendering of this SVG"
        return None if rendering else FetchError("unsupported_format", detail)
    if mime in _NOT_OPENED:
        return FetchError("unsupported_format", f"the wiki says it is {mime}")
    if mime and not mime.startswith("image/"):
        return FetchError("not_an_image", f"the wiki says it is {mime}")
    max_bytes = source.fetch.max_image_bytes
    if int(file.info.get("size", 0)) > max_bytes:
        return FetchError("too_large", f"more than the {max_bytes} bytes allowed")
    return None
