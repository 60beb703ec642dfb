"""An address alone leads to a source that can be read as it is."""

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from styledag.collect.discover import discover_source
from styledag.collect.settings import HtmlSource
from styledag.errors import SourceError
from styledag.models.hub import HubAnswer
from styledag.store.workspace import Workspace
from styledag_tests.collect.servers import PNG, Reply, Route, Site, image, page, serving
from styledag_tests.collect.test_html import run
from styledag_tests.collect.wikis import VERSIONS, Category, WikiData, WikiFile, serving_wiki

MANNERS = {"delay_s": 0, "allow_private_hosts": ["127.0.0.1"]}


def data() -> WikiData:
    names = [f"{at}.png" for at in range(3)]
    return WikiData(
        files={name: WikiFile(body=PNG + name.encode()) for name in names},
        categories={"Small": Category(files=("0.png",)), "Large": Category(files=tuple(names))},
    )


def wiki_page(api: str) -> Reply:
    return page(f'<link rel="EditURI" type="application/rsd+xml" href="{api}?action=rsd"><p>A wiki')


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", {"all_images": True}),
        ("/api.php", {"all_images": True}),
        ("/wiki/Main_Page", {"all_images": True}),
        ("/wiki/Category:Red_foxes", {"categories": ["Category:Red foxes"]}),
        ("/wiki/Kategorie:F%C3%BCchse", {"categories": ["Kategorie:Füchse"]}),
        ("/index.php?title=Category:Foxes&action=view", {"categories": ["Category:Foxes"]}),
        ("/wiki/Image:Fox.png", {"files": ["Image:Fox.png"]}),
        ("/wiki/Tales:_One", {"pages": ["Tales: One"]}),
    ],
)
def test_an_address_of_a_wiki(
    path: str, expected: dict[str, object], version: str, tmp_path: Path
) -> None:
    wiki = data()
    wiki.language = "Kategorie"
    with serving_wiki(wiki, version) as site:
        site.routes[path] = wiki_page("/api.php")
        found = discover_source(f"{site.url}{path}", project=tmp_path)
    assert found.source == {
        "type": "mediawiki",
        "api": f"{site.url}/api.php",
        **expected,
        "fetch": MANNERS,
    }
    if "all_images" in expected:
        assert [line.strip() for line in found.remarks[-2:]] == [
            "Large (3 files)",
            "Small (1 files)",
        ]


def test_a_wiki_whose_pages_are_closed_is_found_by_its_usual_address(tmp_path: Path) -> None:
    with serving_wiki(data()) as site:
        site.routes["/robots.txt"] = Reply(b"User-agent: *\nDisallow: /")
        found = discover_source(f"{site.url}/wiki/Category:Large", project=tmp_path)
    assert found.source["categories"] == ["Category:Large"]


def test_a_closed_wiki_below_a_folder_is_not_taken_for_the_one_above(tmp_path: Path) -> None:
    with serving_wiki(data()) as site:
        site.routes["/robots.txt"] = Reply(b"User-agent: *\nDisallow: /")
        site.below = "/de"
        found = discover_source(f"{site.url}/de/wiki/Category:Large", project=tmp_path)
    assert found.source["api"] == f"{site.url}/de/api.php"
    assert found.source["categories"] == ["Category:Large"]


def test_another_site_is_read_by_selectors(tmp_path: Path) -> None:
    with serving({"/gallery": page('<img src="a.png">'), "/a.png": image()}) as site:
        found = discover_source(f"{site.url}/gallery", project=tmp_path)
    assert found.source["type"] == "html"
    assert found.source["start"] == [f"{site.url}/gallery"]
    assert "docs/sources.md" in found.remarks[0]


@pytest.mark.parametrize(
    ("body", "linked", "remarks"),
    [
        # Python's http.server and nginx
        ('<ul><li><a href="a.png">a.png</a><li><a href="B.JPG">B.JPG</a>', True, 1),
        # Apache, which shows an icon for each file
        ('<td><img src="/icons/image2.gif"><td><a href="a.png">a.png</a>' * 2, True, 1),
        # a gallery of thumbnails that a script enlarges, such as sigal's
        ('<a href="a.png"><img src="t/a.png"></a>', True, 1),
        # thumbnails that lead to pages, such as llgal's
        ('<a href="1.html"><img src="t/a.png"></a>', False, 2),
        ('<img src="a.png"><img src="b.png"><img src="c.png"><a href="d.png">one</a>', False, 1),
        # thumbnails that lead to pages about files, as of DokuWiki and closed wikis
        ('<a href="detail.php?media=a.png"><img src="t/a.png"></a>', False, 1),
    ],
)
def test_what_a_page_links_to_is_taken_in_place_of_thumbnails_and_icons(
    body: str, linked: bool, remarks: int, tmp_path: Path
) -> None:
    routes: dict[str, Route] = {"/": page(body), "/a.png": image()}
    routes["/detail.php?media=a.png"] = page("about a.png")
    with serving(routes) as site:
        found = discover_source(f"{site.url}/", project=tmp_path)
    assert str(found.source["image"]).startswith("a[href$='.jpg' i]") == linked
    assert len(found.remarks) == remarks


HEAD = '<link rel="https://api.w.org/" href="/wp-json/">'
POST = """<div class="entry-content wp-block-post-content">
<figure class="wp-block-image">
<img src="/wp-content/uploads/%s-300x200.jpg" class="wp-image-7"></figure>
<img class="wp-smiley" src="/smile.png"></div>
<article class="comment-body"><img class="avatar" src="/avatar.png"></article>"""


@pytest.mark.parametrize(
    ("link", "following"),
    [
        ('<h2 class="entry-title"><a href="/%s">', '<a class="next page-numbers" href="/page/2/">'),
        (
            '<h2 class="wp-block-post-title"><a href="/%s">',
            '<a class="wp-block-query-pagination-next" href="/page/2/">',
        ),
    ],
)
def test_the_posts_of_wordpress_are_followed_to_the_original_files(
    link: str, following: str, workspace: Workspace, tmp_path: Path
) -> None:
    routes: dict[str, Route] = {
        "/": page(HEAD + link % "one" + "</a></h2>" + following),
        "/page/2/": page(HEAD + link % "two"),
        "/one": page(HEAD + POST % "one"),
        "/two": page(HEAD + POST % "two"),
        "/wp-content/uploads/one.jpg": image(PNG + b"one"),
        "/wp-content/uploads/two.jpg": image(PNG + b"two"),
    }
    with serving(routes) as site:
        found = discover_source(f"{site.url}/", project=tmp_path)
        alone = discover_source(f"{site.url}/one", project=tmp_path)
        site.routes["/about"] = page(HEAD + "<img src=/me.jpg>")
        other = discover_source(f"{site.url}/about", project=tmp_path)
        source = TypeAdapter(HtmlSource).validate_json(json.dumps(found.source))
        manifest = run([source], workspace, tmp_path)
    assert [row.origin.url for row in manifest.rows] == [
        f"{site.url}/wp-content/uploads/one.jpg",
        f"{site.url}/wp-content/uploads/two.jpg",
    ]
    assert "item_link" not in alone.source
    assert other.source["image"] == "img"


def test_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "below"
    folder.mkdir(parents=True)
    for name in ("a.png", "b", ".hidden.png"):
        (folder / name).write_bytes(PNG)
    (folder / "a.txt").write_text("a caption")
    found = discover_source("mine", project=tmp_path)
    assert found.source == {"type": "folder", "path": "mine"}
    assert found.images == 2


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("theirs", "no URL such as .*, no folder, archive or list of URLs in .*, and no dataset"),
        ("ftp://example.org/x", "scheme_refused"),
        ("http://127.0.0.1:1/", "connection_failed"),
        ("http://no-such-host.invalid/", "host_not"),
    ],
)
def test_what_is_not_there_is_said(address: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=expected):
        discover_source(address, project=tmp_path)


def test_a_page_without_images_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    with serving({"/text": page("Words")}) as site:
        with pytest.raises(SourceError, match="is no wiki, and the page shows no image"):
            discover_source(f"{site.url}/text", project=tmp_path)
        with pytest.raises(SourceError, match="http_404"):
            discover_source(f"{site.url}/nowhere", project=tmp_path)


@pytest.mark.parametrize("code", ["readapidenied", "maxlag"])
def test_a_wiki_that_does_not_answer_now_is_no_other_site(tmp_path: Path, code: str) -> None:
    error = json.dumps({"error": {"code": code, "info": "no"}}).encode()
    routes = {"/wiki/Fox": wiki_page("/api.php")}

    class Closed(Site):
        def answer(self, path: str) -> Reply:
            return Reply(error) if path.startswith("/api.php") else super().answer(path)

    with serving(routes, Closed({})) as site, pytest.raises(SourceError, match=f"{code}: no"):
        discover_source(f"{site.url}/wiki/Fox", project=tmp_path)


def test_a_wiki_whose_pages_do_not_name_the_api_is_known_by_its_generator(tmp_path: Path) -> None:
    with serving_wiki(data()) as site:
        made_by = '<meta name="generator" content="MediaWiki 1.39.4"><img src="/logo.png">'
        site.routes["/wiki/Category:Foxes"] = page(made_by)
        found = discover_source(f"{site.url}/wiki/Category:Foxes", project=tmp_path)
    assert (found.source["type"], found.source["categories"]) == ("mediawiki", ["Category:Foxes"])


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://huggingface.co/datasets/owner/name", ("owner/name", None)),
        ("https://huggingface.co/datasets/owner/name/tree/main/data", ("owner/name", "main")),
        ("https://huggingface.co/datasets/mnist?row=3", ("mnist", None)),
        ("hf://datasets/owner/na-me_1.0", ("owner/na-me_1.0", None)),
    ],
)
def test_a_dataset_on_the_hub_is_pinned_and_its_page_not_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    expected: tuple[str, str | None],
) -> None:
    asked: list[tuple[str | None, ...]] = []

    def ask(path: str, revision: str | None, kind: str) -> HubAnswer:
        asked.append((path, revision, kind))
        return HubAnswer(COMMIT, frozenset())

    monkeypatch.setattr("styledag.collect.discover.ask_hub", ask)
    found = discover_source(address, project=tmp_path)
    assert found.source == {"type": "dataset", "path": expected[0], "revision": COMMIT}
    assert asked == [(*expected, "dataset")]


@pytest.mark.parametrize(
    ("name", "kind"), [("a.zip", "archive"), ("a.TAR.GZ", "archive"), ("deep/urls.csv", "urls")]
)
def test_a_file_is_an_archive_or_a_list(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"")
    assert discover_source(name, project=tmp_path).source == {"type": kind, "path": name}


def test_a_folder_without_an_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "drawing.svg").write_text("<svg/>")
    with pytest.raises(SourceError, match="no file in folder mine is an image"):
        discover_source("mine", project=tmp_path)
