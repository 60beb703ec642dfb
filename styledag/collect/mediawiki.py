"""A wiki that runs MediaWiki, read by its API: categories' files, and the files on their pages."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from styledag.collect.harvest import Find, Harvest, take_images
from styledag.collect.mediawiki_api import MediaWikiApi
from styledag.collect.records import UNKNOWN_LICENCE, Origin
from styledag.collect.settings import MediaWikiSource
from styledag.collect.web.client import Client
from styledag.collect.web.links import absolute_url
from styledag.collect.web.rendered_text import plain_text
from styledag.errors import FetchError, SourceError
from styledag.manifest import Rejection
from styledag.store.workspace import Workspace

TITLES_PER_QUESTION = 20
"""Keeps the URL of a question short, whatever the titles."""

_IMAGE_INFO = {"prop": "imageinfo", "iiprop": "url|size|sha1|mime|extmetadata"}


def collect_mediawiki(source: MediaWikiSource, workspace: Workspace) -> Harvest:
    """Return the images of a wiki's categories.

    Raises:
        SourceError: If the API cannot be asked, or the categories hold no image.
    """
    with Client(source.fetch, workspace) as client:
        wiki = _Wiki(MediaWikiApi(source.api, client), max_bytes=source.fetch.max_image_bytes)
        with workspace.progress.task("categories", len(source.categories)) as advance:
            finds: list[Find] = []
            for category in source.categories:
                title = category if ":" in category else f"Category:{category}"
                finds += wiki.files_of(title)
                finds += wiki.files_on_pages_of(title)
                advance(1)
        if not finds:
            names = ", ".join(repr(category) for category in source.categories)
            raise SourceError(
                f"no image found: neither categories {names} of {source.api} nor their pages "
                "hold a file; check the names in the style file"
            )
        harvest = take_images(finds, client, workspace)
    missing = (Rejection(subject=title, reason="file_missing") for title in sorted(wiki.missing))
    return Harvest(harvest.images, (*harvest.rejected, *missing))


class _Wiki:
    def __init__(self, api: MediaWikiApi, *, max_bytes: int) -> None:
        self.missing: set[str] = set()
        self._api = api
        self._max_bytes = max_bytes

    def files_of(self, category: str) -> Iterator[Find]:
        """Yield the files that are in a category themselves."""
        pages = self._api.pages(**_members(category, "file"), **_IMAGE_INFO)
        for page in pages:
            yield from self._finds(page)

    def files_on_pages_of(self, category: str) -> Iterator[Find]:
        """Yield the files that are shown on a category's pages."""
        shown_on: dict[str, list[tuple[str, str]]] = {}
        question = {"prop": "images|info", "imlimit": "max", "inprop": "url"}
        for page in self._api.pages(**_members(category, "page"), **question):
            for image in page.get("images", ()):
                place = (str(page.get("fullurl", "")), str(page.get("title", "")))
                places = shown_on.setdefault(str(image["title"]), [])
                if place not in places:
                    places.append(place)
        titles = sorted(shown_on)
        for start in range(0, len(titles), TITLES_PER_QUESTION):
            batch = "|".join(titles[start : start + TITLES_PER_QUESTION])
            for file in self._api.pages(titles=batch, **_IMAGE_INFO):
                for place in shown_on.get(str(file.get("title")), ()):
                    yield from self._finds(file, place)

    def _finds(
        self, file: Mapping[str, Any], place: tuple[str, str] | None = None
    ) -> Iterator[Find]:
        """Yield the newest version of a file; note a file page without a file."""
        infos: Sequence[Mapping[str, Any]] = file.get("imageinfo", ())
        if infos and "url" in infos[0]:
            yield _find(file, infos[0], place, self._max_bytes)
        else:
            self.missing.add(str(file.get("title", "")))


def _members(category: str, kind: str) -> dict[str, str]:
    return {
        "generator": "categorymembers",
        "gcmtitle": category,
        "gcmtype": kind,
        "gcmlimit": "50",
    }


def _find(
    file: Mapping[str, Any],
    info: Mapping[str, Any],
    place: tuple[str, str] | None,
    max_bytes: int,
) -> Find:
    url = str(info["url"])
    page_url, title = place or (str(info.get("descriptionurl", "")), _file_title(file))
    return Find(
        origin=Origin(
            url=_original(url),
            page_url=page_url,
            title=title,
            alt=_file_title(file) if place else "",
            description=_metadata(info, "ImageDescription"),
            licence=_metadata(info, "LicenseShortName") or UNKNOWN_LICENCE,
            author=_metadata(info, "Artist"),
        ),
        sha1=str(info.get("sha1", "")),
        refusal=_refusal(info, max_bytes),
    )


def _refusal(info: Mapping[str, Any], max_bytes: int) -> FetchError | None:
    """Return why a file is not worth asking for, by what the API says of it."""
    mime = str(info.get("mime", ""))
    if mime and not mime.startswith("image/"):
        return FetchError("not_an_image", f"the wiki says it is {mime}")
    if int(info.get("size", 0)) > max_bytes:
        return FetchError("too_large", f"more than the {max_bytes} bytes allowed")
    return None


def _metadata(info: Mapping[str, Any], name: str) -> str:
    metadata = info.get("extmetadata")
    # An empty extmetadata comes as a list, even in format version 2.
    entry = metadata.get(name, {}) if isinstance(metadata, dict) else {}
    return plain_text(str(entry.get("value", "")))


def _file_title(file: Mapping[str, Any]) -> str:
    _, _, name = str(file.get("title", "")).partition(":")
    return PurePosixPath(name).stem.replace("_", " ")


def _original(url: str) -> str:
    """Return the address of the file as it was uploaded; Fandom's CDN else converts to WebP."""
    parts = urlsplit(url)
    if (parts.hostname or "").endswith(".nocookie.net") and "format=" not in parts.query:
        url = f"{url}{'&' if parts.query else '?'}format=original"
    return absolute_url(url, "")
