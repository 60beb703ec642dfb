"""A source from an address alone: a wiki by its API, a category or page of it, or a web site."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from styledag.collect.folder import count_images
from styledag.collect.mediawiki_api import MediaWikiApi
from styledag.collect.settings import FetchSettings
from styledag.collect.web.addresses import checked_addresses, checked_url, parts_of
from styledag.collect.web.client import Client, forgetful_client
from styledag.collect.web.dialling import proxy_of
from styledag.collect.web.html_page import HtmlPage
from styledag.collect.web.refresh import page_read
from styledag.collect.wiki_listing import CATEGORY, FILE, Namespaces
from styledag.errors import FetchError, SourceDownError, SourceError, WikiRefusedError
from styledag.models.hub import ask_hub

logger = logging.getLogger("styledag.collect")

_TIMEOUT_S = 20.0
_API = ("api.php", "w/api.php")
"""Where a wiki's API is, below its address, if no page says so."""
_ARTICLE = re.compile(r"/(?:wiki/|index\.php)")
_MADE_BY_MEDIAWIKI = "meta[name=generator][content^=MediaWiki], body.mediawiki"
_MADE_BY_WORDPRESS = "link[rel='https://api.w.org/'], meta[name=generator][content^=WordPress]"
_WORDPRESS_POSTS: Mapping[str, str] = {
    "item_link": ".entry-title a, .wp-block-post-title a",
    "next_page": "a.next, a.wp-block-query-pagination-next",
}
_WORDPRESS_IMAGES: Mapping[str, Any] = {
    "image": ".entry-content img:not(.wp-smiley), img.wp-post-image",
    "originals": True,
}
"""Selectors that themes share, since WordPress's own functions and blocks give these classes."""
_LINKED_IMAGES = ", ".join(
    f"a[href$='.{end}' i]" for end in ("jpg", "jpeg", "png", "webp", "gif", "tif", "tiff", "avif")
)
_LINKED_PAGES = f"a[href]:has(img):not({_LINKED_IMAGES})"
_SELECTORS = "see docs/sources.md for lists of pages and selectors."
_HUB_DATASET = re.compile(
    r"(?:https?://(?:www\.)?(?:huggingface\.co|hf\.co)|hf:/)/datasets/"
    r"([\w.-]+(?:/[\w.-]+)?)(?:/(?:tree|blob)/([^/?#]+))?"
)
_COLUMNS = "Reads the columns image and text, unless image: and caption: name others."
_FILES = {
    "archive": (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2"),
    "urls": (".csv", ".tsv", ".jsonl", ".parquet", ".txt"),
}
"""Types of sources that are one file, by its ending."""
_CATEGORIES_ASKED = "500"
_CATEGORIES_SHOWN = 12


@dataclass(frozen=True)
class Discovered:
    """A source that was found at an address.

    Attributes:
        source: Its keys as a style file writes them.
        remarks: Lines for the person who edits the file.
        images: How many images it has; ``None`` where only a run can tell.
    """

    source: Mapping[str, Any]
    remarks: tuple[str, ...] = ()
    images: int | None = None


def discover_source(address: str, *, project: Path) -> Discovered:
    """Return the source that an address leads to, after a few questions to its server.

    Args:
        address: URL of a wiki, of its API, of a page or category of it, of another web site, or
            of a dataset on the Hub; or a folder, an archive or a list of URLs, relative to the
            project.
        project: Folder of the project.

    Raises:
        SourceError: If there is nothing at the address, or it does not answer.
        ModelError: If the Hub does not answer, or has no such dataset.
    """
    if dataset := _HUB_DATASET.match(address):
        path, revision = dataset.groups()
        stated = ask_hub(path, revision, "dataset").commit
        return Discovered({"type": "dataset", "path": path, "revision": stated}, (_COLUMNS,))
    if "://" not in address:
        return _on_the_disk(address, project / address)
    try:
        parts = checked_url(address)
        host = parts.hostname or ""
        fetch = FetchSettings(timeout_s=_TIMEOUT_S, delay_s=0, retries=1)
        own = _private(address, host, parts.port or 443)
        if own:
            # Whoever names an address of the own network means it.
            fetch = FetchSettings(
                timeout_s=_TIMEOUT_S, delay_s=0, retries=1, allow_private_hosts=(host,)
            )
        with forgetful_client(fetch, host, project) as client:
            found = _asked(address, client)
    except FetchError as exc:
        raise SourceError(
            f"{address} cannot be read: {exc.detail} ({exc.reason}); check the address"
        ) from exc
    if own:
        manners = {"delay_s": 0, "allow_private_hosts": [host]}
        return Discovered({**found.source, "fetch": manners}, found.remarks)
    return found


def _on_the_disk(address: str, path: Path) -> Discovered:
    if path.is_file():
        kind = next((kind for kind, ends in _FILES.items() if address.lower().endswith(ends)), "")
        if kind:
            return Discovered({"type": kind, "path": address})
    if not path.is_dir():
        raise SourceError(
            f"{address} is no URL such as https://example.org, no folder, archive or list of URLs "
            f"in {path.parent}, and no dataset such as hf://datasets/owner/name"
        )
    count = count_images(path)
    if not count:
        raise SourceError(f"no file in folder {address} is an image by its content")
    return Discovered({"type": "folder", "path": address}, images=count)


def _private(address: str, host: str, port: int) -> bool:
    try:
        if proxy_of(address) is None:
            checked_addresses(host, port)
    except FetchError as exc:
        if exc.reason != "private_address":
            raise
        return True
    return False


def _asked(address: str, client: Client) -> Discovered:
    if parts_of(address).path.endswith("/api.php"):
        return _wiki(address.partition("?")[0], "", client)
    page: HtmlPage | None = None
    refused: FetchError | None = None
    try:
        page = HtmlPage(page_read(client, address))
    except FetchError as exc:
        refused = exc
    for api in _apis(address, page):
        try:
            return _wiki(api, address, client)
        except (SourceDownError, WikiRefusedError):
            # There is a wiki: its pages as a visitor sees them would be those of a login.
            raise
        except SourceError as exc:
            logger.debug("%s: %s", api, exc)
    if page is None:
        raise refused or FetchError("invalid_url", "there is no page")
    return _site(address, page, client)


def _site(address: str, page: HtmlPage, client: Client) -> Discovered:
    source: dict[str, Any] = {"type": "html", "start": [address]}
    posts = _WORDPRESS_POSTS if page.has(_WORDPRESS_POSTS["item_link"]) else {}
    if page.has(_MADE_BY_WORDPRESS) and (posts or page.has(_WORDPRESS_IMAGES["image"])):
        remark = "Takes the images of WordPress's posts, as most themes mark them"
        return Discovered({**source, **posts, **_WORDPRESS_IMAGES}, (f"{remark}; {_SELECTORS}",))
    # In place of thumbnails, and of the icons of a listing of files.
    linked, shown = page.links(_LINKED_IMAGES), page.images("img")
    if len(linked) >= max(len(shown) / 2, 1) and _is_image(linked[0], page, client):
        remark = "Takes the images that this page links to"
        return Discovered({**source, "image": _LINKED_IMAGES}, (f"{remark}; {_SELECTORS}",))
    if not shown:
        raise SourceError(f"{address} is no wiki, and the page shows no image: give one that does")
    remarks = [f"Takes all images of this page; {_SELECTORS}"]
    if page.links(_LINKED_PAGES):
        remarks.append("Where they lead to pages that show them larger: item_link: a:has(img)")
    return Discovered({**source, "image": "img"}, tuple(remarks))


def _is_image(link: str, page: HtmlPage, client: Client) -> bool:
    """Return whether an address is an image: wikis name the pages about files after them."""
    try:
        client.image(link, referer=page.url)
    except FetchError:
        return False
    return True


def _apis(address: str, page: HtmlPage | None) -> list[str]:
    """Return where the API may be: where MediaWiki's pages say, or else where it usually is."""
    if page is not None:
        stated = [link.partition("?")[0] for link in page.links("link[rel=EditURI]")]
        if stated or not page.has(_MADE_BY_MEDIAWIKI):
            return stated
    parts = parts_of(address)
    # A wiki in another language may be below a folder: example.org/de/wiki/Fuchs.
    folder = _ARTICLE.split(parts.path, maxsplit=1)[0] if _ARTICLE.search(parts.path) else ""
    folders = dict.fromkeys((folder, ""))
    return [f"{parts.scheme}://{parts.netloc}{each}/{path}" for each in folders for path in _API]


def _wiki(url: str, address: str, client: Client) -> Discovered:
    """Return the source for a wiki: what the address names of it, or all its images."""
    api = MediaWikiApi(url, client)
    general = api.query(meta="siteinfo", siprop="general").get("query", {}).get("general", {})
    if "articlepath" not in general:
        raise SourceError(f"{url} is no MediaWiki API")
    title = _title(address, str(general["articlepath"]))
    source: dict[str, Any] = {"type": "mediawiki", "api": url}
    if title and title != str(general.get("mainpage", "")).replace("_", " "):
        number = Namespaces(api).number(title)
        key = {CATEGORY: "categories", FILE: "files"}.get(number, "pages")
        return Discovered({**source, key: [title]})
    remarks = (
        "Takes every image of the wiki, up to fetch.max_images. To take fewer, put in place",
    )
    return Discovered({**source, "all_images": True}, (*remarks, *_largest_categories(api)))


def _title(address: str, article_path: str) -> str:
    """Return the title of the page that an address of a wiki shows; empty if it names none."""
    parts = parts_of(address)
    asked = parse_qs(parts.query).get("title")
    before = article_path.partition("$1")[0]
    title = asked[0] if asked else ""
    if not title and before and parts.path.startswith(before) and "?" not in before:
        title = unquote(parts.path.removeprefix(before))
    return title.replace("_", " ").strip()


def _largest_categories(api: MediaWikiApi) -> list[str]:
    """Return lines that name the categories with the most files, of the first few hundred."""
    answer = api.query(
        list="allcategories", acprop="size", acmin="1", aclimit=_CATEGORIES_ASKED
    ).get("query", {})
    sizes = {
        str(each.get("category", each.get("*", ""))): int(each.get("files", 0))
        for each in answer.get("allcategories", ())
    }
    shown = sorted((-files, name) for name, files in sizes.items() if files)[:_CATEGORIES_SHOWN]
    if not shown:
        return ["of all_images: categories: [...] or pages: [...]"]
    lines = [f"  {name} ({-files} files)" for files, name in shown]
    return ["of all_images: categories: [...], with any of", *lines]
