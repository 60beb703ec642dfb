"""Links, redirects and signatures that lead where they should not cost no image in silence."""

import itertools
from pathlib import Path

import pytest

from styledag.collect.collect import NOTES
from styledag.store.digest import LOG_FOLDER
from styledag.store.workspace import Workspace
from styledag_tests.collect.servers import PNG, Reply, Route, Site, image, page, serving
from styledag_tests.collect.test_html import run, site_source


def test_a_page_that_many_links_are_redirected_to_is_none_of_theirs(
    workspace: Workspace, tmp_path: Path
) -> None:
    links = "".join(f'<a class=item href="/p/{n}">{n}</a>' for n in range(7))
    login = Reply(b"", 302, headers={"Location": "/login?next=1"})
    alias = Reply(b"", 302, headers={"Location": "/p/0"})
    routes: dict[str, Route] = {f"/p/{n}": login for n in range(2, 7)}
    routes |= {"/": page(links), "/p/0": page("<h1>0</h1><img src=/0.png>"), "/p/1": alias}
    routes |= {"/login?next=1": page("<img src=/logo.png>"), "/logo.png": image(PNG + b"logo")}
    routes |= {"/0.png": image()}
    with serving(routes) as site:
        manifest = run([site_source(site.url)], workspace, tmp_path)
    assert [row.origin.url for row in manifest.rows] == [f"{site.url}/0.png"]
    assert manifest.facts == {"found": 6, "kept": 1, "rejected_redirected": 5}
    assert "/login?next=1, as 5 links do" in manifest.rejected[0].detail


def test_an_album_that_links_are_redirected_to_is_theirs(
    workspace: Workspace, tmp_path: Path
) -> None:
    """As of WordPress's attachment pages, which lead to the post; a list page is no album."""
    to = ("a1", "a2", "a3", "g1", "g2", "g3")
    links = "".join(f'<a class=item href="/{at}">{at}</a>' for at in to)
    shown = "".join(f"<img src=/{n}.png>" for n in range(3))
    moved = Reply(b"", 301, headers={"Location": "/album"})
    gone = Reply(b"", 302, headers={"Location": "/more"})
    routes: dict[str, Route] = {"/a1": moved, "/a2": moved, "/g1": gone, "/g2": gone, "/g3": gone}
    routes |= {"/a3": page("<meta http-equiv=refresh content='0; url=/album'>")}
    routes |= {"/": page(links + "<a class=next href=/more>"), "/more": page(shown)}
    routes |= {"/album": page(f"<h1>Album</h1>{shown}")}
    routes |= {f"/{n}.png": image(PNG + str(n).encode()) for n in range(3)}
    with serving(routes) as site:
        manifest = run([site_source(site.url)], workspace, tmp_path)
    found = {(row.origin.url, row.origin.page_url, row.origin.title) for row in manifest.rows}
    assert found == {(f"{site.url}/{n}.png", f"{site.url}/album", "Album") for n in range(3)}
    assert manifest.facts == {"found": 6, "kept": 3, "rejected_redirected": 3}


def test_an_image_that_many_addresses_are_redirected_to_is_none_of_theirs(
    workspace: Workspace, tmp_path: Path
) -> None:
    shown = "".join(f'<img src="/{n}.png">' for n in range(9))
    gone = Reply(b"", 302, headers={"Location": "/removed.png"})
    moved = Reply(b"", 301, headers={"Location": "/new.png"})
    routes: dict[str, Route] = {f"/{n}.png": gone for n in range(2, 9)}
    routes |= {"/": page(shown), "/0.png": image(), "/1.png": moved}
    routes |= {"/removed.png": image(PNG + b"removed"), "/new.png": image(PNG + b"new")}
    with serving(routes) as site:
        source = site_source(site.url, item_link=None)
        manifest = run([source], workspace, tmp_path)
        assert run([source], workspace, tmp_path) == manifest
    assert [row.origin.url for row in manifest.rows] == [f"{site.url}/{n}.png" for n in range(2)]
    assert manifest.facts == {"found": 9, "kept": 2, "rejected_redirected": 7}
    assert "/removed.png, as 7 addresses do" in manifest.rejected[0].detail


def test_the_original_is_taken_once_and_the_copy_where_there_is_none(
    workspace: Workspace, tmp_path: Path
) -> None:
    uploads = "/wp-content/uploads"
    names = ("fox-300x200", "fox-150x150", "owl-300x200", "owl-20x10", "gone-300x200")
    shown = "".join(f'<img src="{uploads}/{name}.png" alt="{name}">' for name in names)
    routes: dict[str, Route] = {
        f"{uploads}/{name}.png": image(PNG + name.encode()) for name in (*names[:4], "fox")
    }
    with serving({**routes, "/": page(shown)}) as site:
        source = site_source(site.url, item_link=None, originals=True)
        manifest = run([source], workspace, tmp_path)
        assert run([source], workspace, tmp_path) == manifest
    assert [row.origin.url.rpartition("/")[2] for row in manifest.rows] == [
        "fox.png",
        "owl-300x200.png",
    ]
    assert [workspace.blobs.read(row.sha256) for row in manifest.rows] == [
        PNG + b"fox",
        PNG + b"owl-300x200",
    ]
    assert manifest.facts == {"found": 3, "kept": 2, "rejected_http_404": 1}


def test_one_file_at_many_addresses_is_noted(workspace: Workspace, tmp_path: Path) -> None:
    shown = "".join(f'<img src="/{n}.png">' for n in range(7))
    routes: dict[str, Route] = {f"/{n}.png": image() for n in range(1, 7)}
    routes |= {"/": page(shown), "/0.png": image(PNG + b"0")}
    with serving(routes) as site:
        manifest = run([site_source(site.url, item_link=None)], workspace, tmp_path)
    assert len(manifest.rows) == 7
    notes = (workspace.folder / LOG_FOLDER / NOTES).read_text()
    assert f"6 addresses gave the very same file, first {site.url}/1.png" in notes


def test_another_signature_is_no_news(workspace: Workspace, tmp_path: Path) -> None:
    visits = itertools.count()

    def start(site: Site) -> Reply:
        signed = f"/{{n}}.png?X-Amz-Date={next(visits)}&X-Amz-Signature=abc"
        return page("<h1>G</h1>" + "".join(f'<img src="{signed.format(n=n)}">' for n in range(2)))

    class Bucket(Site):
        def answer(self, path: str) -> Reply:
            if "X-Amz-Signature=abc" not in path:
                return super().answer(path)
            known = self.last_headers[path].get("If-None-Match") == '"1"'
            return Reply(b"", 304) if known else image(ETag='"1"')

    with serving({"/": start}, Bucket({})) as site:
        source = site_source(site.url, item_link=None)
        first = run([source], workspace, tmp_path)
        assert [row.origin.url for row in first.rows] == [f"{site.url}/{n}.png" for n in range(2)]
        workspace.work.clear()
        assert run([source], workspace, tmp_path) == first
    assert workspace.work == {"pages": 1}


def test_of_the_pages_that_next_page_matches_each_is_read_once(
    workspace: Workspace, tmp_path: Path
) -> None:
    def listed(number: int) -> Reply:
        links = ("#top", "javascript:void(0)", f"/?page={number - 1}", f"/?page={number + 1}")
        following = "".join(f'<a class=next href="{link}">x</a>' for link in links)
        return page(f'<img src="/{number}.png">{following}')

    class Clock(Site):
        def answer(self, path: str) -> Reply:
            # What is before the first page is the first page again.
            return page("<img src=/1.png>") if path == "/?page=-1" else super().answer(path)

    routes: dict[str, Route] = {f"/?page={n}": listed(n) for n in range(1, 5)}
    routes |= {f"/{n}.png": image(PNG + bytes([n])) for n in range(1, 5)}
    routes["/?page=0"] = page('<img src="/1.png"><a class=next href="/?page=-1">x</a>')
    routes["/"] = page('<img src="/1.png"><a class=next href="/?page=2">2</a>')
    with serving(routes, Clock({})) as site:
        manifest = run([site_source(site.url, item_link=None)], workspace, tmp_path)
        assert max(site.asked.values()) == 1
    assert len(manifest.rows) == 4
    assert [each.subject for each in manifest.rejected] == [f"{site.url}/?page=5"]


@pytest.mark.timeout(20)
def test_pagination_that_runs_in_a_circle_ends(workspace: Workspace, tmp_path: Path) -> None:
    routes: dict[str, Route] = {
        "/": page('<a class="item" href="/a">a</a><a class="next" href="/?p=2">next</a>'),
        "/?p=2": page('<a class="next" href="/">next</a>'),
        "/a": page('<img src="/p.png">'),
        "/p.png": image(),
    }
    with serving(routes) as site:
        assert len(run([site_source(site.url)], workspace, tmp_path).rows) == 1
        assert site.asked["/"] == 1


@pytest.mark.timeout(60)
def test_a_calendar_without_end_is_noticed(workspace: Workspace, tmp_path: Path) -> None:
    routes: dict[str, Route] = {
        f"/?m={n}": page(f'<a class=item href=/a>a</a><a class=next href="/?m={n + 1}">next</a>')
        for n in range(100)
    }
    routes |= {"/": routes["/?m=0"], "/a": page("<img src=/p.png>"), "/p.png": image()}
    with serving(routes) as site:
        manifest = run([site_source(site.url)], workspace, tmp_path)
    assert manifest.facts == {"found": 2, "kept": 1, "rejected_list_trap": 1}
    assert sum(site.asked[path] for path in routes if path.startswith("/?m")) < 30
