"""A double of MediaWiki's api.php that speaks its JSON, with continuation and its errors."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from styledag.collect.collect import collect_images
from styledag.collect.mediawiki import _original
from styledag.collect.records import RawImage
from styledag.collect.settings import FetchSettings, MediaWikiSource
from styledag.errors import SourceError
from styledag.manifest import Manifest
from styledag.store.workspace import Workspace
from styledag_tests.collect.servers import PNG, Reply, Route, Site, image, page, serving

FETCH = FetchSettings(delay_s=0, retries=2, timeout_s=5, allow_private_hosts=("127.0.0.1",))


Api = Callable[["WikiSite", Mapping[str, str]], Any]


class WikiSite(Site):
    """Answers /api.php by a function of the question, and anything else by its routes."""

    def __init__(self, api: Api) -> None:
        super().__init__({})
        self.api = api
        self.questions: list[Mapping[str, str]] = []

    def answer(self, path: str) -> Reply:
        parts = urlsplit(path)
        if parts.path != "/api.php":
            return super().answer(path)
        question = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.questions.append(question)
        found = self.api(self, question)
        if isinstance(found, Reply):
            return found
        return Reply(json.dumps(found).encode(), content_type="application/json; charset=utf-8")


def file_page(site: Site, name: str, **info: Any) -> dict[str, Any]:
    return {
        "pageid": abs(hash(name)) % 10_000,
        "ns": 6,
        "title": f"File:{name}",
        "imagerepository": "local",
        "imageinfo": [
            {
                "size": len(PNG),
                "width": 1,
                "height": 1,
                "url": f"{site.url}/images/{name.replace(' ', '_')}",
                "descriptionurl": f"{site.url}/wiki/File:{name.replace(' ', '_')}",
                "sha1": hashlib.sha1(PNG).hexdigest(),
                "mime": "image/png",
                "extmetadata": {
                    "LicenseShortName": {"value": "CC BY-SA 4.0", "source": "commons"},
                    "Artist": {"value": '<a href="//x">Ada</a> &amp; Bob'},
                    "ImageDescription": {"value": "<p>A red   apple</p>"},
                },
                **info,
            }
        ],
    }


def collect(site: Site, workspace: Workspace, **changes: Any) -> Manifest[RawImage]:
    settings = {"categories": ("Fruit",), "fetch": FETCH, **changes}
    source = MediaWikiSource(type="mediawiki", api=f"{site.url}/api.php", **settings)
    return collect_images([source], workspace, project=Path())


def fruit(site: WikiSite, question: Mapping[str, str]) -> Any:
    """Answer as a wiki with two files in the category and a page that shows three."""
    if question.get("gcmtype") == "file":
        if "gcmcontinue" not in question:
            return {
                "batchcomplete": True,
                "continue": {"gcmcontinue": "file|42|7", "continue": "gcmcontinue||"},
                "query": {"pages": [file_page(site, "Red apple.png")]},
            }
        assert question["continue"] == "gcmcontinue||"
        bare = file_page(site, "Pear.png", extmetadata=[])
        return {"batchcomplete": True, "query": {"pages": [bare]}}
    if question.get("gcmtype") == "page":
        pear = {"pageid": 1, "ns": 0, "title": "Pears", "fullurl": f"{site.url}/wiki/Pears"}
        shown = [{"ns": 6, "title": f"File:{name}"} for name in ("Pear.png", "Lost.png")]
        if "imcontinue" not in question:
            return {
                "continue": {"imcontinue": "1|Song.ogg", "continue": "||info"},
                "query": {"pages": [{**pear, "images": shown}]},
            }
        song = [{"ns": 6, "title": "File:Song.ogg"}]
        return {"batchcomplete": True, "query": {"pages": [{**pear, "images": song}]}}
    assert set(question["titles"].split("|")) == {"File:Pear.png", "File:Lost.png", "File:Song.ogg"}
    return {
        "batchcomplete": True,
        "query": {
            "pages": [
                {"ns": 6, "title": "File:Lost.png", "missing": True},
                file_page(site, "Pear.png"),
                file_page(site, "Song.ogg", mime="application/ogg"),
            ]
        },
    }


def served(api: Api) -> AbstractContextManager[Site]:
    routes: dict[str, Route] = {
        "/robots.txt": Reply(b"User-agent: *\nDisallow: /api.php\n"),
        "/images/Red_apple.png": image(),
        "/images/Pear.png": image(),
    }
    return serving(routes, WikiSite(api))


def test_files_and_pages_files_are_collected_with_their_licence(workspace: Workspace) -> None:
    with served(fruit) as site:
        manifest = collect(site, workspace)
    assert manifest.facts == {
        "found": 4,
        "kept": 2,
        "rejected_file_missing": 1,
        "rejected_not_an_image": 1,
    }
    pear, apple = sorted(manifest.rows, key=lambda row: row.origin.title)
    assert apple.origin.title == "Red apple"
    assert apple.origin.licence == "CC BY-SA 4.0"
    assert apple.origin.author == "Ada & Bob"
    assert apple.origin.description == "A red apple"
    assert apple.origin.page_url == f"{site.url}/wiki/File:Red_apple.png"
    assert pear.origin.licence == "unknown"
    assert all(question["maxlag"] == "5" for question in site.questions)
    assert workspace.work["downloads"] == 2


def test_files_whose_sha1_is_known_are_not_asked_for(workspace: Workspace) -> None:
    with served(fruit) as site:
        first = collect(site, workspace)
        workspace.work.clear()
        assert collect(site, workspace) == first
    assert workspace.work["downloads"] == 0
    assert site.asked["/images/Pear.png"] == 1


def test_a_repeated_continuation_ends_the_list(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    def endless(site: WikiSite, question: Mapping[str, str]) -> Any:
        pages = [file_page(site, "Pear.png")] if question.get("gcmtype") == "file" else []
        return {"continue": {"gcmcontinue": "same"}, "query": {"pages": pages}}

    with served(endless) as site:
        assert len(collect(site, workspace).rows) == 1
    assert len(site.questions) == 4
    assert "repeats the continuation" in caplog.text


def test_a_lagging_wiki_is_asked_again(workspace: Workspace) -> None:
    def lagging(site: WikiSite, question: Mapping[str, str]) -> Any:
        if len(site.questions) == 1:
            error = {"code": "maxlag", "info": "Waiting for 10.0.0.1: 6 seconds lagged", "lag": 6}
            body = json.dumps({"error": error}).encode()
            return Reply(body, content_type="application/json", headers={"Retry-After": "0"})
        return fruit(site, question)

    with served(lagging) as site:
        assert len(collect(site, workspace).rows) == 2


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"error": {"code": "badvalue", "info": "Unrecognized value"}}, "badvalue: Unrecognized"),
        (page("<p>hello"), "not JSON: give the address of the wiki's api.php"),
        ([], "does not answer as MediaWiki"),
        (Reply(b"", 404), "cannot be read: .*http_404"),
        ({"batchcomplete": True}, "categories 'Fruit' of .* hold a file"),
    ],
)
def test_what_is_wrong_with_an_api_is_said(workspace: Workspace, reply: Any, expected: str) -> None:
    def api(site: Site, question: Mapping[str, str]) -> Any:
        return reply

    with (
        served(api) as site,
        pytest.raises(SourceError, match=re.compile(expected)),
    ):
        collect(site, workspace)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "https://static.wikia.nocookie.net/x/a.png/revision/latest?cb=1",
            "https://static.wikia.nocookie.net/x/a.png/revision/latest?cb=1&format=original",
        ),
        (
            "https://static.wikia.nocookie.net/x/a.png",
            "https://static.wikia.nocookie.net/x/a.png?format=original",
        ),
        (
            "https://upload.wikimedia.org/wikipedia/commons/a/a9/A.png",
            "https://upload.wikimedia.org/wikipedia/commons/a/a9/A.png",
        ),
    ],
)
def test_fandoms_images_are_asked_for_as_uploaded(url: str, expected: str) -> None:
    assert _original(url) == expected
