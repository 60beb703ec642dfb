"""A wiki of any version gives each of its files once, whole, and says where the others are."""

import json
from pathlib import Path
from typing import Any

import pytest

from styledag.collect.collect import NOTES, collect_images
from styledag.collect.records import RawImage
from styledag.collect.settings import FetchSettings, MediaWikiSource
from styledag.errors import SourceError
from styledag.manifest import Manifest
from styledag.store.digest import LOG_FOLDER
from styledag.store.workspace import Workspace
from styledag_tests.collect.servers import PNG, Reply, Site, serving
from styledag_tests.collect.wikis import (
    VERSIONS,
    Category,
    WikiData,
    WikiFile,
    WikiSite,
    serving_wiki,
)

FETCH = FetchSettings(delay_s=0, retries=2, timeout_s=60, allow_private_hosts=("127.0.0.1",))
COMMONS = {
    "LicenseShortName": "CC BY-SA 4.0",
    "Artist": 'A. Painter<span style="display: none;">creator QS:P170,Q1</span>',
    "ImageDescription": "<p>A tower</p><p>at night<br>in rain</p>",
}


def file(mark: str, **changes: Any) -> WikiFile:
    return WikiFile(body=PNG + mark.encode(), **changes)


def collect(site: Site, workspace: Workspace, **changes: Any) -> Manifest[RawImage]:
    settings = {"fetch": FETCH, **changes}
    if not set(changes) & {"pages", "files", "search", "all_images"}:
        settings.setdefault("categories", ("Fruit",))
    source = MediaWikiSource(type="mediawiki", api=f"{site.url}/api.php", **settings)
    return collect_images([source], workspace, project=Path())


def notes(workspace: Workspace) -> str:
    return (workspace.folder / LOG_FOLDER / NOTES).read_text()


def titles(manifest: Manifest[RawImage]) -> list[str]:
    return sorted(row.origin.title for row in manifest.rows)


def fruit() -> WikiData:
    """A category of seven files and three pages, which show some of them, and a lost one."""
    names = [f"Fruit {at}.png" for at in range(7)]
    return WikiData(
        files={name: file(name, metadata=COMMONS, older=2) for name in names},
        categories={"Fruit": Category(files=tuple(names), pages=("Pear", "Apple", "Plum"))},
        pages={"Pear": "", "Apple": "", "Plum": ""},
        shows={"Pear": (names[0], "Lost.png"), "Apple": (*names[1:4],), "Plum": (names[6],)},
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("limit", [2, 3, 50])
def test_every_file_is_taken_once_whatever_the_version_and_its_limits(
    workspace: Workspace, version: str, limit: int
) -> None:
    data = fruit()
    data.limit = limit
    with serving_wiki(data, version) as site:
        manifest = collect(site, workspace)
    assert manifest.facts == {"found": 8, "kept": 7, "rejected_file_missing": 1}
    assert [row.subject for row in manifest.rejected] == ["File:Lost.png"]
    assert sorted(row.origin.url for row in manifest.rows) == [
        f"{site.url}/images/Fruit_{at}.png" for at in range(7)
    ]
    assert workspace.work["downloads"] == 7
    first = manifest.rows[0].origin
    knows = version != "1.19"
    assert first.licence == ("CC BY-SA 4.0" if knows else "unknown")
    assert first.author == ("A. Painter" if knows else "")
    assert first.description == ("A tower at night in rain" if knows else "")
    assert "Category:Fruit: 7 files, 3 pages, 0 subcategories" in notes(workspace)


def test_files_whose_sha1_is_known_are_not_asked_for(workspace: Workspace) -> None:
    with serving_wiki(fruit()) as site:
        first = collect(site, workspace)
        workspace.work.clear()
        assert collect(site, workspace) == first
    assert set(workspace.work) == {"questions"}
    assert site.asked["/images/Fruit_0.png"] == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_older_versions_are_neither_taken_nor_asked_for(workspace: Workspace, version: str) -> None:
    data = WikiData(
        files={"A.png": file("a", older=400)}, categories={"Fruit": Category(files=("A.png",))}
    )
    with serving_wiki(data, version) as site:
        [row] = collect(site, workspace).rows
    assert row.origin.url.endswith("/images/A.png")
    assert len(site.questions) <= 6


@pytest.mark.parametrize("version", VERSIONS)
def test_subcategories_are_read_to_the_depth_asked_for_and_each_once(
    workspace: Workspace, version: str
) -> None:
    data = WikiData(
        files={f"{name}.png": file(name) for name in "abcd"},
        categories={
            "Fruit": Category(subcats=("B", "C", "Fruit")),
            "B": Category(files=("b.png",), subcats=("D", "Fruit")),
            "C": Category(files=("c.png", "b.png"), subcats=("D",)),
            "D": Category(files=("d.png",)),
        },
    )
    with serving_wiki(data, version) as site:
        with pytest.raises(
            SourceError, match=r"0 files, 0 pages, 3 subcat.*: set subcategories: 1"
        ):
            collect(site, workspace)
        assert titles(collect(site, workspace, subcategories=1)) == ["b", "c"]
        assert "Category:B: 1 files, 0 pages, 2 subcategories: set subcategories: 2" in notes(
            workspace
        )
        assert titles(collect(site, workspace, subcategories=9)) == ["b", "c", "d"]
    asked = [q["gcmtitle"] for q in site.questions[-40:] if q.get("gcmtype") == "file"]
    assert len({title for title in asked if title == "Category:D"}) == 1


def test_an_empty_and_a_missing_category_are_counted(workspace: Workspace) -> None:
    data = fruit()
    data.categories["Empty"] = Category()
    with serving_wiki(data) as site:
        manifest = collect(site, workspace, categories=("Fruit", "Empty", "Nowhere"))
    assert {row.subject: row.reason for row in manifest.rejected} == {
        "File:Lost.png": "file_missing",
        "Category:Empty": "category_empty",
        "Category:Nowhere": "category_missing",
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("named", "asked"),
    [
        ("Tales: Volume One", "Category:Tales: Volume One"),
        ("Category:Tales: Volume One", "Category:Tales: Volume One"),
        ("category:Tales: Volume One", "category:Tales: Volume One"),
        ("Kategorie:Tales: Volume One", "Kategorie:Tales: Volume One"),
    ],
)
def test_a_colon_alone_makes_no_namespace(
    workspace: Workspace, version: str, named: str, asked: str
) -> None:
    tales = Category(files=("a.png",))
    data = WikiData(
        files={"a.png": file("a")}, categories={"Tales: Volume One": tales}, language="Kategorie"
    )
    with serving_wiki(data, version) as site:
        collect(site, workspace, categories=(named,))
    assert asked in {question.get("titles") for question in site.questions}


@pytest.mark.parametrize("version", VERSIONS)
def test_pages_files_search_and_all_images(workspace: Workspace, version: str) -> None:
    data = fruit()
    data.redirects = {"Pears": "Pear", "File:Old name.png": "File:Fruit 5.png"}
    with serving_wiki(data, version) as site:
        assert titles(collect(site, workspace, pages=("Pears",))) == ["Fruit 0"]
        found = collect(site, workspace, files=("Old_name.png", "Image:X.png", "File:Fruit 4.png"))
        assert titles(found) == ["Fruit 4", "Fruit 5"]
        assert [row.reason for row in found.rejected] == ["file_missing"]
        assert titles(collect(site, workspace, search=("fruit 3",))) == ["Fruit 3"]
        assert len(collect(site, workspace, all_images=True).rows) == 7
        some = collect(site, workspace, all_images=True, include=("Fruit*",), exclude=("*[3-6].*",))
    assert titles(some) == ["Fruit 0", "Fruit 1", "Fruit 2"]
    assert some.facts["rejected_excluded"] == 4


def test_a_missing_page_is_counted(workspace: Workspace) -> None:
    data = fruit()
    data.pages["Bare"] = "no image"
    with serving_wiki(data) as site:
        found = collect(site, workspace, pages=("Plum", "Nowhere", "Bare", "w:Fox"))
    assert {row.subject: row.reason for row in found.rejected} == {
        "Nowhere": "page_missing",
        "Bare": "no_image_on_page",
        "w:Fox": "page_missing",
    }
    assert "on another wiki" in notes(workspace)


@pytest.mark.parametrize("version", VERSIONS)
def test_titles_and_captions_follow_from_what_a_page_shows(
    workspace: Workspace, version: str
) -> None:
    gallery = (
        "<gallery mode=packed>\nFile:fox_red.png|A '''red''' [[Fox|fox]], <b>s</b>itting|alt=x\n"
        "Image:Owl.png\n</gallery> <!-- <gallery>\nFile:Owl.png|no\n</gallery> -->"
    )
    data = WikiData(
        files={name: file(name) for name in ("Fox red.png", "Owl.png", "Elk.png")},
        categories={"Fruit": Category(pages=("Animals", "The elk"))},
        pages={"Animals": gallery, "The elk": "[[File:Elk.png]]"},
        shows={"Animals": ("Fox red.png", "Owl.png"), "The elk": ("Elk.png",)},
    )
    with serving_wiki(data, version) as site:
        rows = collect(site, workspace).rows
    assert {row.origin.alt: (row.origin.title, row.origin.caption) for row in rows} == {
        "Fox red": ("A red fox, sitting", "A red fox, sitting"),
        "Owl": ("Owl", ""),
        "Elk": ("The elk", ""),
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_an_svg_is_taken_by_the_wikis_own_rendering(workspace: Workspace, version: str) -> None:
    drawn = WikiFile(body=b"<svg/>", mime="image/svg+xml", metadata=COMMONS)
    names = [f"Drawn {at}.svg" for at in range(5)]
    data = WikiData(
        files={**dict.fromkeys(names, drawn), "b.png": file("b")},
        categories={"Fruit": Category(files=(*names, "b.png"))},
    )
    with serving_wiki(data, version) as site:
        manifest = collect(site, workspace, svg_width_px=640)
    assert manifest.facts == {"found": 6, "kept": 6}
    assert [row.origin.url for row in manifest.rows][-1] == f"{site.url}/thumb/Drawn_4.svg.png"
    assert {q["iiurlwidth"] for q in site.questions if "iiurlwidth" in q} == {"640"}
    assert manifest.rows[-1].origin.title == "Drawn 4"


def test_what_the_wiki_says_of_a_file_spares_asking_for_it(workspace: Workspace) -> None:
    data = WikiData(
        files={
            "a.png": file("a"),
            "song.ogg": WikiFile(mime="application/ogg"),
            "huge.png": WikiFile(info={"size": 10**9}),
            "drawn.svg": WikiFile(mime="image/svg+xml", info={"thumburl": ""}),
            "native.svg": WikiFile(
                mime="image/svg+xml", info={"thumburl": "http://x.org/images/Native.SVG?1a2b"}
            ),
            "book.djvu": WikiFile(mime="image/vnd.djvu"),
        },
    )
    data.categories["Fruit"] = Category(files=tuple(data.files))
    with serving_wiki(data) as site:
        facts = collect(site, workspace).facts
        assert not site.asked["/images/book.djvu"]
    assert facts == {
        "found": 6,
        "kept": 1,
        "rejected_not_an_image": 1,
        "rejected_too_large": 1,
        "rejected_unsupported_format": 3,
    }


def test_the_sources_own_licence_stands_where_the_wiki_has_none(workspace: Workspace) -> None:
    data = fruit()
    data.files["Fruit 1.png"] = file("bare")
    with serving_wiki(data) as site:
        assert {row.origin.licence for row in collect(site, workspace).rows} == {
            "CC BY-SA 4.0",
            "unknown",
        }
        assert "1 images have no licence and 1 no author" in notes(workspace)
        rows = collect(site, workspace, licence="CC0", author="Ada").rows
    [bare] = [row.origin for row in rows if row.origin.licence != "CC BY-SA 4.0"]
    assert (bare.licence, bare.author) == ("CC0", "Ada")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_files_page_says_what_the_api_does_not(workspace: Workspace, version: str) -> None:
    page_of_file = "{{Information|author=[[User:Ann|Ann]]}}\n== Licensing ==\n{{CC0}}"
    data = WikiData(
        files={
            **{f"{at}.png": file(str(at), text=page_of_file) for at in range(5)},
            "told.png": file("told", text=page_of_file, metadata=COMMONS),
            "bare.png": file("bare"),
        },
    )
    with serving_wiki(data, version) as site:
        rows = collect(site, workspace, all_images=True, licence="GFDL", author="Bob").rows
    said = {row.origin.title: (row.origin.licence, row.origin.author) for row in rows}
    told = ("CC0", "Ann") if version == "1.19" else ("CC BY-SA 4.0", "A. Painter")
    assert said.pop("told") == told
    assert said.pop("bare") == ("GFDL", "Bob")
    assert set(said.values()) == {("CC0", "Ann")}
    assert "no licence" not in notes(workspace)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_gallerys_caption_counts_wherever_else_the_file_is_listed(
    workspace: Workspace, version: str
) -> None:
    gallery = "<gallery>\nFile:Former.png|A red fox\nOwl.png\n</gallery>"
    data = WikiData(
        files={"Fox.png": file("fox"), "Owl.png": file("owl")},
        categories={"Fruit": Category(files=("Fox.png", "Owl.png"), pages=("Zoo",))},
        pages={"Zoo": gallery},
        # MediaWiki notes both a redirect and what it leads to as shown.
        shows={"Zoo": ("Fox.png", "Former.png", "Owl.png")},
        redirects={"File:Former.png": "File:Fox.png"},
    )
    with serving_wiki(data, version) as site:
        manifest = collect(site, workspace)
    assert titles(manifest) == ["A red fox", "Owl"]
    assert manifest.facts == {"found": 2, "kept": 2}


def test_a_file_that_is_hidden_or_lost_is_called_so(workspace: Workspace) -> None:
    files = {f"{name}.png": file(name) for name in ("A", "filehidden", "filemissing")}
    data = WikiData(files=files, categories={"Fruit": Category(files=tuple(files))}, limit=50)

    class Lossy(WikiSite):
        def answer(self, path: str) -> Reply:
            reply = super().answer(path)
            found = json.loads(reply.body) if path.startswith("/api.php") else {}
            for each in found.get("query", {}).get("pages", ()):
                name = each["title"][5:-4]
                if name in ("filehidden", "filemissing") and "imageinfo" in each:
                    each["imageinfo"] = [{name: True}]
            return Reply(json.dumps(found).encode()) if found else reply

    routes: dict[str, Any] = {"/images/A.png": Reply(PNG, content_type="image/png")}
    with serving(routes, Lossy(data, "1.43")) as site:
        manifest = collect(site, workspace)
    assert [row.detail for row in manifest.rejected] == [
        "the wiki hides its newest version",
        "the wiki has a page for it, but has lost the file",
    ]


def test_a_source_that_names_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="name categories, pages, files or search"):
        MediaWikiSource(type="mediawiki", api="https://example.org/api.php")
