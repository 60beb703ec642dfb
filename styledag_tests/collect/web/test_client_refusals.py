"""What a server answers in place of an image is told apart: busy, guarded, broken."""

import socket
from typing import Any

import pytest

from styledag.errors import is_transient
from styledag.store.workspace import Workspace
from styledag_tests.collect.clients import Sleeper, client, refusal
from styledag_tests.collect.servers import PNG, Reply, Site, image, serving

CHALLENGE = b"<!doctype html><script>window._cf_chl_opt = {};</script>"


@pytest.mark.parametrize("header", ["0", "0.0", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_wait_of_nothing_is_no_advice(
    workspace: Workspace, sleeper: Sleeper, header: str
) -> None:
    busy = Reply(b"", 429, headers={"Retry-After": header})
    with serving({"/a.png": busy}) as site, client(workspace, sleeper) as http:
        assert refusal(http.image, f"{site.url}/a.png").reason == "http_429"
    first, second = sleeper.slept
    assert 0.25 <= first <= 0.5 <= second <= 1.0


@pytest.mark.parametrize("status", [200, 403, 503])
def test_a_challenge_is_neither_a_page_nor_a_refusal_of_one_image(
    workspace: Workspace, sleeper: Sleeper, status: int
) -> None:
    routes: dict[str, Any] = {"/a.png": image(), "/b.png": Reply(CHALLENGE, status)}
    with serving(routes) as site, client(workspace, sleeper) as http:
        http.image(f"{site.url}/a.png")
        error = refusal(http.image, f"{site.url}/b.png")
        assert refusal(http.image, f"{site.url}/c.png").reason == "host_given_up"
        assert (site.asked["/b.png"], site.asked["/c.png"]) == (1, 0)
    assert error.reason == "challenged"
    assert is_transient(error.reason)
    assert "Cloudflare" in error.detail
    assert not sleeper.slept


@pytest.mark.parametrize(
    ("status", "words", "reason"),
    [
        (500, b"Error creating thumbnail: convert: out of memory", "thumbnail_failed"),
        (429, b"There have been too many recent failed attempts (4 or more)", "thumbnail_failed"),
        (429, b"You've exceeded your rate limit", "http_429"),
    ],
)
def test_a_thumbnail_that_a_wiki_cannot_draw_says_nothing_of_its_server(
    workspace: Workspace, sleeper: Sleeper, status: int, words: bytes, reason: str
) -> None:
    body = b"<html><head><title>Error generating thumbnail</title></head><body>%s" % words
    routes: dict[str, Any] = {f"/{n}.png": Reply(body, status) for n in range(6)}
    with serving(routes) as site, client(workspace, sleeper, retries=1) as http:
        reasons = [refusal(http.image, f"{site.url}/{n}.png").reason for n in range(6)]
    assert reasons[0] == reason
    assert reasons[5] == (reason if reason == "thumbnail_failed" else "host_given_up")
    assert site.asked["/0.png"] == 2


@pytest.mark.parametrize("status", [400, 429])
def test_a_width_that_wikimedia_does_not_serve_says_nothing_of_its_server(
    workspace: Workspace, sleeper: Sleeper, status: int
) -> None:
    words = b"<h1>Error</h1><p>Use thumbnail steps listed on https://w.wiki/GHai. (a765913)</p>"
    routes: dict[str, Any] = {f"/{n}.png": Reply(words, status) for n in range(6)}
    with serving({**routes, "/a.png": image()}) as site, client(workspace, sleeper) as http:
        errors = [refusal(http.image, f"{site.url}/{n}.png") for n in range(6)]
        http.image(f"{site.url}/a.png")
        assert max(site.asked.values()) == 1
    assert {each.reason for each in errors} == {"thumbnail_width"}
    assert not is_transient("thumbnail_width")
    assert "originals: true" in errors[0].detail


def test_a_challenge_in_place_of_a_robots_txt_forbids_nothing(
    workspace: Workspace, sleeper: Sleeper
) -> None:
    routes: dict[str, Any] = {"/a.png": image(), "/robots.txt": Reply(CHALLENGE, 403)}
    with serving(routes) as site, client(workspace, sleeper) as http:
        assert http.image(f"{site.url}/a.png").size_bytes == len(PNG)


def test_a_family_of_addresses_that_leads_nowhere_costs_one_turn(
    workspace: Workspace, sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, tried = socket.socket.connect, []
    addresses = [(socket.AF_INET6, ("::1", 0, 0, 0)), (socket.AF_INET6, ("::2", 0, 0, 0))]

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        found = [*addresses, (socket.AF_INET, ("127.0.0.1", port))]
        return [(family, socket.SOCK_STREAM, 6, "", address) for family, address in found]

    def connected(self: socket.socket, address: Any) -> None:
        tried.append((address[0], self.gettimeout()))
        if ":" in address[0]:
            raise TimeoutError
        connect(self, address)

    routes: dict[str, Any] = {"/a.png": image(), "/b.png": image()}
    with serving(routes) as site, client(workspace, sleeper, retries=0) as http:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        monkeypatch.setattr(socket.socket, "connect", connected)
        http.image(f"{site.url}/a.png")
        first = tried.copy()
        tried.clear()
        http.image(f"{site.url}/b.png")
    assert first[:2] == [("::1", 2.0), ("127.0.0.1", 2.0)]
    assert {address for address, _ in tried} == {"127.0.0.1"}


def test_a_site_that_asks_whether_cookies_come_back_is_answered_and_they_are_forgotten(
    workspace: Workspace, sleeper: Sleeper
) -> None:
    def gate(site: Site) -> Reply:
        if "seen=1" in site.last_headers["/a.png"].get("Cookie", ""):
            return image()
        cookie = {"Location": "/a.png", "Set-Cookie": "seen=1; path=/; HttpOnly"}
        return Reply(b"", 302, headers=cookie)

    with serving({"/a.png": gate, "/b.png": image()}) as site:
        port = site.url.rpartition(":")[2]
        elsewhere = {"Location": f"http://localhost:{port}/b.png", "Set-Cookie": "secret=1"}
        site.routes["/c.png"] = Reply(b"", 302, headers=elsewhere)
        with client(workspace, sleeper, allow_private_hosts=("127.0.0.1", "localhost")) as http:
            assert http.image(f"{site.url}/a.png").size_bytes == len(PNG)
            http.image(f"{site.url}/b.png")
            assert "Cookie" not in site.last_headers["/b.png"]
            http.image(f"{site.url}/c.png")
            assert "Cookie" not in site.last_headers["/b.png"]
