"""A MediaWiki API in the shapes of 1.19, 1.26, 1.39 and 1.43, with small limits.

Written after MediaWiki's own ``ApiQuery``, ``ApiContinuationManager`` and ``ApiQueryImageInfo``:
which continuation comes when, what a page looks like before its turn, and how formats differ.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from styledag_tests.collect.servers import PNG, Reply, Route, Site, image, serving

VERSIONS = ("1.19", "1.26", "1.39", "1.43")

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class WikiFile:
    """A file, and the wikitext of its page; its older versions come after it, or by themselves.

    One of a shared repository has no page here.
    """

    body: bytes = PNG
    text: str = ""
    mime: str = "image/png"
    metadata: Mapping[str, str] = field(default_factory=dict)
    older: int = 0
    repository: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Category:
    """Names of what is in a category, without namespace."""

    files: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    subcats: tuple[str, ...] = ()


@dataclass(kw_only=True)
class WikiData:
    """What a wiki holds.

    Attributes:
        pages: Wikitext by title; ``[[File:..]]`` and gallery lines are found by ``shows``.
        shows: Files on each page.
        redirects: Titles that lead to others.
        repositories: Addresses of shared repositories' APIs, by name.
        limit: Most pages a generator gives, and most properties' items in one answer.
        most_results: Results of a search behind which CirrusSearch refuses to go.
    """

    files: dict[str, WikiFile] = field(default_factory=dict)
    categories: dict[str, Category] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    shows: dict[str, tuple[str, ...]] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    repositories: dict[str, str] = field(default_factory=dict)
    limit: int = 2
    most_results: int = 10_000
    language: str = "Category"


class WikiSite(Site):
    """Answers /api.php as a version of MediaWiki does, and serves the files."""

    def __init__(self, data: WikiData, version: str) -> None:
        super().__init__({})
        self.data = data
        self.version = tuple(map(int, version.split(".")))
        self.questions: list[Mapping[str, str]] = []
        self.below = ""

    def answer(self, path: str) -> Reply:
        """Return what the wiki answers to a path."""
        parts = urlsplit(path)
        if parts.path != f"{self.below}/api.php":
            return super().answer(path)
        question = {
            name: values[0]
            for name, values in parse_qs(parts.query, keep_blank_values=True).items()
        }
        self.questions.append(question)
        if int(question.get("gsroffset", 0)) >= self.data.most_results:
            error = {"code": "cirrussearch-offset-too-large", "info": "Up to some are supported"}
            return Reply(json.dumps({"error": error}).encode(), content_type="application/json")
        answer = _Answer(self, question).whole()
        return Reply(json.dumps(answer).encode(), content_type="application/json; charset=utf-8")


@contextmanager
def serving_wiki(data: WikiData, version: str = "1.43") -> Iterator[WikiSite]:
    """Serve a wiki whose robots.txt closes the API to crawlers, as most wikis' do."""
    site = WikiSite(data, version)
    routes: dict[str, Route] = {"/robots.txt": Reply(b"User-agent: *\nDisallow: /api.php\n")}
    for name, file in data.files.items():
        routes[f"/images/{name}".replace(" ", "_")] = Reply(file.body, content_type=file.mime)
        routes[f"/thumb/{name}.png".replace(" ", "_")] = image(PNG + name.encode())
    with serving(routes, site):
        yield site


class _Answer:
    def __init__(self, site: WikiSite, question: Mapping[str, str]) -> None:
        self._site = site
        self._data = site.data
        self._ask = question
        self._new = question.get("formatversion") == "2" and site.version >= (1, 25)
        # The continuation of today is asked for before 1.26, and not known at all before 1.21.
        self._continues = site.version >= (1, 26) or (
            "continue" in question and site.version >= (1, 21)
        )
        self._left: dict[str, Json] = {}
        self._next: Json = {}

    def whole(self) -> Json:
        if self._ask.get("meta") == "siteinfo":
            return {"query": self._siteinfo()}
        if self._ask.get("meta") == "filerepoinfo":
            repos = [{"name": "local", "local": True}]
            repos += [
                {"name": name, "apiurl": url} for name, url in self._data.repositories.items()
            ]
            return {"query": {"repos": repos}}
        if self._ask.get("list") == "allcategories":
            return {"query": {"allcategories": self._all_categories()}}
        query: Json = {}
        titles = self._titles(query)
        pages = [self._page(title) for title in titles]
        skipped = self._ask.get("continue", "").partition("||")[2].split("|")
        for prop in self._ask.get("prop", "").split("|"):
            if prop not in skipped or not self._continues:
                getattr(self, f"_{prop}")(titles, pages)
        if pages:
            query["pages"] = self._formatted(pages)
        return {**self._continuation(), "query": query}

    def _siteinfo(self) -> Json:
        name = "name" if self._new else "*"
        spaces = {
            "0": {"id": 0, name: ""},
            "6": {"id": 6, name: "File", "canonical": "File"},
            "14": {"id": 14, name: self._data.language, "canonical": "Category"},
        }
        alias = {"id": 6, "alias" if self._new else "*": "Image"}
        general = {"mainpage": "Main Page", "articlepath": f"{self._site.below}/wiki/$1"}
        return {"general": general, "namespaces": spaces, "namespacealiases": [alias]}

    def _all_categories(self) -> list[Json]:
        name = "category" if self._new else "*"
        return [
            {name: title, "files": len(category.files), "pages": len(category.pages)}
            for title, category in self._data.categories.items()
        ]

    def _titles(self, query: Json) -> list[str]:
        if "generator" in self._ask:
            return self._generated()
        titles = []
        for asked in self._ask["titles"].split("|"):
            if asked.startswith("w:"):
                query.setdefault("interwiki", []).append({"title": asked, "iw": "w"})
                continue
            title = asked.replace("_", " ")
            if title != asked:
                query.setdefault("normalized", []).append({"from": asked, "to": title})
            if title in self._data.redirects:
                to = self._data.redirects[title]
                query.setdefault("redirects", []).append({"from": title, "to": to})
                title = to
            if title not in titles:
                titles.append(title)
        return titles

    def _generated(self) -> list[str]:
        kind = self._ask["generator"]
        if kind == "categorymembers":
            name = self._ask["gcmtitle"].partition(":")[2]
            category = self._data.categories.get(name, Category())
            members = {
                "file": [f"File:{each}" for each in category.files],
                "page": list(category.pages),
                "subcat": [f"Category:{each}" for each in category.subcats],
            }[self._ask["gcmtype"]]
            key = "gcmcontinue"
        elif kind == "search":
            word = self._ask["gsrsearch"].lower()
            members = [f"File:{name}" for name in self._data.files if word in name.lower()]
            key = "gsroffset"
        else:
            members = [f"File:{name}" for name in self._data.files]
            key = "gaifrom" if self._site.version < (1, 20) else "gaicontinue"
        asked = self._ask.get(key, "")
        start = int(asked) if asked.isdecimal() else 0
        if start + self._data.limit < len(members):
            self._next = {kind: {key: str(start + self._data.limit)}}
        return members[start : start + self._data.limit]

    def _page(self, title: str) -> Json:
        space = {"File": 6, "Category": 14}.get(title.partition(":")[0], 0)
        page: Json = {"ns": space, "title": title}
        name = title.partition(":")[2]
        own = {name: each for name, each in self._data.files.items() if not each.repository}
        known = {0: self._data.pages, 6: own, 14: self._data.categories}[space]
        if (title if space == 0 else name) in known:
            page["pageid"] = int(hashlib.sha1(title.encode()).hexdigest()[:6], 16)
        else:
            page["missing"] = True if self._new else ""
        return page

    def _formatted(self, pages: list[Json]) -> Any:
        if self._new:
            return pages
        return {str(page.get("pageid", -at - 1)): page for at, page in enumerate(pages)}

    def _imageinfo(self, titles: list[str], pages: list[Json]) -> None:
        """Give the first few files their information; ask for the rest by ``iicontinue``."""
        done, start = 0, self._ask.get("iicontinue", "").partition("|")[0]
        for title, page in sorted(zip(titles, pages, strict=True), key=lambda each: each[0]):
            if title < start:
                continue
            if done == self._data.limit - 1:
                self._left["imageinfo"] = {"iicontinue": f"{title}|20200101000000"}
                return
            file = self._data.files.get(title.partition(":")[2])
            if file is None:
                page["imagerepository"] = ""
                continue
            done += 1
            page["imagerepository"] = file.repository or "local"
            page["imageinfo"] = [self._version(title, file, self._ask.get("iistart"))]
            if file.older and len(titles) == 1 and self._ask.get("iistart") != "2000":
                self._left["imageinfo"] = {"iistart": "2000"}

    def _version(self, title: str, file: WikiFile, start: str | None) -> Json:
        name = title.partition(":")[2].replace(" ", "_")
        info: Json = {
            "timestamp": "2020-01-01T00:00:00Z" if start is None else f"{start}-01-01T00:00:00Z",
            "size": len(file.body),
            "width": 1,
            "height": 1,
            "url": f"{self._site.url}/images/{name}" if start is None else f"{self._site.url}/old",
            "descriptionurl": f"{self._site.url}/wiki/File:{name}",
            "sha1": hashlib.sha1(file.body).hexdigest(),
            "mime": file.mime,
        }
        if "iiurlwidth" in self._ask:
            info["thumburl"] = f"{self._site.url}/thumb/{name}.png"
        if "extmetadata" in self._ask["iiprop"] and self._site.version >= (1, 23):
            info["extmetadata"] = {
                key: {"value": value, "source": "x"} for key, value in file.metadata.items()
            } or []
        return {**info, **file.info}

    def _images(self, titles: list[str], pages: list[Json]) -> None:
        shown = [
            (title, name, page)
            for title, page in zip(titles, pages, strict=True)
            for name in self._data.shows.get(title, ())
        ]
        start = int(self._ask.get("imcontinue", "0"))
        for _, name, page in shown[start : start + self._data.limit]:
            page.setdefault("images", []).append({"ns": 6, "title": f"File:{name}"})
        if start + self._data.limit < len(shown):
            self._left["images"] = {"imcontinue": str(start + self._data.limit)}

    def _info(self, titles: list[str], pages: list[Json]) -> None:
        for title, page in zip(titles, pages, strict=True):
            page["fullurl"] = f"{self._site.url}/wiki/{title.replace(' ', '_')}"

    def _revisions(self, titles: list[str], pages: list[Json]) -> None:
        key = "content" if self._new else "*"
        for title, page in zip(titles, pages, strict=True):
            file = self._data.files.get(title.partition(":")[2])
            text = self._data.pages.get(title) if file is None else file.text
            if text is not None and not (file and file.repository):
                content = {key: text}
                has_slots = self._site.version >= (1, 32) and "rvslots" in self._ask
                page["revisions"] = [{"slots": {"main": content}} if has_slots else content]

    def _categoryinfo(self, titles: list[str], pages: list[Json]) -> None:
        for title, page in zip(titles, pages, strict=True):
            category = self._data.categories.get(title.partition(":")[2])
            if category is not None:
                page["categoryinfo"] = {
                    "files": len(category.files),
                    "pages": len(category.pages),
                    "subcats": len(category.subcats),
                }

    def _continuation(self) -> Json:
        if not self._continues:
            both = {**self._left, **self._next}
            return {"query-continue": both} if both else {}
        finished = [each for each in self._ask.get("prop", "").split("|") if each not in self._left]
        if self._left:
            here = {name: self._ask[name] for name in self._ask if name.endswith(_GENERATED)}
            keys = "|".join(here)
            more = {
                **_flat(self._left.values()),
                **here,
                "continue": f"{keys}||{'|'.join(finished)}",
            }
            return {"continue": more}
        complete: Json = {}
        if self._site.version >= (1, 25):
            complete = {"batchcomplete": True if self._new else ""}
        if not self._next:
            return complete
        more = _flat(self._next.values())
        return {**complete, "continue": {**more, "continue": f"{'|'.join(more)}||"}}


_GENERATED = ("gcmcontinue", "gsroffset", "gaifrom", "gaicontinue")


def _flat(parts: Iterable[Json]) -> Json:
    return {name: value for part in parts for name, value in part.items()}
