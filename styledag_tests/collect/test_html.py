"""A web site is read page by page, and nothing of it is lost silently."""

import dataclasses
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from styledag.collect.collect import collect_images
from styledag.collect.records import RawImage
from styledag.collect.settings import FetchSettings, HtmlSource, NearImage
from styledag.collect.web import client
from styledag.demo.wiki import DemoWiki, serve_wiki
from styledag.errors import SourceError, StyleFileError
from styledag.manifest import Manifest
from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag_tests.collect.servers import PNG, Reply, Route, Site, image, page, serving

FETCH = FetchSettings(delay_s=0, retries=0, timeout_s=60, allow_private_hosts=("127.0.0.1",))


def wiki_source(wiki: DemoWiki, *categories: str) -> HtmlSource:
    return HtmlSource(
        type="html",
        start=tuple(f"{wiki.url}/category/{category}" for category in categories),
        next_page="a.next",
        item_link="a.item",
        image="img.artwork",
        description="p.description",
        licence="a.licence",
        author=".author",
        fetch=FETCH,
    )


def another(store: Store, tmp_path: Path, name: str) -> Workspace:
    folder = tmp_path / name / "artifact"
    folder.mkdir(parents=True)
    return Workspace(folder, folder.parent, store.blobs, store.items)


def site_source(url: str, **changes: object) -> HtmlSource:
    settings = {"item_link": "a.item", "next_page": "a.next", "fetch": FETCH, **changes}
    return HtmlSource(type="html", start=(f"{url}/",), **settings)  # type: ignore[arg-type]


def run(sources: Sequence[HtmlSource], workspace: Workspace, tmp_path: Path) -> Manifest[RawImage]:
    return collect_images(sources, workspace, project=tmp_path)


def test_the_wiki_is_collected_with_provenance(workspace: Workspace, tmp_path: Path) -> None:
    with serve_wiki(port=0, limit_per_category=30) as wiki:
        manifest = run([wiki_source(wiki, "animals", "clocks")], workspace, tmp_path)
        assert wiki.served[200, "image"] == 54
    assert manifest.facts == {"found": 54, "kept": 54}
    assert workspace.work == {"downloads": 54, "pages": 54 + 3, "questions": 1}
    assert Manifest.read(workspace.folder, RawImage) == manifest
    monkey = next(row for row in manifest.rows if row.origin.title == "Monkey")
    assert monkey.origin.page_url == f"{wiki.url}/wiki/monkey"
    assert monkey.origin.alt == "Monkey"
    assert monkey.origin.licence == "CC BY 4.0"
    assert "contributors" in monkey.origin.author
    assert "Animals & Nature" in monkey.origin.description
    assert (monkey.content_type, monkey.size_bytes) == (
        "image/png",
        len(workspace.blobs.read(monkey.sha256)),
    )


def test_a_second_run_receives_nothing_and_one_more_image_is_one_download(
    workspace: Workspace, store: Store, tmp_path: Path
) -> None:
    extra = tmp_path / "extra"
    with serve_wiki(port=0, limit_per_category=6, extra=extra) as wiki:
        source = wiki_source(wiki, "animals", "food")
        first = run([source], workspace, tmp_path)

        second = another(store, tmp_path, "second")
        wiki.served.clear()
        assert run([source], second, tmp_path) == first
        assert not second.work
        assert {status for status, _ in wiki.served} == {304}

        (extra / "animals").mkdir(parents=True)
        Image.new("RGB", (72, 72), "red").save(extra / "animals" / "red-panda.png")
        third = another(store, tmp_path, "third")
        grown = run([source], third, tmp_path)
        assert third.work == {"downloads": 1, "pages": 2}
        assert len(grown.rows) == len(first.rows) + 1


def test_each_failure_is_counted_under_its_reason(workspace: Workspace, tmp_path: Path) -> None:
    items = ["good", "gone", "forbidden", "robots", "bare", "fake", "large", "moved"]
    images = {name: f'<h1>{name}</h1><img src="/{name}.png">' for name in items}
    links = "".join(f'<a class="item" href="/{name}">x</a>' for name in items)
    routes: dict[str, Route] = {
        "/": page(links),
        "/robots.txt": Reply(b"User-agent: *\nDisallow: /robots.png\n"),
        **{f"/{name}": page(html) for name, html in images.items()},
        "/gone": Reply(b"", 404),
        "/bare": page("<h1>bare</h1>"),
        "/good.png": image(),
        "/forbidden.png": Reply(b"", 403),
        "/robots.png": image(),
        "/fake.png": page("<!doctype html><p>log in"),
        "/large.png": image(PNG + b"x" * 60_000_000),
        "/moved.png": Reply(b"", 302, headers={"Location": "http://169.254.169.254/x.png"}),
    }
    with serving(routes) as site:
        manifest = run([site_source(site.url)], workspace, tmp_path)
    assert manifest.facts == {
        "found": 8,
        "kept": 1,
        "rejected_http_403": 1,
        "rejected_http_404": 1,
        "rejected_no_image_on_page": 1,
        "rejected_not_an_image": 1,
        "rejected_private_address": 1,
        "rejected_robots_refused": 1,
        "rejected_too_large": 1,
    }
    assert manifest.rows[0].origin.licence == "unknown"
    assert {row.subject for row in manifest.rejected if row.reason == "http_404"} == {
        f"{site.url}/gone"
    }


def test_a_image_on_two_pages_counts_once_for_the_first(
    workspace: Workspace, tmp_path: Path
) -> None:
    routes: dict[str, Route] = {
        "/": page('<a class="item" href="/b">b</a><a class="item" href="/a">a</a>'),
        "/a": page('<h1>A</h1><img src="/p.png">'),
        "/b": page('<h1>B</h1><img src="/p.png"><img src="/p.png#x">'),
        "/p.png": image(),
    }
    with serving(routes) as site:
        manifest = run([site_source(site.url)], workspace, tmp_path)
        assert site.asked["/p.png"] == 1
    assert manifest.facts == {"found": 1, "kept": 1}
    assert manifest.rows[0].origin.title == "A"


def test_of_two_pages_the_one_that_says_most_of_an_image_counts(
    workspace: Workspace, tmp_path: Path
) -> None:
    said = "<figure><img src=/p.png><figcaption>A fox</figcaption></figure><i>CC0</i>"
    robots = "<meta name=robots content=noai>"
    routes: dict[str, Route] = {
        "/": page("".join(f'<a class="item" href="/{n}">{n}</a>' for n in "abcd")),
        "/a": page("<h1>A</h1><img src=/p.png><img src=/q.png>"),
        "/b": page(f"<h1>B</h1>{said}"),
        "/c": page(f"<h1>C</h1><img src=/p.png>{robots}".replace("/p.png", "/q.png")),
        "/d": page("<h1>D</h1><img src=/p.png>"),
        "/p.png": image(),
        "/q.png": image(PNG + b"q"),
    }
    with serving(routes) as site:
        manifest = run([site_source(site.url, licence="i")], workspace, tmp_path)
    [row] = manifest.rows
    assert row.origin.page_url == f"{site.url}/b"
    assert (row.origin.title, row.origin.caption, row.origin.licence) == ("B", "A fox", "CC0")
    assert [(each.subject, each.reason) for each in manifest.rejected] == [
        (f"{site.url}/q.png", "opted_out")
    ]


def test_a_page_under_many_sessions_is_read_once(workspace: Workspace, tmp_path: Path) -> None:
    links = "".join(f'<a class=item href="/a?PHPSESSID={n:032x}">x</a>' for n in range(5))
    answers: dict[str, Route] = {
        f"/a?PHPSESSID={n:032x}": page("<img src=/p.png>") for n in range(5)
    }
    with serving({"/": page(links), "/p.png": image(), **answers}) as site:
        assert len(run([site_source(site.url)], workspace, tmp_path).rows) == 1
        assert sum(site.asked[path] for path in answers) == 1


def test_another_session_is_no_news(workspace: Workspace, tmp_path: Path) -> None:
    def routes(session: str) -> dict[str, Route]:
        return {
            "/": page(
                f'<a class=item href="/a?x=1&PHPSESSID={session}">x</a><a class=item href=/b>'
            ),
            f"/a?x=1&PHPSESSID={session}": page(f"<img src=/p.png?PHPSESSID={session}>"),
            "/p.png": image(),
        }

    with serving(routes("0123456789abcdef")) as site:
        first = run([site_source(site.url)], workspace, tmp_path)
        site.routes = routes("fedcba9876543210")
        assert run([site_source(site.url)], workspace, tmp_path) == first
    assert first.facts == {"found": 2, "kept": 1, "rejected_http_404": 1}


def test_images_of_a_page_that_opts_out_are_counted(workspace: Workspace, tmp_path: Path) -> None:
    routes: dict[str, Route] = {
        "/": page('<a class="item" href="/a">a</a><a class="item" href="/b">b</a>'),
        "/a": page("<meta name=robots content=noimageai><img src=/1.png><img src=/2.png>"),
        "/b": page("<img src=/3.png>"),
        **{f"/{n}.png": image() for n in (1, 2, 3)},
    }
    with serving(routes) as site:
        manifest = run([site_source(site.url)], workspace, tmp_path)
        assert manifest.facts == {"found": 3, "kept": 1, "rejected_opted_out": 2}
        assert site.asked["/1.png"] == 0
        deaf = dataclasses.replace(FETCH, opt_outs=())
        again = run([site_source(site.url, fetch=deaf)], workspace, tmp_path)
    assert again.facts == {"found": 3, "kept": 3}


def test_captions_stand_with_their_images(workspace: Workspace, tmp_path: Path) -> None:
    figures = "".join(
        f"<figure><img src=/{n}.png alt=a{n}><figcaption>Fox {n}</figcaption></figure>"
        for n in range(3)
    )
    routes: dict[str, Route] = {"/": page(f"<h1>Foxes</h1>{figures}")}
    routes |= {f"/{n}.png": image() for n in range(3)}
    with serving(routes) as site:
        rows = run([site_source(site.url, item_link=None)], workspace, tmp_path).rows
        near = NearImage(near="figcaption")
        titled = run([site_source(site.url, item_link=None, title=near)], workspace, tmp_path).rows
    assert [(row.origin.title, row.origin.caption) for row in rows] == [
        ("Foxes", f"Fox {n}") for n in range(3)
    ]
    assert [row.origin.title for row in titled] == ["Fox 0", "Fox 1", "Fox 2"]


def test_several_hosts_are_asked_at_once_and_each_for_one_thing_at_a_time(
    workspace: Workspace, tmp_path: Path
) -> None:
    busy: dict[str, int] = {"a": 0, "b": 0}
    most, both = [0], threading.Event()

    def shown_by(name: str) -> Callable[[Site], Reply]:
        def answer(site: Site) -> Reply:
            busy[name] += 1
            most[0] = max(most[0], *busy.values())
            if all(busy.values()):
                both.set()
            both.wait(20)  # The first of either host meets the first of the other.
            busy[name] -= 1
            return image(PNG + name.encode())

        return answer

    paths = [f"/{n}.png" for n in range(6)]
    with (
        serving({path: shown_by("a") for path in paths}) as first,
        serving({path: shown_by("b") for path in paths}) as second,
    ):
        shown = "".join(f"<img src={s.url}{path}>" for path in paths for s in (first, second))
        first.routes["/"] = page(shown)
        manifest = run([site_source(first.url, item_link=None)], workspace, tmp_path)
    assert manifest.facts == {"found": 12, "kept": 12}
    assert most == [1]
    assert both.is_set()


def test_what_is_over_the_budgets_is_counted(workspace: Workspace, tmp_path: Path) -> None:
    links = "".join(f'<a class="item" href="/{n}">x</a>' for n in range(4))
    routes: dict[str, Route] = {"/": page(links)}
    for n in range(4):
        routes[f"/{n}"] = page(f'<img src="/{n}a.png"><img src="/{n}b.png">')
        routes[f"/{n}a.png"] = routes[f"/{n}b.png"] = image()
    small = FetchSettings(delay_s=0, max_pages=4, max_images=5, allow_private_hosts=("127.0.0.1",))
    with serving(routes) as site:
        manifest = run([site_source(site.url, fetch=small)], workspace, tmp_path)
    assert manifest.facts == {
        "found": 7,
        "kept": 5,
        "rejected_over_max_images": 1,
        "rejected_over_max_pages": 1,
    }


def test_bytes_have_a_budget_too(workspace: Workspace, tmp_path: Path) -> None:
    routes: dict[str, Route] = {"/": page("".join(f"<img src=/{n}.png>" for n in range(4)))}
    routes |= {f"/{n}.png": image() for n in range(4)}
    small = dataclasses.replace(FETCH, max_total_bytes=2 * len(PNG))
    with serving(routes) as site:
        facts = run([site_source(site.url, item_link=None, fetch=small)], workspace, tmp_path).facts
    assert facts == {"found": 4, "kept": 2, "rejected_over_max_bytes": 2}


def test_time_that_is_up_publishes_nothing(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=lambda: now_s))

    def slow(site: Site) -> Reply:
        nonlocal now_s
        now_s += 0.2
        return image()

    routes: dict[str, Route] = {"/": page("".join(f"<img src=/{n}.png>" for n in range(9)))}
    routes |= {f"/{n}.png": slow for n in range(9)}
    short = dataclasses.replace(FETCH, max_minutes=0.3 / 60)
    with serving(routes) as site, pytest.raises(SourceError, match="over_max_minutes 7"):
        run([site_source(site.url, item_link=None, fetch=short)], workspace, tmp_path)


def test_images_may_stand_on_the_start_pages(workspace: Workspace, tmp_path: Path) -> None:
    routes: dict[str, Route] = {
        "/": page('<img src="a.png" alt="An  a">'),
        "/a.png": image(),
    }
    with serving(routes) as site:
        manifest = run([site_source(site.url, item_link=None)], workspace, tmp_path)
    assert [row.origin.alt for row in manifest.rows] == ["An a"]


def test_an_unreachable_site_is_named_with_the_reason(workspace: Workspace, tmp_path: Path) -> None:
    with serving({}) as site:
        pass
    with pytest.raises(SourceError, match=rf"{site.url}/ cannot be read: .*refused.*run again"):
        run([site_source(site.url)], workspace, tmp_path)
    assert list(workspace.folder.iterdir()) == []


def test_a_failing_source_does_not_lose_the_work_of_the_others(
    workspace: Workspace, store: Store, tmp_path: Path
) -> None:
    with (
        serving({"/": Reply(b"", 403)}) as closed,
        serve_wiki(port=0, limit_per_category=2) as wiki,
    ):
        sources = [site_source(closed.url), wiki_source(wiki, "animals")]
        with pytest.raises(SourceError, match="http_403"):
            run(sources, workspace, tmp_path)
        assert workspace.work["downloads"] == 2
        again = another(store, tmp_path, "again")
        run(sources[1:], again, tmp_path)
        assert not again.work


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>nothing", r"item_link 'a\.item' matches nothing on http://127.0.0.1:\d+/;"),
        ('<a class="item" href="/b">b</a>', r"image 'img' matches no image on the pages"),
    ],
)
def test_a_site_without_images_names_the_selector(
    workspace: Workspace, tmp_path: Path, html: str, expected: str
) -> None:
    with (
        serving({"/": page(html), "/b": page("<p>b")}) as site,
        pytest.raises(SourceError, match=expected),
    ):
        run([site_source(site.url)], workspace, tmp_path)


def test_a_site_whose_images_are_all_refused_says_why(workspace: Workspace, tmp_path: Path) -> None:
    routes: dict[str, Route] = {"/": page('<img src="/a.png">'), "/a.png": Reply(b"", 403)}
    with serving(routes) as site, pytest.raises(SourceError, match=r"http_403 1; .*/a\.png"):
        run([site_source(site.url, item_link=None)], workspace, tmp_path)


def test_a_bad_selector_is_refused_before_anything_is_asked(
    workspace: Workspace, tmp_path: Path
) -> None:
    with serving({}) as site:
        with pytest.raises(StyleFileError, match="image"):
            run([site_source(site.url, image="img[")], workspace, tmp_path)
        assert not site.asked


def test_an_image_without_an_address_is_counted(workspace: Workspace, tmp_path: Path) -> None:
    lazy = '<img src="data:image/gif;base64,R0lGODlh" data-id=1><img alt=none><img src=2.png>'
    routes: dict[str, Route] = {"/": page(f"<h1>G</h1>{lazy}"), "/2.png": image()}
    with serving(routes) as site:
        stated = NearImage(text="CC BY 4.0")
        manifest = run([site_source(site.url, item_link=None, licence=stated)], workspace, tmp_path)
    assert manifest.facts == {"found": 3, "kept": 1, "rejected_no_url": 2}
    assert [row.origin.licence for row in manifest.rows] == ["CC BY 4.0"]
