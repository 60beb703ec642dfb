"""Licence, author and description of a wiki's files, from wherever they are stated.

First from the API's ``extmetadata``, then from the file's page. A file of a repository that several
wikis share, such as Commons, has its page there: what the wiki itself says is not about it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from styledag.collect.file_page import FilePage, read_file_page
from styledag.collect.mediawiki_api import MediaWikiApi
from styledag.collect.web.addresses import parts_of
from styledag.collect.web.rendered_text import plain_text
from styledag.collect.wiki_listing import TEXT, page_text
from styledag.errors import SourceError, may_pass

_LICENCE = ("LicenseShortName", "UsageTerms", "License")
_AUTHOR = ("Artist", "Attribution")
"""Not ``Credit``, which is where a file is from: "Own work" is nobody's name."""
_OWN = ("local", "")


@dataclass(frozen=True)
class WikiFile:
    """A file's page and its newest version."""

    page: Mapping[str, Any]
    info: Mapping[str, Any]

    @property
    def title(self) -> str:
        """Its title as the wiki spells it."""
        return str(self.page["title"])

    @property
    def name(self) -> str:
        """Its name without namespace."""
        return self.title.partition(":")[2]

    @property
    def repository(self) -> str:
        """The shared repository that it is in; empty for the wiki's own files."""
        name = str(self.page.get("imagerepository", ""))
        return "" if name in _OWN else name


def facts_of(
    files: Sequence[WikiFile], api: MediaWikiApi, notes: list[str]
) -> Mapping[str, FilePage]:
    """Return what is known of files, by title.

    Args:
        files: The files.
        api: The wiki that lists them.
        notes: Gets a line for each shared repository that cannot be asked.

    Raises:
        SourceError: If the wiki cannot be asked, or a shared repository cannot for now.
    """
    facts = {file.title: _stated(file.info) for file in files}
    lacking = [
        file for file in files if not (facts[file.title].licence and facts[file.title].author)
    ]
    own = [file.title for file in lacking if not file.repository]
    for page in api.pages_titled(own, prop="revisions", **TEXT):
        title = str(page["title"])
        facts[title] = _filled(facts.get(title, FilePage()), read_file_page(page_text(page)))
    shared: dict[str, list[WikiFile]] = {}
    for file in lacking:
        if file.repository:
            shared.setdefault(file.repository, []).append(file)
    places = _repositories(api) if shared else {}
    for repository, those in sorted(shared.items()):
        there = places.get(repository) or _usual_place(those[0])
        try:
            found = _asked_there(those, api.at(there))
        except SourceError as exc:
            if may_pass(exc):
                raise
            notes.append(
                f"{len(those)} files are in the shared repository {repository}, whose API at "
                f"{there} does not say under which licence: {exc}"
            )
            continue
        for title, stated in found.items():
            facts[title] = _filled(facts[title], stated)
    return facts


def _stated(info: Mapping[str, Any]) -> FilePage:
    return FilePage(
        description=_metadata(info, "ImageDescription"),
        author=_metadata(info, *_AUTHOR),
        licence=_metadata(info, *_LICENCE),
    )


def _filled(known: FilePage, further: FilePage) -> FilePage:
    return FilePage(
        description=known.description or further.description,
        author=known.author or further.author,
        licence=known.licence or further.licence,
    )


def _asked_there(files: Sequence[WikiFile], api: MediaWikiApi) -> dict[str, FilePage]:
    """Return what a shared repository says of files, by the title that the wiki gives them."""
    titles = {f"File:{file.name}": file.title for file in files}
    found: dict[str, FilePage] = {}
    question = {"prop": "imageinfo|revisions", "iiprop": "extmetadata", **TEXT}
    for page in api.pages_titled(sorted(titles), **question):
        info: Mapping[str, Any] = next(iter(page.get("imageinfo", ())), {})
        facts = _filled(_stated(info), read_file_page(page_text(page)))
        for name in (str(page["title"]), *page["asked_as"]):
            if name in titles:
                found[titles[name]] = facts
    return found


def _repositories(api: MediaWikiApi) -> Mapping[str, str]:
    """Return the APIs of the shared repositories by name, as far as the wiki states them."""
    found = api.query(meta="filerepoinfo").get("query", {}).get("repos", ())
    places: dict[str, str] = {}
    for each in found:
        place = each.get("apiurl")
        if not place and each.get("scriptDirUrl"):
            place = f"{each['scriptDirUrl']}/api.php"
        if place:
            with suppress(ValueError):  # a setting of the wiki that is no address
                places[str(each.get("name"))] = urljoin(api.url, str(place))
    return places


def _usual_place(file: WikiFile) -> str:
    """Return where the API usually is, beside the page that describes a file."""
    parts = parts_of(str(file.info.get("descriptionurl", "")))
    return f"{parts.scheme or 'https'}://{parts.netloc}/w/api.php"


def _metadata(info: Mapping[str, Any], *names: str) -> str:
    """Return the first of some entries that says anything, as text."""
    metadata = info.get("extmetadata")
    # An empty extmetadata comes as a list, even in format version 2.
    entries: Mapping[str, Any] = metadata if isinstance(metadata, dict) else {}
    texts: Iterator[str] = (
        plain_text(str((entries.get(name) or {}).get("value", ""))) for name in names
    )
    return next((text for text in texts if text), "")
