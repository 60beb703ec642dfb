"""Any web site, read page by page with CSS selectors."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from styledag.collect.harvest import Find, Harvest, rejection, take_images
from styledag.collect.records import UNKNOWN_LICENCE, Origin
from styledag.collect.settings import HtmlSource
from styledag.collect.sources import collects
from styledag.collect.web.client import Client
from styledag.collect.web.html_page import HtmlPage, check_selectors
from styledag.collect.web.opt_outs import refusal_detail
from styledag.errors import FetchError, SourceError
from styledag.manifest import Rejection
from styledag.store.workspace import Workspace

logger = logging.getLogger("styledag.collect")


@collects(HtmlSource)
def collect_html(source: HtmlSource, workspace: Workspace, *, project: Path) -> Harvest:
    """Return the images of a web site.

    Raises:
        StyleFileError: If a selector cannot be read.
        SourceError: If a start page cannot be had, or no image was found.
    """
    check_selectors(
        next_page=source.next_page,
        item_link=source.item_link,
        image=source.image,
        title=source.title,
        description=source.description,
        licence=source.licence,
        author=source.author,
    )
    hosts = [urlsplit(start).hostname or "" for start in source.start]
    with Client(source.fetch, workspace, hosts=hosts, project=project) as client:
        crawl = _Crawl(source, client)
        finds = crawl.finds(workspace)
        if not finds:
            raise SourceError(crawl.nothing_found())
        harvest = take_images(finds, client, workspace)
    return Harvest(harvest.images, (*crawl.rejected, *harvest.rejected))


class _Crawl:
    """One pass over a site's pages; reads no page twice and no more than ``max_pages``."""

    def __init__(self, source: HtmlSource, client: Client) -> None:
        self.rejected: list[Rejection] = []
        self._source = source
        self._client = client
        self._read: set[str] = set()
        self._item_links = 0

    def finds(self, workspace: Workspace) -> list[Find]:
        """Read all pages and return the images they show."""
        with workspace.progress.task("list pages", None) as advance:
            lists: list[HtmlPage] = []
            for each in self._list_pages():
                lists.append(each)
                advance(1)
        if self._source.item_link is None:
            return [find for page in lists for find in self._finds_on(page)]
        links = [link for page in lists for link in page.links(self._source.item_link)]
        items = list(dict.fromkeys(links))
        self._item_links = len(items)
        finds: list[Find] = []
        with workspace.progress.task("image pages", len(items)) as advance:
            for link in items:
                page = self._item_page(link)
                if page is not None:
                    finds += self._finds_on(page)
                advance(1)
        return finds

    def nothing_found(self) -> str:
        """Return what to tell the style's author."""
        source, start = self._source, self._source.start[0]
        if source.item_link is not None and not self._item_links:
            what = f"item_link {source.item_link!r} matches nothing on {start}"
        else:
            where = "the pages it leads to" if source.item_link else start
            what = f"image {source.image!r} matches no image on {where}"
        return f"no image found: {what}; correct the selector in the style file"

    def _list_pages(self) -> Iterator[HtmlPage]:
        for start in self._source.start:
            page = self._start_page(start)
            while page is not None:
                yield page
                page = self._next_page(page)

    def _start_page(self, url: str) -> HtmlPage | None:
        if url in self._read:
            return None
        try:
            return self._page(url)
        except FetchError as exc:
            raise SourceError(
                f"{url} cannot be read: {exc.detail} ({exc.reason}); check the address in the "
                "style file, the network, and whether the site allows it, then run again"
            ) from exc

    def _next_page(self, page: HtmlPage) -> HtmlPage | None:
        links: Sequence[str] = page.links(self._source.next_page) if self._source.next_page else ()
        if not links:
            return None
        if links[0] in self._read:
            logger.warning("%s leads back to %s: the list ends here", page.url, links[0])
            return None
        return self._page_or_rejection(links[0])

    def _item_page(self, url: str) -> HtmlPage | None:
        return None if url in self._read else self._page_or_rejection(url)

    def _page_or_rejection(self, url: str) -> HtmlPage | None:
        try:
            return self._page(url)
        except FetchError as exc:
            self.rejected.append(rejection(url, exc))
            return None

    def _page(self, url: str) -> HtmlPage:
        limit = self._client.settings.max_pages
        if len(self._read) >= limit:
            raise FetchError("over_max_pages", f"max_pages is {limit}")
        self._read.add(url)
        return HtmlPage(self._client.page(url))

    def _finds_on(self, page: HtmlPage) -> Iterator[Find]:
        source, empty = self._source, True
        refused = refusal_detail(page.opt_outs, source.fetch.opt_outs, f"the page {page.url}")
        for image in page.images(source.image):
            empty = False
            yield Find(
                origin=Origin(
                    url=image.url,
                    page_url=page.url,
                    title=page.text(source.title),
                    alt=image.alt,
                    description=page.text(source.description),
                    licence=page.text(source.licence) or UNKNOWN_LICENCE,
                    author=page.text(source.author),
                ),
                refusal=FetchError("opted_out", refused) if refused else None,
            )
        if empty and source.item_link is not None:
            detail = f"image {source.image!r} matches no image"
            self.rejected.append(
                Rejection(subject=page.url, reason="no_image_on_page", detail=detail)
            )
