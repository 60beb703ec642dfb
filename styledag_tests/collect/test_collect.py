"""What is collected from several addresses at once is whole, or is not published."""

from dataclasses import replace
from pathlib import Path

import pytest

from styledag.collect.collect import collect_images
from styledag.collect.settings import FetchSettings, HtmlSource
from styledag.collect.web.turns import MOST_FAILURES
from styledag.errors import SourceError
from styledag.manifest import KEPT
from styledag.store.workspace import Workspace
from styledag_tests.collect.servers import PNG, Reply, Route, Site, image, page, serving

IMAGES = 12


def source(site: Site, *, gone: tuple[str, ...] = ()) -> HtmlSource:
    fetch = FetchSettings(
        delay_s=0, retries=0, timeout_s=60, allow_private_hosts=("127.0.0.1",), gone=gone
    )
    return HtmlSource(type="html", start=(f"{site.url}/",), fetch=fetch)


def gallery(broken: Route, *, first: int, last: int = IMAGES) -> dict[str, Route]:
    """Return a page of images, of which those from ``first`` up to ``last`` are broken."""
    routes: dict[str, Route] = {
        f"/{at}.png": broken if first <= at < last else image(PNG + bytes([at]))
        for at in range(IMAGES)
    }
    routes["/"] = page("".join(f"<img src=/{at}.png>" for at in range(IMAGES)))
    return routes


TRANSIENT = {
    "http_429": Reply(b"", 429),
    "http_500": Reply(b"", 500),
    "http_503": Reply(b"", 503),
    "http_522": Reply(b"", 522),
    "connection_broken": Reply(PNG, headers={"Content-Length": "9999"}),
}


@pytest.mark.parametrize("reason", TRANSIENT)
def test_a_server_that_fails_half_way_publishes_nothing_and_loses_nothing(
    workspace: Workspace, tmp_path: Path, reason: str
) -> None:
    with serving(gallery(TRANSIENT[reason], first=4)) as site:
        with pytest.raises(SourceError, match=f"in part only.*{reason}.*the 4 images"):
            collect_images([source(site)], workspace, project=tmp_path)
        assert not (workspace.folder / KEPT).exists()
        # Given up after a few failures in a row, rather than asked for each of the rest.
        failing = sum(site.asked[f"/{at}.png"] for at in range(4, IMAGES))
        assert failing == MOST_FAILURES
        site.routes |= gallery(image(), first=IMAGES)
        assert len(collect_images([source(site)], workspace, project=tmp_path).rows) == IMAGES
        assert [site.asked[f"/{at}.png"] for at in range(4)] == [1] * 4


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_what_is_final_is_counted_and_the_rest_published(
    workspace: Workspace, tmp_path: Path, status: int
) -> None:
    with serving(gallery(Reply(b"", status), first=4)) as site:
        facts = collect_images([source(site)], workspace, project=tmp_path).facts
    assert facts == {"found": IMAGES, "kept": 4, f"rejected_http_{status}": IMAGES - 4}


def test_an_item_page_that_cannot_be_had_publishes_nothing(
    workspace: Workspace, tmp_path: Path
) -> None:
    routes: dict[str, Route] = {
        "/": page("<a class=i href=/a>a</a><a class=i href=/b>b</a>"),
        "/a": page("<img src=/0.png>"),
        "/b": Reply(b"", 503),
        "/0.png": image(),
    }
    with serving(routes) as site:
        items = HtmlSource(
            type="html", start=(f"{site.url}/",), item_link="a.i", fetch=source(site).fetch
        )
        with pytest.raises(SourceError, match=r"first http.*/b: the server answers 503"):
            collect_images([items], workspace, project=tmp_path)


def test_addresses_that_are_named_as_gone_are_counted(workspace: Workspace, tmp_path: Path) -> None:
    with serving(gallery(Reply(b"", 503), first=4, last=6)) as site:
        known = source(site, gone=(f"{site.url}/4.*", f"{site.url}/5.*"))
        facts = collect_images([known], workspace, project=tmp_path).facts
    assert facts == {"found": IMAGES, "kept": 10, "rejected_http_503": 2}


@pytest.mark.parametrize("status", [403, 429])
def test_images_refused_to_a_program_without_a_contact_say_so(
    workspace: Workspace, tmp_path: Path, status: int
) -> None:
    with serving(gallery(Reply(b"Please set a user-agent", status), first=0)) as site:
        nameless = source(site)
        named = replace(nameless, fetch=replace(nameless.fetch, contact="me@example.org"))
        for asked, hint in ((nameless, "set fetch.contact to your address"), (named, "")):
            with pytest.raises(SourceError) as caught:
                collect_images([asked], workspace, project=tmp_path)
            assert ("fetch.contact" in str(caught.value)) == bool(hint)
            assert hint in str(caught.value)
