"""Pages that send on by a meta element are followed as browsers do, like redirects."""

import pytest

from styledag.collect.web.client import MOST_REDIRECTS
from styledag.collect.web.refresh import page_read
from styledag.errors import FetchError
from styledag.store.workspace import Workspace
from styledag_tests.collect.clients import Sleeper, client
from styledag_tests.collect.servers import Reply, Route, page, serving

SHOWN = "<meta http-equiv=refresh content='3; url=/b'><p>Next</p><img src=/a.png>"


def read(workspace: Workspace, routes: dict[str, Route]) -> str:
    with serving(routes) as site, client(workspace, Sleeper()) as own:
        return page_read(own, f"{site.url}/a").url.removeprefix(site.url)


@pytest.mark.parametrize(
    "head",
    [
        '<meta http-equiv="refresh" content="0; url=/b">',
        "<META HTTP-EQUIV=Refresh CONTENT='0;URL=b'>",
        """<meta http-equiv="refresh" content="1;url='/b'">""",
        '<meta content="5 , /b" http-equiv="REFRESH"><p>This page has moved.',
        '<meta http-equiv="refresh" content=" .5; Url = /b ">',
        '<base href="/x/"><meta http-equiv=refresh content="0;url=../b#top"><img src=logo.png>',
        '<meta http-equiv=refresh content="0;/b"><meta http-equiv=refresh content="0;/c">',
    ],
)
def test_a_page_that_only_sends_on_is_followed(workspace: Workspace, head: str) -> None:
    assert read(workspace, {"/a": page(head), "/b": page("<p>b")}) == "/b"


@pytest.mark.parametrize(
    "shown",
    [
        SHOWN,  # of a slide show
        "<meta http-equiv=refresh content='30; url=/b'>",
        "<meta http-equiv=refresh content='5'>",  # loads itself again
        "<meta http-equiv=refresh content='0; url=/a'>",
        "<meta http-equiv=refresh content='soon; url=/b'>",
        "<meta http-equiv=refresh content='0; url=https://other.example/b'>",
        "<noscript><meta http-equiv=refresh content='0; url=/b'></noscript>",
        "<p>http-equiv=refresh",
    ],
)
def test_a_page_that_has_something_to_show_is_not_left(workspace: Workspace, shown: str) -> None:
    assert read(workspace, {"/a": page(shown), "/b": page("<p>b")}) == "/a"


def with_header(refresh: str, shown: str = "<p>Moved") -> Reply:
    return Reply(shown.encode(), content_type="text/html", headers={"Refresh": refresh})


@pytest.mark.parametrize(
    "sent", [with_header("0; url=/b"), with_header("0;URL='b'"), with_header("1,/b")]
)
def test_a_header_sends_on_as_well(workspace: Workspace, sent: Reply) -> None:
    assert read(workspace, {"/a": sent, "/b": page("<p>b")}) == "/b"


@pytest.mark.parametrize(
    ("sent", "end"),
    [
        (with_header("0; url=/b", "<meta http-equiv=refresh content='0; url=/c'>"), "/b"),
        (with_header("60", "<meta http-equiv=refresh content='0; url=/c'>"), "/a"),
        (with_header("3; url=/b", SHOWN), "/a"),
        (with_header("soon; url=/b"), "/a"),
    ],
)
def test_a_header_counts_in_front_of_elements_and_as_they_do(
    workspace: Workspace, sent: Reply, end: str
) -> None:
    assert read(workspace, {"/a": sent, "/b": page("<p>b"), "/c": page("<p>c")}) == end


def to(path: str) -> Reply:
    return page(f"<meta http-equiv=refresh content='0; url={path}'>")


ENDLESS: dict[str, Route] = {f"/{n}": to(f"/{n + 1}") for n in range(MOST_REDIRECTS + 3)}
ROBOTS = Reply(b"User-agent: *\nDisallow: /b", content_type="text/plain")


@pytest.mark.parametrize(
    ("routes", "reason"),
    [
        ({"/a": Reply(b"", 302, headers={"Location": "/b"}), "/b": to("/a")}, "redirect_loop"),
        ({**ENDLESS, "/a": to("/0")}, "too_many_redirects"),
        ({"/a": to("/b"), "/b": page("b"), "/robots.txt": ROBOTS}, "robots_refused"),
        ({"/a": to("/b")}, "http_404"),
    ],
)
def test_it_ends_as_redirects_end(
    workspace: Workspace, routes: dict[str, Route], reason: str
) -> None:
    with pytest.raises(FetchError) as caught:
        read(workspace, routes)
    assert caught.value.reason == reason
