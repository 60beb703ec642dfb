"""Any web site, read page by page with CSS selectors."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from styledag.collect.harvest import Find, Harvest, rejection, take_images
from styledag.collect.records import UNKNOWN_LICENCE, Origin
from styledag.collect.settings import HtmlSource, NearImage
from styledag.collect.web.addresses import parts_of
from styledag.collect.web.client import Client, Page
from styledag.collect.web.html_page import HtmlPage, check_selectors
from styledag.collect.web.links import without_session
from styledag.collect.web.opt_outs import refusal_detail
from styledag.collect.web.originals import original_url
from styledag.collect.web.refresh import page_read
from styledag.collect.web.signatures import without_signature
from styledag.collect.web.turns import fetch_by_host, one_at_a_time
from styledag.errors import FetchError, SourceError
from styledag.manifest import Rejection
from styledag.progress import Advance
from styledag.store.workspace import Workspace

MOST_BARREN_LISTS = 20
"""List pages in a row that lead to nothing new, after which their chain is a trap."""
_MANY_TO_ONE = 3
"""Links to image pages that are redirected to one and the same, which is then none of theirs,
unless it is an album, with an image for each."""


def collect_html(source: HtmlSource, workspace: Workspace, *, project: Path) -> Harvest:
    """Return the images of a web site.

    Raises:
        StyleFileError: If a selector cannot be read.
        SourceError: If a start page cannot be had, or no image was found.
    """
    texts = {name: getattr(source, name) for name in _TEXTS}
    check_selectors(
        next_page=source.next_page,
        item_link=source.item_link,
        image=source.image,
        **{name: of.near if isinstance(of, NearImage) else of for name, of in texts.items()},
    )
    hosts = [parts_of(start).hostname or "" for start in source.start]
    with Client(source.fetch, workspace, hosts=hosts, project=project) as client:
        crawl = _Crawl(source, client)
        finds = crawl.finds(workspace)
        if not finds:
            raise SourceError(crawl.nothing_found())
        harvest = take_images(finds, client, workspace)
    return Harvest(harvest.images, (*crawl.rejected, *harvest.rejected))


_TEXTS = ("title", "caption", "description", "licence", "author")


@dataclass(frozen=True)
class _ListPage:
    """What one list page leads to."""

    url: str
    items: tuple[str, ...]
    finds: tuple[Find, ...]
    following: tuple[str, ...]

    @property
    def leads_to(self) -> frozenset[str]:
        return frozenset((*self.items, *(find.origin.url for find in self.finds)))


class _Crawl:
    """One pass over a site's pages; reads no page twice and no more than ``max_pages``."""

    def __init__(self, source: HtmlSource, client: Client) -> None:
        self.rejected: list[Rejection] = []
        self._source = source
        self._client = client
        self._read: set[str] = set()
        self._lists: set[str] = set()
        self._item_links = 0
        self._is_full = False

    def finds(self, workspace: Workspace) -> list[Find]:
        """Read all pages and return the images they show."""
        with workspace.progress.task("list pages", None) as advance:
            self._show_waits(advance)
            lists: list[_ListPage] = []
            for each in self._list_pages():
                lists.append(each)
                self._lists.add(without_session(each.url))
                advance(1)
        if self._source.item_link is None:
            return [find for page in lists for find in page.finds]
        links = list(dict.fromkeys(link for page in lists for link in page.items))
        self._item_links = len(links)
        with workspace.progress.task("image pages", len(links)) as shown:
            advance = one_at_a_time(shown)
            self._show_waits(advance)
            return self._finds_behind(links, advance)

    def nothing_found(self) -> str:
        """Return what to tell the style's author."""
        source, start = self._source, self._source.start[0]
        if source.item_link is not None and not self._item_links:
            what = f"item_link {source.item_link!r} matches nothing on {start}"
        else:
            where = "the pages it leads to" if source.item_link else start
            what = f"image {source.image!r} matches no image on {where}"
        return f"no image found: {what}; correct the selector in the style file"

    def _show_waits(self, advance: Advance) -> None:
        self._client.on_wait = lambda seconds: advance(0, waiting_s=seconds)

    def _list_pages(self) -> Iterator[_ListPage]:
        for start in self._source.start:
            waiting = deque([start])
            known: set[str] = set()
            barren = 0
            while waiting and not self._is_full:
                url = waiting.popleft()
                page = self._list_page(url, is_start=url == start) if self._is_new(url) else None
                if page is None:
                    continue
                yield page
                barren = barren + 1 if page.leads_to <= known else 0
                known |= page.leads_to
                if barren == MOST_BARREN_LISTS:
                    detail = (
                        f"the last {barren} list pages lead to nothing new (a calendar?): narrow "
                        "next_page"
                    )
                    self._reject(page.url, FetchError("list_trap", detail))
                    break
                # A selector may match the link back too, whose chain may have no end: so in turn.
                waiting.extend(page.following)

    def _list_page(self, url: str, *, is_start: bool) -> _ListPage | None:
        """Read a list page; a start page has to be had, any other is counted."""
        source = self._source
        try:
            self._admit(url)
            page = HtmlPage(page_read(self._client, url))
        except FetchError as exc:
            if not is_start:
                self._reject(url, exc)
                return None
            raise SourceError(
                f"{url} cannot be read: {exc.detail} ({exc.reason}); check the address in the "
                "style file, the network, and whether the site allows it, then run again"
            ) from exc
        links = page.links(source.next_page) if source.next_page else []
        return _ListPage(
            url=page.url,
            items=tuple(page.links(source.item_link)) if source.item_link else (),
            finds=() if source.item_link else tuple(self._finds_on(page)),
            following=tuple(link for link in links if link.startswith(("http://", "https://"))),
        )

    def _finds_behind(self, links: Sequence[str], advance: Advance) -> list[Find]:
        """Read the image pages, several hosts at once."""
        admitted: list[str] = []
        for link in links:
            try:
                if self._is_new(link):
                    self._admit(link)
                    admitted.append(link)
                    continue
            except FetchError as exc:
                self._reject(link, exc)
            advance(1)

        led_to: dict[str, str] = {}

        def fetch(at: int) -> Callable[[], list[Find]]:
            page = page_read(self._client, admitted[at])
            led_to[admitted[at]] = without_session(page.url)
            return partial(self._read_page, page)

        finds: list[Find] = []
        results = fetch_by_host(admitted, fetch, lambda: advance(1))
        shared = Counter(url for link, url in led_to.items() if url != without_session(link))
        for link, result in zip(admitted, results, strict=True):
            others = shared[led_to.get(link, "")]
            if isinstance(result, FetchError):
                self._reject(link, result)
            elif (
                others >= _MANY_TO_ONE
                and led_to[link] != without_session(link)
                and not self._is_album(led_to[link], result, of=others)
            ):
                detail = (
                    f"leads to {led_to[link]}, as {others} links do: a login, or what the site "
                    "shows in place of pages that are gone"
                )
                self._reject(link, FetchError("redirected", detail))
            else:
                finds += result
        return finds

    def _is_album(self, url: str, finds: Sequence[Find], *, of: int) -> bool:
        """Return whether a page shows an image for each link to it, and is no list or front page.

        Those are what many sites show in place of pages that are gone.
        """
        is_list = url in self._lists or parts_of(url).path in ("", "/")
        return not is_list and len({find.origin.url for find in finds}) >= of

    def _read_page(self, page: Page) -> list[Find]:
        finds = list(self._finds_on(HtmlPage(page)))
        if not finds:
            detail = f"image {self._source.image!r} matches no image"
            raise FetchError("no_image_on_page", detail)
        return finds

    def _is_new(self, url: str) -> bool:
        return without_session(url) not in self._read

    def _admit(self, url: str) -> None:
        """Count a page that is to be read.

        Raises:
            FetchError: ``over_max_pages``.
        """
        limit = self._client.settings.max_pages
        if len(self._read) >= limit:
            self._is_full = True
            raise FetchError("over_max_pages", f"max_pages is {limit}")
        self._read.add(without_session(url))

    def _reject(self, url: str, error: FetchError) -> None:
        self.rejected.append(rejection(without_session(url), error))

    def _finds_on(self, page: HtmlPage) -> Iterator[Find]:
        source = self._source
        for _ in range(page.without_address(source.image, source.image_attribute)):
            detail = (
                "an image has no address in src, srcset or their data- kin: a script may set it"
            )
            self._reject(page.url, FetchError("no_url", detail))
        refused = refusal_detail(page.opt_outs, source.fetch.opt_outs, f"the page {page.url}")
        for image in page.images(source.image, source.image_attribute):
            texts = {name: page.text_of(getattr(source, name), image) for name in _TEXTS}
            # The next run has another session; the image and its page are the same.
            shown = without_session(image.url)
            asked = original_url(shown) if source.originals else shown
            url = without_signature(asked)
            yield Find(
                origin=Origin(
                    url=url,
                    page_url=without_session(page.url),
                    alt=image.alt,
                    **{**texts, "licence": texts["licence"] or UNKNOWN_LICENCE},
                ),
                refusal=FetchError("opted_out", refused) if refused else None,
                signed_url="" if url == asked else asked,
                shown_url="" if asked == shown else shown,
            )
