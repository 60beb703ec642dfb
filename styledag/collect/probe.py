"""Whether a source can be read: a look at the disk, or one question to its server."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from styledag.collect.folder import count_images
from styledag.collect.mediawiki_api import MOST_TITLES, MediaWikiApi
from styledag.collect.settings import (
    ArchiveSource,
    DatasetSource,
    FetchSettings,
    FolderSource,
    HtmlSource,
    MediaWikiSource,
    SourceSettings,
    UrlsSource,
)
from styledag.collect.web.addresses import parts_of
from styledag.collect.web.client import Client, forgetful_client
from styledag.collect.web.html_page import HtmlPage
from styledag.collect.web.opt_outs import refusal_detail
from styledag.collect.web.refresh import page_read
from styledag.collect.wiki_listing import CATEGORY, Namespaces
from styledag.errors import FetchError, ModelError, SourceError
from styledag.models.hub import ask_hub

_TIMEOUT_S = 10.0


def check_source(source: SourceSettings, *, project: Path) -> str:
    """Return what is there of a source; asks no server.

    Raises:
        SourceError: If its folder, file or archive is missing.
    """
    match source:
        case FolderSource():
            is_there = (project / source.path).is_dir()
        case UrlsSource():
            is_there = (project / source.path).is_file()
        case ArchiveSource():
            from styledag.collect.archive import archives_of

            return f"{len(archives_of(source, project))} archives"
        case DatasetSource() if source.revision is None:
            is_there = (project / source.path).is_dir()
        case _:
            return "not asked"
    if not is_there:
        raise SourceError(
            f"{source.type} {source.path} is not in {project}: correct path in the style file"
        )
    return "there"


def ask_source(source: SourceSettings, *, project: Path) -> str:
    """Return what a source shows at a glance, after one question to its server if it has one.

    Raises:
        SourceError: If it is missing, does not answer within 10 s, or robots.txt closes it.
    """
    match source:
        case HtmlSource():
            return _asked(
                source.start[0], source.fetch, project, lambda client: _html(source, client)
            )
        case MediaWikiSource():
            return _asked(
                source.api, source.fetch, project, lambda client: _mediawiki(source, client)
            )
        case FolderSource():
            check_source(source, project=project)
            files = sum(path.is_file() for path in (project / source.path).rglob("*"))
            if not files:
                raise SourceError(f"folder {source.path} in {project} contains no file")
            images = count_images(project / source.path)
            if not images:
                raise SourceError(
                    f"none of the {files} files of folder {source.path} is an image by its content"
                )
            return f"{images} images in {files} files"
        case UrlsSource():
            check_source(source, project=project)
            return _urls(source, project)
        case DatasetSource() if (
            source.revision is not None and not (project / source.path).is_dir()
        ):
            return _hub_dataset(source)
        case _:
            return check_source(source, project=project)


def _urls(source: UrlsSource, project: Path) -> str:
    """Return how many addresses a list names, and whether the first can be had."""
    from styledag.collect.urls import listed_images

    finds, _ = listed_images(source, project)
    first = finds[0]
    hosts = {parts_of(find.origin.url).hostname for find in finds}
    try:
        if first.refusal is not None:
            raise first.refusal
        asked = first.signed_url or first.origin.url
        found = _asked(
            asked,
            source.fetch,
            project,
            lambda client: client.image(asked, referer=first.origin.page_url).image_type,
        )
    except FetchError as exc:
        # One address is not the source: that it cannot be had is counted in a run.
        found = f"cannot be had: {exc.detail} ({exc.reason})"
    return f"{len(finds)} addresses on {len(hosts)} hosts; the first: {found}"


def _hub_dataset(source: DatasetSource) -> str:
    try:
        found = ask_hub(source.path, source.revision, "dataset")
    except ModelError as exc:
        raise SourceError(str(exc)) from exc
    return f"{len(found.names)} files at {found.commit}"


def _asked(url: str, settings: FetchSettings, project: Path, ask: Callable[[Client], str]) -> str:
    """Return what a client finds out that neither retries nor keeps what it receives."""
    hurried = replace(settings, retries=0, timeout_s=min(settings.timeout_s, _TIMEOUT_S))
    with forgetful_client(hurried, parts_of(url).hostname or "", project) as client:
        return ask(client)


def _html(source: HtmlSource, client: Client) -> str:
    start = source.start[0]
    try:
        page = HtmlPage(page_read(client, start))
    except FetchError as exc:
        raise SourceError(
            f"{start} cannot be read: {exc.detail} ({exc.reason}); check the address in the style "
            "file, the network, and whether the site allows it"
        ) from exc
    if source.item_link is None:
        selector = source.image
        found = len(page.images(selector, source.image_attribute))
        if refused := refusal_detail(page.opt_outs, source.fetch.opt_outs, f"the page {page.url}"):
            raise SourceError(f"{refused}, so a run takes none of its images (opted_out)")
    else:
        selector, found = source.item_link, len(page.links(source.item_link))
    if not found:
        raise SourceError(f"{start} answers, but {selector!r} matches nothing there: correct it")
    return f"{found} matches of {selector!r} on its first page"


def _mediawiki(source: MediaWikiSource, client: Client) -> str:
    api = MediaWikiApi(source.api, client)
    names = Namespaces(api)
    shown = source.categories[:MOST_TITLES]
    titles = [names.prefixed(each, CATEGORY, "Category") for each in shown]
    if not titles:
        return "answers"
    answer = api.query(prop="categoryinfo", titles="|".join(titles)).get("query", {})
    pages = answer.get("pages", ())
    found = pages.values() if isinstance(pages, dict) else pages
    return ", ".join(sorted(f"{page.get('title')}: {_size(page)}" for page in found))


def _size(category: Mapping[str, Any]) -> str:
    """Return how many files and subcategories a category has, or that there is none."""
    info = category.get("categoryinfo")
    if info is None and ("missing" in category or "invalid" in category):
        return "no such category"
    files, below = (int((info or {}).get(kind, 0)) for kind in ("files", "subcats"))
    return f"{files} files" + (f" and {below} subcategories" if below else "")
