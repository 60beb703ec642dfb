"""The client is polite, stubborn, and goes only where it may."""

import gzip
import socket
import threading
import time
from typing import Any

import pytest

from styledag.store.workspace import Workspace
from styledag_tests.collect.clients import Sleeper, client, first_then, refusal
from styledag_tests.collect.servers import PNG, Reply, Site, image, serving


def test_user_agent_is_honest_and_no_cookie_comes_back(
    workspace: Workspace, sleeper: Sleeper
) -> None:
    routes = {"/a.png": image(**{"Set-Cookie": "id=1"}), "/b.png": image()}
    with serving(dict(routes)) as site, client(workspace, sleeper) as http:
        http.image(f"{site.url}/a.png")
        http.image(f"{site.url}/b.png")
        headers = site.last_headers["/b.png"]
    assert headers["User-Agent"].startswith("styledag/")
    assert "me@example.org" in headers["User-Agent"]
    assert "Cookie" not in headers
    assert site.asked["/robots.txt"] == 1


@pytest.mark.parametrize(
    ("header", "expected"),
    [("3", 3.0), ("1.5", 1.5), ("3, 7", 7.0)],
)
def test_429_is_tried_again_when_the_server_says(
    workspace: Workspace, sleeper: Sleeper, header: str, expected: float
) -> None:
    busy = Reply(b"", 429, headers={"Retry-After": header})
    with (
        serving({"/a.png": first_then(busy, image())}) as site,
        client(workspace, sleeper) as http,
    ):
        assert http.image(f"{site.url}/a.png").size_bytes == len(PNG)
    assert sleeper.slept == [expected]


def test_a_host_that_asks_for_hours_is_not_asked_again(
    workspace: Workspace, sleeper: Sleeper
) -> None:
    busy = Reply(b"", 429, headers={"Retry-After": "7200"})
    with (
        serving({"/a.png": busy, "/b.png": image()}) as site,
        client(workspace, sleeper) as http,
    ):
        error = refusal(http.image, f"{site.url}/a.png")
        assert refusal(http.image, f"{site.url}/b.png").reason == "host_given_up"
    assert (error.reason, error.detail) == (
        "http_429",
        "the server answers 429 and asks to wait 7200 s",
    )
    assert (site.asked["/a.png"], site.asked["/b.png"], sleeper.slept) == (1, 0, [])


def test_longer_waits_are_reported(workspace: Workspace, sleeper: Sleeper) -> None:
    busy = Reply(b"", 503, headers={"Retry-After": "30"})
    waits: list[float] = []
    with (
        serving({"/a.png": first_then(busy, image())}) as site,
        client(workspace, sleeper) as http,
    ):
        http.on_wait = waits.append
        http.image(f"{site.url}/a.png")
    assert waits == [30.0]


def test_a_source_whose_time_is_up_asks_no_more(workspace: Workspace, sleeper: Sleeper) -> None:
    with serving({"/a.png": image()}) as site, client(workspace, sleeper, max_minutes=1e-9) as http:
        assert refusal(http.image, f"{site.url}/a.png").reason == "over_max_minutes"
    assert not site.asked


def test_503_is_tried_again_with_doubling_waits_and_then_reported(
    workspace: Workspace, sleeper: Sleeper
) -> None:
    with serving({"/a.png": Reply(b"", 503)}) as site, client(workspace, sleeper) as http:
        error = refusal(http.image, f"{site.url}/a.png")
    assert error.reason == "http_503"
    assert site.asked["/a.png"] == 3
    first, second = sleeper.slept
    assert 0.25 <= first <= 0.5 <= second <= 1.0


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_obeyed_at_once(workspace: Workspace, sleeper: Sleeper, status: int) -> None:
    with serving({"/a.png": Reply(b"", status)}) as site, client(workspace, sleeper) as http:
        assert refusal(http.image, f"{site.url}/a.png").reason == f"http_{status}"
    assert site.asked["/a.png"] == 1
    assert not workspace.work


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/a",
        "http://localhost:1/a",
        "http://2130706433:1/a",
        "http://0177.0.0.1:1/a",
        "http://[::1]:1/a",
        "http://[::ffff:127.0.0.1]:1/a",
        "http://[64:ff9b::7f00:1]:1/a",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/a",
        "http://0.0.0.0:1/a",
    ],
)
def test_private_addresses_are_refused_in_every_notation(
    workspace: Workspace, sleeper: Sleeper, url: str
) -> None:
    with client(workspace, sleeper, allow_private_hosts=()) as http:
        assert refusal(http.image, url).reason == "private_address"


def test_a_redirect_to_a_private_address_is_refused(workspace: Workspace, sleeper: Sleeper) -> None:
    with serving({"/secret.png": image()}) as inside:
        target = f"{inside.url.replace('127.0.0.1', 'localhost')}/secret.png"
        moved = Reply(b"", 302, headers={"Location": target})
        with serving({"/a.png": moved}) as site, client(workspace, sleeper) as http:
            assert refusal(http.image, f"{site.url}/a.png").reason == "private_address"
    assert not inside.asked


def test_the_connection_goes_to_the_address_that_was_checked(
    workspace: Workspace, sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that resolves to another address at its second look-up gains nothing by it."""
    resolve, looked_up, dialled = socket.getaddrinfo, [], []

    def rebinding(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        looked_up.append(host)
        return resolve("8.8.8.8" if len(looked_up) == 1 else "127.0.0.1", port, *args, **kwargs)

    def connect(self: socket.socket, address: Any) -> None:
        dialled.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(socket.socket, "connect", connect)
    with client(workspace, sleeper, retries=1) as http:
        error = refusal(http.image, "http://rebind.test/a.png")
    assert error.reason == "private_address"
    assert dialled == [("8.8.8.8", 80)]
    assert looked_up == ["rebind.test", "rebind.test"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "scheme_refused"),
        ("ftp://example.org/a", "scheme_refused"),
        ("/a.png", "scheme_refused"),
        ("http:///a.png", "invalid_url"),
        ("http://example.org:99999/a", "invalid_url"),
        ("http://[bad/a", "invalid_url"),
        ("http://me:secret@example.org/a", "credentials_refused"),
    ],
)
def test_only_plain_web_addresses_are_asked(
    workspace: Workspace, sleeper: Sleeper, url: str, reason: str
) -> None:
    with client(workspace, sleeper) as http:
        assert refusal(http.image, url).reason == reason


@pytest.mark.parametrize(
    "location", ["/moved/hûtte 絵.png", "\\\\127.0.0.1:{port}\\moved\\hûtte 絵.png"]
)
def test_a_redirect_in_raw_utf_8_is_followed(
    workspace: Workspace, sleeper: Sleeper, location: str
) -> None:
    with serving({"/moved/h%C3%BBtte%20%E7%B5%B5.png": image()}) as site:
        raw = location.format(port=site.url.rpartition(":")[2]).encode().decode("latin-1")
        site.routes["/a.png"] = Reply(b"", 302, headers={"Location": raw})
        with client(workspace, sleeper) as http:
            assert http.image(f"{site.url}/a.png").size_bytes == len(PNG)


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("/a.png", "redirect_loop"),
        ("/b.png", "redirect_loop"),
        ("file:///etc/passwd", "scheme_refused"),
        ("http://[bad", "invalid_url"),
    ],
)
def test_redirects_that_lead_nowhere_are_refused(
    workspace: Workspace, sleeper: Sleeper, location: str, reason: str
) -> None:
    routes = {
        "/a.png": Reply(b"", 302, headers={"Location": location}),
        "/b.png": Reply(b"", 301, headers={"Location": "/a.png"}),
    }
    with serving(dict(routes)) as site, client(workspace, sleeper) as http:
        assert refusal(http.image, f"{site.url}/a.png").reason == reason


def test_endless_redirects_end(workspace: Workspace, sleeper: Sleeper) -> None:
    routes = {f"/{n}": Reply(b"", 302, headers={"Location": f"/{n + 1}"}) for n in range(40)}
    with serving(dict(routes)) as site, client(workspace, sleeper) as http:
        assert refusal(http.image, f"{site.url}/0").reason == "too_many_redirects"


def test_a_slow_drip_is_cut_at_the_deadline(workspace: Workspace, sleeper: Sleeper) -> None:
    def drip(stream: Any) -> None:
        for _ in range(200):
            stream.write(b"x")
            time.sleep(0.05)

    slow = Reply(content_type="image/png", headers={"Content-Length": "200"}, stream=drip)
    endless = Reply(content_type="image/png", stream=drip)
    with (
        serving({"/a.png": slow, "/b.png": endless}) as site,
        client(workspace, sleeper, timeout_s=0.4, retries=0) as http,
    ):
        for name in ("a", "b"):
            began = time.monotonic()
            assert refusal(http.image, f"{site.url}/{name}.png").reason == "timeout"
            assert time.monotonic() - began < 5  # The whole takes 10 s.


def test_headers_that_drip_are_cut_too(workspace: Workspace, sleeper: Sleeper) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def drip(url: str) -> None:
            with client(workspace, sleeper, timeout_s=0.4, retries=0) as http:
                http.page(url, obey_robots=False)

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                    for _ in range(200):
                        connection.sendall(b"x")
                        time.sleep(0.05)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        began = time.monotonic()
        assert refusal(drip, f"http://127.0.0.1:{port}/").reason == "timeout"
        assert time.monotonic() - began < 5  # The whole takes 10 s.
        thread.join()


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_limit_is_refused(
    workspace: Workspace, sleeper: Sleeper, announced: bool
) -> None:
    def pour(stream: Any) -> None:
        for _ in range(1_000):
            stream.write(b"x" * 10_000)

    large = image(PNG + b"x" * 5_000) if announced else Reply(stream=pour)
    with (
        serving({"/a.png": large}) as site,
        client(workspace, sleeper, max_image_bytes=4_000) as http,
    ):
        assert refusal(http.image, f"{site.url}/a.png").reason == "too_large"
    assert not workspace.work


def test_a_compressed_body_is_limited_by_what_it_unpacks_to(
    workspace: Workspace, sleeper: Sleeper
) -> None:
    bomb = gzip.compress(b"0" * 20_000_000)
    fine = gzip.compress(b"<p>hello</p>")
    encoding = {"Content-Encoding": "gzip"}
    with (
        serving(
            {"/bomb": Reply(bomb, headers=encoding), "/fine": Reply(fine, headers=encoding)}
        ) as site,
        client(workspace, sleeper, max_page_bytes=100_000) as http,
    ):
        assert refusal(http.page, f"{site.url}/bomb").reason == "too_large"
        assert http.page(f"{site.url}/fine").body == b"<p>hello</p>"


def test_a_body_cut_short_is_never_kept(workspace: Workspace, sleeper: Sleeper) -> None:
    short = image(PNG, **{"Content-Length": str(len(PNG) + 10)})
    with serving({"/a.png": short}) as site, client(workspace, sleeper, retries=1) as http:
        assert refusal(http.image, f"{site.url}/a.png").reason == "connection_broken"
    assert site.asked["/a.png"] == 2
    assert not workspace.work


def test_a_connection_that_breaks_once_is_tried_again(
    workspace: Workspace, sleeper: Sleeper
) -> None:
    broken = image(PNG, **{"Content-Length": str(len(PNG) + 10)})
    with (
        serving({"/a.png": first_then(broken, image())}) as site,
        client(workspace, sleeper) as http,
    ):
        assert http.image(f"{site.url}/a.png").size_bytes == len(PNG)
    assert workspace.work == {"downloads": 1}


@pytest.mark.parametrize("content_type", ["text/html", "image/jpeg", ""])
def test_a_page_served_as_a_image_is_no_image(
    workspace: Workspace, sleeper: Sleeper, content_type: str
) -> None:
    fake = Reply(b"<!DOCTYPE html><p>Please log in</p>", content_type=content_type)
    with serving({"/a.jpg": fake}) as site, client(workspace, sleeper) as http:
        assert refusal(http.image, f"{site.url}/a.jpg").reason == "not_an_image"


def test_a_image_with_a_wrong_content_type_is_one(workspace: Workspace, sleeper: Sleeper) -> None:
    odd = Reply(PNG, content_type="application/octet-stream")
    with serving({"/a": odd}) as site, client(workspace, sleeper) as http:
        assert http.image(f"{site.url}/a").image_type == "image/png"


@pytest.mark.parametrize(
    ("header", "asked_by"),
    [
        ({"ETag": '"1"'}, "If-None-Match"),
        ({"Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT"}, "If-Modified-Since"),
    ],
)
def test_an_unchanged_body_is_asked_for_conditionally(
    workspace: Workspace, sleeper: Sleeper, header: dict[str, str], asked_by: str
) -> None:
    value = next(iter(header.values()))

    def answer(site: Site) -> Reply:
        if site.last_headers["/real.png"].get(asked_by) == value:
            return Reply(b"", 304)
        return image(**header)

    moved = Reply(b"", 302, headers={"Location": "/real.png"})
    with serving({"/a.png": moved, "/real.png": answer}) as site:
        records = []
        for _ in range(2):
            with client(workspace, sleeper) as http:
                records.append(http.image(f"{site.url}/a.png"))
    assert records[0] == records[1]
    assert site.asked["/real.png"] == 2
    assert workspace.work == {"downloads": 1}
    assert workspace.blobs.read(records[1].sha256) == PNG


def test_a_known_sha1_asks_nothing(workspace: Workspace, sleeper: Sleeper) -> None:
    with serving({"/a.png": image()}) as site, client(workspace, sleeper) as http:
        first = http.image(f"{site.url}/a.png", sha1="0" * 40)
        again = http.image(f"{site.url}/a.png", sha1=first.sha1)
        http.image(f"{site.url}/a.png", sha1="0" * 40)
    assert again == first
    assert site.asked["/a.png"] == 2


def test_an_unreachable_host_is_named_by_its_failure(
    workspace: Workspace, sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def resolved(host: str, *args: Any, **kwargs: Any) -> Any:
        # A machine without a network asks nobody, and some resolvers know every name.
        if host == "no-such-host.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    with socket.socket() as closed, client(workspace, sleeper, retries=1) as http:
        # It is nobody else's, and nobody listens.
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        error = refusal(http.image, f"http://127.0.0.1:{port}/a.png")
        unknown = refusal(http.image, "http://no-such-host.invalid/a.png")
    assert error.reason == "connection_failed"
    assert "refused" in error.detail
    assert unknown.reason == "host_not_found"
    assert len(sleeper.slept) == 1
