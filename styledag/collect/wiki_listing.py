"""Which files of a wiki a source names: by category, page, file, search, or all of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from styledag.collect.mediawiki_api import MediaWikiApi, SearchEndedError
from styledag.collect.settings import MediaWikiSource
from styledag.collect.wikitext import file_name, gallery_captions
from styledag.errors import FetchError
from styledag.manifest import Rejection

FILE, CATEGORY = 6, 14
"""Numbers of namespaces, the same on every wiki."""

_FILES_AN_ANSWER = "50"
_PAGES_AN_ANSWER = "20"
"""These come with their text."""

_IMAGE_INFO = {"prop": "imageinfo", "iiprop": "timestamp|url|size|sha1|mime|extmetadata"}
TEXT = {"rvprop": "content", "rvslots": "main"}
"""Asks for the pages' own text, of the property ``revisions``."""
_PAGE_INFO = {"prop": "images|info|revisions", "imlimit": "max", "inprop": "url", **TEXT}


@dataclass(frozen=True)
class Place:
    """A page that shows a file.

    Attributes:
        url: The page's address.
        shows_several: Whether it shows further files.
        caption: What a gallery on it says of the file.
    """

    url: str
    title: str
    shows_several: bool
    caption: str = ""

    def title_of(self, own_title: str) -> str:
        """Return what the file is to be called: the page's title is that of its only image."""
        return self.caption or (own_title if self.shows_several else self.title)


class WikiListing:
    """The files that a source names, and where they are shown.

    Attributes:
        files: Each file's page with its ``imageinfo``, by title.
        rejected: Categories and pages that the wiki has not, or that are empty.
        notes: One line a category: what was found in it, and what to set to find more.
    """

    def __init__(self, source: MediaWikiSource, api: MediaWikiApi) -> None:
        self.files: dict[str, Mapping[str, Any]] = {}
        self.rejected: list[Rejection] = []
        self.notes: list[str] = []
        self._source = source
        self._api = api
        self._listed: set[str] = set()
        self._shown_on: dict[str, list[Place]] = {}

    def place_of(self, title: str) -> Place | None:
        """Return the page that says most of a file; ``None`` for its own.

        That is the first, by address, that has a caption for it; then the file's own page if the
        file is listed itself; then a page that shows it alone.
        """
        places = sorted(
            self._shown_on.get(title, ()),
            key=lambda place: (not place.caption, place.shows_several, place.url),
        )
        if not places or (title in self._listed and not places[0].caption):
            return None
        return places[0]

    def read(self, advance: Callable[[int], None]) -> None:
        """Ask the wiki for all that the source names.

        Raises:
            SourceError: If the wiki cannot be asked.
        """
        source = self._source
        names = Namespaces(self._api) if source.categories or source.files else None
        if names is not None:
            titles = [names.prefixed(title, CATEGORY, "Category") for title in source.categories]
            self._read_categories(titles, advance)
            files = [names.prefixed(title, FILE, "File") for title in source.files]
            self._list(self._api.pages_titled(files, **_IMAGE_INFO))
        self._read_pages(source.pages)
        for words in source.search:
            question = {"generator": "search", "gsrsearch": words, "gsrnamespace": str(FILE)}
            self._list_generated(words, question, "gsrlimit")
            advance(1)
        if source.all_images:
            self._list_generated("all_images", {"generator": "allimages"}, "gailimit")
        self._look_up_shown()

    def _read_categories(self, titles: Sequence[str], advance: Callable[[int], None]) -> None:
        found = self._api.pages_titled(titles, prop="categoryinfo")
        waiting = [(page, 0) for page in found]
        seen = {str(page["title"]) for page, _ in waiting}
        # A category may contain itself, by way of others too: each is read once.
        for page, depth in waiting:
            below = self._read_category(page, depth)
            advance(1)
            for each in below:
                if str(each["title"]) not in seen:
                    seen.add(str(each["title"]))
                    waiting.append((each, depth + 1))

    def _read_category(self, page: Mapping[str, Any], depth: int) -> list[Mapping[str, Any]]:
        """Read a category's own files and pages; return its subcategories if they are wanted."""
        title, info = str(page["title"]), page.get("categoryinfo", {})
        if ("missing" in page and not info) or "invalid" in page:
            self._reject(title, "category_missing", "the wiki has no such category")
            return []
        files = self._list(self._api.pages(**_members(title, "file"), **_IMAGE_INFO))
        pages = self._show(self._api.pages(**_members(title, "page"), **_PAGE_INFO))
        below: list[Mapping[str, Any]] = []
        if depth < self._source.subcategories:
            below = list(self._api.pages(**_members(title, "subcat"), prop="categoryinfo"))
        subcategories = len(below) or int(info.get("subcats", 0))
        counts = f"{files} files, {pages} pages, {subcategories} subcategories"
        if subcategories and not below:
            counts += f": set subcategories: {depth + 1} to read these too"
        self.notes.append(f"{title}: {counts}")
        if not files and not pages and not below:
            self._reject(title, "category_empty", counts)
        return below

    def _read_pages(self, titles: Sequence[str]) -> None:
        pages = list(self._api.pages_titled(titles, **_PAGE_INFO))
        for page in pages:
            if "missing" in page or "invalid" in page:
                detail = str(page.get("invalidreason") or "the wiki has no such page")
                self._reject(str(page["title"]), "page_missing", detail)
            elif not page.get("images"):
                self._reject(str(page["title"]), "no_image_on_page", "the page shows no file")
        self._show(pages)

    def _list_generated(self, name: str, question: Mapping[str, str], limit: str) -> None:
        parameters = {**question, limit: _FILES_AN_ANSWER}
        most = self._source.fetch.max_images
        files: list[Mapping[str, Any]] = []
        wanted, is_cut = 0, False
        try:
            # A wiki may list millions: no more are asked for than may be taken.
            for file in self._api.pages(**parameters, **_IMAGE_INFO):
                is_cut = wanted >= most
                if is_cut:
                    self._reject(name, "over_max_images", f"max_images is {most}; more are listed")
                    break
                files.append(file)
                wanted += name_refusal(self._source, str(file["title"])) is None and _is_image(file)
        except SearchEndedError as exc:
            is_cut = True
            detail = f"the wiki lists no more of its results: {exc}; search for more exact words"
            self._reject(name, "search_ended", detail)
        count = self._list(files)
        if not is_cut:
            self.notes.append(f"{name}: {count} files")
        if not count:
            self._reject(name, "nothing_listed", "the wiki lists no file for it")

    def _list(self, files: Iterable[Mapping[str, Any]]) -> int:
        """Note files that are listed themselves; return how many."""
        before = len(self._listed)
        titles = [self._note(file) for file in files]
        self._listed.update(titles)
        return max(len(self._listed) - before, len(titles))

    def _note(self, file: Mapping[str, Any]) -> str:
        title = str(file["title"])
        # A file that several lists name has the same image information in each.
        if "imageinfo" not in self.files.get(title, ()):
            self.files[title] = file
        return title

    def _show(self, pages: Iterable[Mapping[str, Any]]) -> int:
        """Note the files that are shown on pages; return how many pages."""
        count = 0
        for page in pages:
            count += 1
            images = [str(image["title"]) for image in page.get("images", ())]
            captions = gallery_captions(page_text(page))
            for title in images:
                place = Place(
                    url=str(page.get("fullurl", "")),
                    title=str(page["title"]),
                    shows_several=len(images) > 1,
                    caption=captions.get(file_name(title), ""),
                )
                places = self._shown_on.setdefault(title, [])
                if place not in places:
                    places.append(place)
        return count

    def _look_up_shown(self) -> None:
        """Ask for the files that are known by a page's word alone, under their own titles."""
        unknown = sorted(set(self._shown_on) - set(self.files))
        for file in self._api.pages_titled(unknown, **_IMAGE_INFO):
            title = self._note(file)
            for other in file["asked_as"]:
                self._shown_on.setdefault(title, []).extend(self._shown_on.pop(other, ()))

    def _reject(self, subject: str, reason: str, detail: str) -> None:
        self.rejected.append(Rejection(subject=subject, reason=reason, detail=detail))
        if reason != "category_empty":
            self.notes.append(f"{subject}: {detail}")


def name_refusal(source: MediaWikiSource, title: str) -> FetchError | None:
    """Return why a file is not wanted by its name, whatever its case and its blanks are."""
    names = [_folded(title), _folded(title.partition(":")[2])]

    def matches(patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(name, _folded(each)) for each in patterns for name in names)

    if matches(source.exclude):
        return FetchError("excluded", "the name matches exclude")
    if source.include and not matches(source.include):
        return FetchError("not_included", "the name matches nothing under include")
    return None


def _is_image(file: Mapping[str, Any]) -> bool:
    info: Mapping[str, Any] = next(iter(file.get("imageinfo", ())), {})
    return str(info.get("mime", "image/")).startswith("image/")


class Namespaces:
    """The names that a wiki gives to its namespaces, in its own language too."""

    def __init__(self, api: MediaWikiApi) -> None:
        answer = api.query(meta="siteinfo", siprop="namespaces|namespacealiases").get("query", {})
        self._numbers: dict[str, int] = {}
        known = answer.get("namespaces", {})
        spaces = list(known.values() if isinstance(known, dict) else known)
        for space in (*spaces, *answer.get("namespacealiases", ())):
            for key in ("*", "name", "canonical", "alias"):
                if key in space:
                    self._numbers[_folded(str(space[key]))] = int(space["id"])

    def prefixed(self, title: str, number: int, canonical: str) -> str:
        """Return a title in a namespace, which it may name already; a colon alone is no name."""
        return title if self.number(title) == number else f"{canonical}:{title}"

    def number(self, title: str) -> int:
        """Return the number of the namespace that a title is in; 0 if it names none."""
        prefix, colon, _ = title.partition(":")
        return self._numbers.get(_folded(prefix), 0) if colon else 0


def _folded(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()


def _members(category: str, kind: str) -> dict[str, str]:
    return {
        "generator": "categorymembers",
        "gcmtitle": category,
        "gcmtype": kind,
        "gcmlimit": _PAGES_AN_ANSWER if kind == "page" else _FILES_AN_ANSWER,
    }


def page_text(page: Mapping[str, Any]) -> str:
    """Return a page's wikitext, whichever version of MediaWiki wrapped it up."""
    revision: Mapping[str, Any] = next(iter(page.get("revisions", ())), {})
    slots = revision.get("slots")
    content = slots.get("main", {}) if isinstance(slots, dict) else revision
    return str(content.get("content", content.get("*", "")))
