"""Where the environment names a proxy, it is asked, and is not sent into its own network."""

import select
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from styledag.collect.discover import discover_source
from styledag.collect.web.dialling import proxy_of
from styledag.collect.web.transport import Transport
from styledag.errors import FetchError
from styledag.loopback import served
from styledag_tests.collect.servers import Reply, page, serving
from styledag_tests.collect.web.test_transport import HOST, TlsSite, certificate, site

__all__ = ["certificate", "site"]

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
PAGE = "http://images.example.org/a.png?b=1"


@dataclass
class Proxy:
    """What a proxy was asked for."""

    url: str = ""
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy that answers for every site itself, and leads every tunnel to this machine."""
    proxy = Proxy()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            proxy.asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "9")
            self.end_headers()
            self.wfile.write(b"via proxy")

        def do_CONNECT(self) -> None:
            proxy.asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            port = int(self.path.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port)) as behind:
                _pass_on(self.connection, behind)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    with served(server) as proxy.url:
        yield proxy


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([one, other], [], [], 10)
        for each in ready:
            received = each.recv(65_536)
            if not received:
                return
            (other if each is one else one).sendall(received)


@pytest.fixture
def transport() -> Iterator[Transport]:
    transport = Transport(timeout_s=60, private_hosts=("127.0.0.1",))
    yield transport
    transport.close()


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "all_proxy"])
@pytest.mark.parametrize("has_scheme", [False, True])
def test_a_proxy_is_asked_for_names_that_nobody_here_knows(
    proxy: Proxy,
    transport: Transport,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    has_scheme: bool,
) -> None:
    if name == "HTTP_PROXY":
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
    else:
        monkeypatch.setenv(name, proxy.url if has_scheme else urlsplit(proxy.url).netloc)
    assert transport.get(PAGE, {}, max_bytes=99).body == b"via proxy"
    assert proxy.asked == [PAGE]


def test_tls_goes_through_a_proxy_to_the_site_itself(
    proxy: Proxy, site: TlsSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def unknown_here(host: str, *args: Any, **options: Any) -> Any:
        if host == HOST:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", unknown_here)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(site.certificate))
    transport = Transport(timeout_s=60)
    assert transport.get(site.url, {}, max_bytes=10).body == b"x"
    transport.close()
    assert proxy.asked == site.hosts == [site.url.removeprefix("https://")]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "0x7f000001",
        "127.1",
        "[::1]",
        "localhost",
        "a.localhost",
        "intranet",
    ],
)
def test_a_proxy_is_not_sent_into_its_own_network(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    transport = Transport(timeout_s=60)
    with pytest.raises(FetchError, match="private_address"):
        transport.get(f"http://{host}/", {}, max_bytes=10)
    transport.close()
    assert not proxy.asked


def test_own_hosts_and_those_without_a_proxy_are_asked_straight(
    proxy: Proxy, transport: Transport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "example.org,192.0.2.0/24")
    assert proxy_of(PAGE) is proxy_of("http://192.0.2.7/") is None
    assert proxy_of("http://example.com/") == proxy.url
    assert proxy_of("http://LocalHost/", private_hosts=["LOCALHOST"]) is None
    with serving({"/": page("<img src=a.png>")}) as straight:
        assert transport.get(f"{straight.url}/", {}, max_bytes=99).status == 200
        found = discover_source(f"{straight.url}/", project=tmp_path).source
    assert found["fetch"]["allow_private_hosts"] == ["127.0.0.1"]
    assert not proxy.asked


def test_a_proxy_that_is_down_may_be_up_later(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.getsockname()[1]}")
    with pytest.raises(FetchError, match="connection_failed"):
        transport.get(PAGE, {}, max_bytes=10)


def test_an_exchange_through_a_proxy_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    slow = Reply(stream=lambda out: [stop.wait(0.05) or out.write(b"x") for _ in range(200)])
    with serving({PAGE: slow}) as dripping:
        monkeypatch.setenv("HTTP_PROXY", dripping.url)
        transport = Transport(timeout_s=0.5)
        with pytest.raises(FetchError, match="timeout"):
            transport.get(PAGE, {}, max_bytes=1_000)
        transport.close()
        stop.set()


@pytest.mark.parametrize("status", [b"102 Processing", b"103 Early Hints"])
def test_an_answer_that_announces_another_is_not_the_answer(
    transport: Transport, status: bytes
) -> None:
    announced = b"HTTP/1.1 %s\r\nLink: </a.css>; rel=preload\r\n\r\n" % status
    asked = []

    def answer(server: socket.socket) -> None:
        connected, _ = server.accept()
        with connected:
            for body in (b"first", b"second"):
                asked.append(connected.recv(9_999))
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
                connected.sendall(announced * 2 + head + body)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        bodies = [transport.get(f"{url}/{at}", {}, max_bytes=99).body for at in range(2)]
        thread.join()
    assert bodies == [b"first", b"second"]
    assert [each[:6] for each in asked] == [b"GET /0", b"GET /1"]
