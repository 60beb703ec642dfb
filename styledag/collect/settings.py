"""What a style file says of its sources."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from styledag.settings import StrictSettings, setting

AGENT = "styledag"
"""The name by which robots.txt and pages may address us."""

CONTENT_USAGE = "content-usage"
"""How ``opt_outs`` names the header and robots.txt line ``Content-Usage: train-ai=n``."""


@dataclass(frozen=True, kw_only=True)
class FetchSettings(StrictSettings):
    """Manners and limits of one source over HTTP."""

    contact: str = setting(
        "",
        identity=False,
        help="Address in the User-Agent by which a site's owner can reach you; polite to give.",
    )
    delay_s: float = setting(
        1.0, ge=0, identity=False, help="Least seconds between two requests to one host."
    )
    timeout_s: float = setting(
        30.0, gt=0, identity=False, help="Most seconds that one request may take in all."
    )
    retries: int = setting(
        3, ge=0, le=10, identity=False, help="Further tries after 429, 5xx or a broken connection."
    )
    max_pages: int = setting(1_000, ge=1, help="Most pages to read.")
    max_images: int = setting(10_000, ge=1, help="Most images to take.")
    max_total_bytes: int = setting(
        50_000_000_000, ge=1, help="Most bytes of images to take in all."
    )
    max_minutes: float = setting(
        1_440.0,
        gt=0,
        identity=False,
        help="Most minutes that reading the source may take; after that nothing is published, and "
        "the next run fetches the rest.",
    )
    max_image_bytes: int = setting(50_000_000, ge=1, help="An image larger than this is rejected.")
    max_page_bytes: int = setting(5_000_000, ge=1, help="A page larger than this is refused.")
    gone: tuple[str, ...] = setting(
        (),
        help="URL patterns such as https://old.example.org/* that may stay unreachable: their "
        "failures are counted, where any other server error or timeout stops the source.",
    )
    opt_outs: tuple[str, ...] = setting(
        ("noai", "noimageai", "noindex", "noimageindex", CONTENT_USAGE),
        help="Directives of X-Robots-Tag, <meta name=robots> and, as content-usage, of "
        "Content-Usage: train-ai=n, that keep an image from being used; [] obeys none.",
    )
    headers: Mapping[str, str] = setting(
        default_factory=dict,
        identity=False,
        help="Further request headers for the source's own hosts; ${NAME} in a value stands for "
        "an environment variable, so that no secret is in the style file.",
    )
    cookies: str | None = setting(
        None,
        identity=False,
        help="File of cookies in Netscape's format, relative to the project, as browser "
        "extensions and curl write it.",
    )
    referer: bool = setting(
        True,
        identity=False,
        help="Whether to name the page that shows an image when asking for it.",
    )
    user_agent: str = setting(
        "",
        identity=False,
        help="User-Agent in place of styledag's own, which names the program and the contact.",
    )
    allow_private_hosts: tuple[str, ...] = setting(
        (), identity=False, help="Host names on private or loopback addresses that may be asked."
    )


@dataclass(frozen=True, kw_only=True)
class NearImage(StrictSettings):
    """A text that belongs to one image of a page, such as a figure's caption, or to all of them."""

    near: str | None = setting(
        None,
        help="CSS selector of the text, looked for in the image's element and then in those "
        "around it, as long as these show no other image.",
    )
    attribute: str | None = setting(
        None, help="Attribute to read in place of the text; the image's own if near is left out."
    )
    text: str = setting(
        "",
        help="Text of all images, such as their licence, or of those for which nothing is found.",
    )

    def __post_init__(self) -> None:
        if self.near is None and self.attribute is None and not self.text:
            raise ValueError("name a selector under near, an attribute, or a text")


TextOf = str | NearImage | None
"""A CSS selector of a text on the page, or a text near each image, or one that is stated here."""


@dataclass(frozen=True, kw_only=True)
class HtmlSource(StrictSettings):
    """Any web site, read page by page: lists of links, their next pages, and image pages."""

    type: Literal["html"] = setting(help="A web site.")
    start: tuple[str, ...] = setting(min_length=1, help="URLs of the pages to begin at.")
    next_page: str | None = setting(
        None, help="CSS selector of the link from one list page to the next."
    )
    item_link: str | None = setting(
        None,
        help="CSS selector of links from a list page to image pages; without it, images are "
        "taken from the start pages themselves.",
    )
    image: str = setting(
        "img",
        help="CSS selector of the images on an image page; may select links to the full images.",
    )
    image_attribute: str | None = setting(
        None,
        help="Attribute of these that has the address of the full image, such as data-zoom-image; "
        "where it is missing, and if left out, the largest of what browsers would show.",
    )
    originals: bool = setting(
        False,
        help="Whether to take the file that a thumbnail of MediaWiki, Fandom, WordPress or "
        "DokuWiki, or a copy scaled by Next.js, Cloudflare or Photon, was made from; the copy if "
        "there is none.",
    )
    title: TextOf = setting(
        "h1", help="CSS selector of the title on an image page, or {near: ...} of each image."
    )
    caption: TextOf = setting(
        default_factory=lambda: NearImage(near="figcaption"), help="What is said of the image."
    )
    description: TextOf = setting(None, help="The description on an image page.")
    licence: TextOf = setting(None, help="The licence on an image page.")
    author: TextOf = setting(None, help="The author on an image page.")
    fetch: FetchSettings = setting(default_factory=FetchSettings, help="Manners and limits.")

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.start[0]


@dataclass(frozen=True, kw_only=True)
class MediaWikiSource(StrictSettings):
    """A wiki that runs MediaWiki, such as Wikipedia, Commons or a Fandom wiki, by its API."""

    type: Literal["mediawiki"] = setting(help="A MediaWiki site.")
    api: str = setting(help="URL of api.php; on Fandom https://NAME.fandom.com/api.php.")
    categories: tuple[str, ...] = setting(
        (), help="Categories whose files, and whose pages' files, are taken."
    )
    subcategories: int = setting(
        0, ge=0, le=20, help="How many levels of subcategories to read below these."
    )
    pages: tuple[str, ...] = setting((), help="Pages whose files are taken.")
    files: tuple[str, ...] = setting((), help="Files by name, such as Red fox.png.")
    search: tuple[str, ...] = setting((), help="Words to search files by.")
    all_images: bool = setting(False, help="Whether to take every image of the wiki.")
    include: tuple[str, ...] = setting(
        (),
        help="Patterns such as *.png of which a file's name has to match one; case is ignored.",
    )
    exclude: tuple[str, ...] = setting(
        (),
        help="Patterns such as *icon* of which a file's name may match none; case is ignored.",
    )
    svg_width_px: int = setting(
        1_024, ge=1, le=5_120, help="Width of the wiki's own PNG rendering that stands for an SVG."
    )
    licence: str = setting("unknown", help="Licence of files for which the wiki states none.")
    author: str = setting("", help="Author of files for which the wiki states none.")
    fetch: FetchSettings = setting(default_factory=FetchSettings, help="Manners and limits.")

    def __post_init__(self) -> None:
        super().__post_init__()
        named = (self.categories, self.pages, self.files, self.search, self.all_images)
        if not any(named):
            raise ValueError("name categories, pages, files or search, or set all_images: true")

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.api


@dataclass(frozen=True, kw_only=True)
class FolderSource(StrictSettings):
    """Images that are on the disk already, in any tree of folders."""

    type: Literal["folder"] = setting(help="A folder on the disk.")
    path: str = setting(min_length=1, help="The folder, relative to the project.")
    licence: str = setting("unknown", help="Licence of all the images in it.")
    author: str = setting("", help="Author of all the images in it.")
    max_image_bytes: int = setting(50_000_000, ge=1, help="An image larger than this is rejected.")

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.path


@dataclass(frozen=True, kw_only=True)
class UrlsSource(StrictSettings):
    """A list of images' addresses in a file: .csv, .tsv, .jsonl, .parquet, or .txt."""

    type: Literal["urls"] = setting(help="A list of images' addresses.")
    path: str = setting(min_length=1, help="The list, relative to the project.")
    url: str = setting("url", help="Column of the addresses.")
    caption: str = setting("caption", help="Column of what is said of the image, if there is one.")
    title: str = setting("title", help="Column of the titles, if there is one.")
    alt: str = setting("alt", help="Column of the alternative texts, if there is one.")
    page_url: str = setting(
        "page_url", help="Column of the pages that show the images, if there is one."
    )
    licence_column: str = setting("licence", help="Column of the licences, if there is one.")
    author_column: str = setting("author", help="Column of the authors, if there is one.")
    licence: str = setting("unknown", help="Licence of images for which the list names none.")
    author: str = setting("", help="Author of images for which the list names none.")
    fetch: FetchSettings = setting(default_factory=FetchSettings, help="Manners and limits.")

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.path


@dataclass(frozen=True, kw_only=True)
class ArchiveSource(StrictSettings):
    """Images in a zip or tar archive, or in the shards of a WebDataset."""

    type: Literal["archive"] = setting(help="An archive: zip, tar, or WebDataset's shards.")
    path: str = setting(
        min_length=1, help="The archive, relative to the project, or a pattern such as data/*.tar."
    )
    licence: str = setting("unknown", help="Licence of all the images in it.")
    author: str = setting("", help="Author of all the images in it.")
    max_image_bytes: int = setting(50_000_000, ge=1, help="An image larger than this is rejected.")

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.path


@dataclass(frozen=True, kw_only=True)
class DatasetSource(StrictSettings):
    """A Hugging Face dataset with a column of images, in a folder or on the Hub."""

    type: Literal["dataset"] = setting(help="A Hugging Face dataset.")
    path: str = setting(
        min_length=1, help="Folder relative to the project, or name on the Hub such as owner/name."
    )
    revision: str | None = setting(None, help="Commit on the Hub; a folder needs none.")
    config: str | None = setting(None, help="Configuration, for a dataset that has several.")
    split: str = setting("train", help="Split to read.")
    image: str = setting("image", help="Column of the images.")
    caption: str = setting("text", help="Column of what is said of the image, if there is one.")
    licence_column: str = setting("licence", help="Column of the licences, if there is one.")
    author_column: str = setting("author", help="Column of the authors, if there is one.")
    licence: str = setting("unknown", help="Licence of images for which the dataset names none.")
    author: str = setting("", help="Author of images for which the dataset names none.")
    max_images: int = setting(100_000, ge=1, help="Most images to take.")
    max_image_bytes: int = setting(50_000_000, ge=1, help="An image larger than this is rejected.")

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.path if self.revision is None else f"{self.path}@{self.revision}"


SourceSettings = (
    HtmlSource | MediaWikiSource | FolderSource | UrlsSource | ArchiveSource | DatasetSource
)
