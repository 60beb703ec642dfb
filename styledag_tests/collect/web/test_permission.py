"""What robots.txt, headers and crawl delays permit the client to ask for."""

from collections.abc import Mapping

import pytest

from styledag.store.workspace import Workspace
from styledag_tests.collect.clients import Sleeper, client, refusal
from styledag_tests.collect.servers import PNG, Reply, Route, Site, image, serving


def test_robots_rules_hold_also_where_a_redirect_leads(
    workspace: Workspace, sleeper: Sleeper
) -> None:
    robots = Reply(b"User-agent: *\nDisallow: /private/\n", content_type="text/plain")
    moved = Reply(b"", 302, headers={"Location": "/private/a.png"})
    with (
        serving({"/robots.txt": robots, "/private/a.png": image(), "/moved.png": moved}) as site,
        client(workspace, sleeper) as http,
    ):
        assert refusal(http.image, f"{site.url}/private/a.png").reason == "robots_refused"
        assert refusal(http.image, f"{site.url}/moved.png").reason == "robots_refused"
        assert http.page(f"{site.url}/private/a.png", obey_robots=False).body == PNG
    assert site.asked["/private/a.png"] == 1


@pytest.mark.parametrize(
    "robots",
    [
        b"\xef\xbb\xbfUser-agent: *\nDisallow: /",
        b"User-agent: *\rDisallow: /",
        b"user-agent : styledag\r\ndisallow:/a.png # all",
        b"# caf\xe9\nUser-agent: *\nDisallow: /",
        b"User-agent: StyleDag/2.0 (any)\nDisallow: /",
        b"#" * 400_000 + b"\nUser-agent: *\nDisallow: /\n" + b"#" * 6_000_000,
    ],
)
def test_robots_are_read_as_bytes(workspace: Workspace, sleeper: Sleeper, robots: bytes) -> None:
    with (
        serving({"/robots.txt": Reply(robots), "/a.png": image()}) as site,
        client(workspace, sleeper) as http,
    ):
        assert refusal(http.image, f"{site.url}/a.png").reason == "robots_refused"
    assert site.asked == {"/robots.txt": 1}


@pytest.mark.parametrize("status", [204, 302, 403, 410])
def test_a_robots_txt_that_holds_nothing_forbids_nothing(
    workspace: Workspace, sleeper: Sleeper, status: int
) -> None:
    routes: dict[str, Route] = {"/robots.txt": Reply(b"", status), "/a.png": image()}
    with serving(routes) as site, client(workspace, sleeper) as http:
        assert http.image(f"{site.url}/a.png").size_bytes == len(PNG)


OPT_OUTS: list[tuple[Mapping[str, str], str]] = [
    ({"X-Robots-Tag": "noai"}, "noai"),
    ({"x-robots-tag": "noarchive, NoImageAI"}, "noimageai"),
    ({"X-Robots-Tag": "none"}, "noindex"),
    ({"X-Robots-Tag": "styledag: noimageindex"}, "noimageindex"),
    ({"X-Robots-Tag": "noarchive; noai"}, "noai"),
    ({"Content-Usage": "search=y, train-ai=n"}, "content-usage"),
]


@pytest.mark.parametrize(("headers", "named"), OPT_OUTS)
def test_an_image_whose_server_opts_out_is_refused_also_when_it_is_unchanged(
    workspace: Workspace, sleeper: Sleeper, headers: Mapping[str, str], named: str
) -> None:
    def answer(site: Site) -> Reply:
        if "If-None-Match" in site.last_headers["/a.png"]:
            return Reply(b"", 304)
        return image(**headers, ETag='"1"')

    with serving({"/a.png": answer}) as site:
        for _ in range(2):
            with client(workspace, sleeper) as http:
                error = refusal(http.image, f"{site.url}/a.png")
            assert (error.reason, error.detail) == ("opted_out", f"its server asks for {named}")
        with client(workspace, sleeper, opt_outs=()) as http:
            assert http.image(f"{site.url}/a.png").size_bytes == len(PNG)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Robots-Tag": "noarchive, nofollow"},
        {"X-Robots-Tag": "otherbot: noai, noindex"},
        {"X-Robots-Tag": "unavailable_after: 25 Jun 2010 15:00:00 PST"},
        {"Content-Usage": "train-ai=y"},
        {"Content-Usage": 'train-ai=n, train-ai="n"'},
    ],
)
def test_what_is_meant_for_others_or_allows_is_no_opt_out(
    workspace: Workspace, sleeper: Sleeper, headers: Mapping[str, str]
) -> None:
    with serving({"/a.png": image(**headers)}) as site, client(workspace, sleeper) as http:
        assert http.image(f"{site.url}/a.png").size_bytes == len(PNG)


def test_robots_txt_may_decline_training_on_some_paths(
    workspace: Workspace, sleeper: Sleeper
) -> None:
    robots = b"User-Agent: *\nContent-Usage: train-ai=n\nContent-Usage: /ok/ train-ai=y\n"
    routes: dict[str, Route] = {
        "/robots.txt": Reply(robots),
        "/a.png": image(),
        "/ok/a.png": image(),
    }
    with serving(routes) as site, client(workspace, sleeper) as http:
        assert refusal(http.image, f"{site.url}/a.png").reason == "opted_out"
        assert http.image(f"{site.url}/ok/a.png").size_bytes == len(PNG)


def test_unreadable_robots_forbid_everything(workspace: Workspace, sleeper: Sleeper) -> None:
    with (
        serving({"/robots.txt": Reply(b"", 500), "/a.png": image()}) as site,
        client(workspace, sleeper, retries=0) as http,
    ):
        assert refusal(http.image, f"{site.url}/a.png").reason == "http_500"
    assert site.asked["/a.png"] == 0


@pytest.mark.parametrize("rule", [b"Crawl-delay: 7", b"Request-rate: 2/14"])
def test_the_larger_of_delay_and_that_of_robots_txt_is_kept(
    workspace: Workspace, sleeper: Sleeper, rule: bytes
) -> None:
    robots = Reply(b"User-agent: styledag\n%s\n" % rule, content_type="text/plain")
    with (
        serving({"/robots.txt": robots, "/a.png": image()}) as site,
        client(workspace, sleeper, delay_s=2) as http,
    ):
        http.image(f"{site.url}/a.png")
    assert sleeper.slept == [pytest.approx(7, abs=0.5)]


def test_an_absurd_crawl_delay_is_a_refusal(workspace: Workspace, sleeper: Sleeper) -> None:
    robots = Reply(b"User-agent: *\nCrawl-delay: 86400\n", content_type="text/plain")
    with (
        serving({"/robots.txt": robots, "/a.png": image()}) as site,
        client(workspace, sleeper) as http,
    ):
        assert refusal(http.image, f"{site.url}/a.png").reason == "robots_refused"
