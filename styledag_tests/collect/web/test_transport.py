"""TLS to an address that was checked: the name in the URL is what counts for SNI and trust."""

import errno
import gzip
import http.client
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from styledag.collect.web.transport import Transport
from styledag.errors import FetchError, SourceError, is_transient
from styledag.loopback import served
from styledag_tests.collect.servers import Reply, serving

HOST = "wiki.test"

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@dataclass
class TlsSite:
    url: str
    certificate: Path
    names: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "certificate.pem"


@pytest.fixture
def site(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsSite]:
    resolve = socket.getaddrinfo

    def resolved(host: str, *args: Any, **kwargs: Any) -> Any:
        return resolve("127.0.0.1" if host == HOST else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    site = TlsSite("", certificate)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.hosts.append(self.headers["Host"])
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(200 if self.path == "/drip" else 1):
                    self.wfile.write(b"x")
                    time.sleep(0.05)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    context.sni_callback = lambda _socket, name, _context: site.names.append(str(name))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads, server.block_on_close = True, False
    site.url = f"https://{HOST}:{server.server_port}"
    with served(server):
        yield site


@pytest.fixture
def transport() -> Iterator[Transport]:
    transport = Transport(timeout_s=60, private_hosts=(HOST,))
    yield transport
    transport.close()


def test_a_certificate_that_nobody_vouches_for_is_refused(
    site: TlsSite, transport: Transport
) -> None:
    with pytest.raises(
        FetchError,
        match=r"self.signed certificate; if you trust it, let REQUESTS_CA_BUNDLE .* \(tls_failed\)",
    ):
        transport.get(site.url, {}, max_bytes=10)
    assert not site.hosts


def test_a_clock_that_is_behind_makes_no_address_untrusted_for_good(transport: Transport) -> None:
    early = ssl.SSLCertVerificationError(1, "certificate verify failed")
    early.reason = "CERTIFICATE_VERIFY_FAILED"
    early.verify_code, early.verify_message = 9, "certificate is not yet valid"
    error = requests.exceptions.SSLError()
    error.__cause__ = urllib3.exceptions.SSLError()
    error.__cause__.__cause__ = early
    found = transport._error(error)
    assert isinstance(found, FetchError)
    assert is_transient(found.reason)
    assert "set this machine's clock" in found.detail


def test_an_authority_of_the_own_network_is_named_by_the_environment(
    site: TlsSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(site.certificate))
    transport = Transport(timeout_s=60, private_hosts=(HOST,))
    assert transport.get(site.url, {}, max_bytes=10).body == b"x"
    transport.close()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such.pem")
    with pytest.raises(SourceError, match=r"names /no/such\.pem, which is not there"):
        Transport(timeout_s=60)


@pytest.mark.parametrize("reset", [False, True])
def test_a_handshake_that_breaks_off_may_succeed_later(transport: Transport, reset: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connected, _ = server.accept()
            connected.recv(9_999)
            if reset:
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connected.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        own = Transport(timeout_s=60, private_hosts=("127.0.0.1",))
        with pytest.raises(FetchError) as caught:
            own.get(f"https://127.0.0.1:{server.getsockname()[1]}/", {}, max_bytes=10)
        thread.join()
        own.close()
    assert is_transient(caught.value.reason)


def test_a_host_that_has_answered_is_there_whatever_the_resolver_says_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(*_args: Any, **_kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "nodename nor servname provided, or not known")

    transport = Transport(timeout_s=60, private_hosts=("localhost",))
    with serving({"/": Reply(b"page", headers={"Connection": "close"})}) as site:
        url = site.url.replace("127.0.0.1", "localhost")
        assert transport.get(url, {}, max_bytes=99).body == b"page"
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        for asked, reason in ((url, "host_not_resolved"), ("http://other/", "host_not_found")):
            with pytest.raises(FetchError) as caught:
                transport.get(asked, {}, max_bytes=99)
            assert caught.value.reason == reason
    transport.close()


def test_the_urls_name_is_what_the_server_and_the_certificate_see(
    site: TlsSite, transport: Transport
) -> None:
    transport._session.verify = str(site.certificate)
    assert transport.get(site.url, {}, max_bytes=10).body == b"x"
    assert site.names == [HOST]
    assert site.hosts == [site.url.removeprefix("https://")]


def test_a_drip_through_tls_is_cut_at_the_deadline(site: TlsSite) -> None:
    transport = Transport(timeout_s=0.7, private_hosts=(HOST,))
    transport._session.verify = str(site.certificate)
    began = time.monotonic()
    with pytest.raises(FetchError, match="timeout"):
        transport.get(f"{site.url}/drip", {}, max_bytes=1_000)
    assert time.monotonic() - began < 5  # The whole takes 10 s.
    transport.close()


def exception_classes(root: type[BaseException]) -> set[type[BaseException]]:
    found = {root}
    for each in root.__subclasses__():
        found |= exception_classes(each)
    return found


UPSTREAM = sorted(
    (
        each
        for root in (requests.RequestException, urllib3.exceptions.HTTPError)
        for each in exception_classes(root)
        if each.__module__.startswith(("requests", "urllib3"))
    ),
    key=lambda each: f"{each.__module__}.{each.__qualname__}",
)


@pytest.mark.parametrize("kind", UPSTREAM, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_upstream_error_has_a_reason_and_only_a_broken_line_is_tried_again(
    transport: Transport, kind: type[Exception]
) -> None:
    error = kind.__new__(kind)
    Exception.__init__(error, "odd")
    found = transport._error(error)
    assert isinstance(found, FetchError)
    if is_transient(found.reason):
        assert issubclass(
            kind,
            requests.ConnectionError
            | requests.Timeout
            | requests.exceptions.ChunkedEncodingError
            | http.client.IncompleteRead
            | urllib3.exceptions.ProtocolError
            | urllib3.exceptions.TimeoutError,
        )
    if found.reason == "request_failed":
        assert found.detail.startswith(kind.__name__)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionResetError(errno.ECONNRESET, "reset"), "connection_broken"),
        (OSError(errno.EHOSTUNREACH, "no route"), "connection_broken"),
        (PermissionError(errno.EACCES, "denied"), "request_failed"),
        (OSError("odd"), "request_failed"),
        (http.client.BadStatusLine("junk"), "bad_answer"),
        (http.client.LineTooLong("header line"), "bad_answer"),
        (http.client.RemoteDisconnected("gone"), "connection_broken"),
        (UnicodeError("label too long"), "invalid_url"),
    ],
)
def test_the_systems_errors_are_told_apart(
    transport: Transport, error: Exception, reason: str
) -> None:
    found = transport._error(error)
    assert isinstance(found, FetchError)
    assert found.reason == reason


def test_a_machine_without_sockets_stops_the_source(transport: Transport) -> None:
    error = requests.ConnectionError()
    error.__cause__ = OSError(errno.EMFILE, "Too many open files")
    found = transport._error(error)
    assert not isinstance(found, FetchError)
    assert str(found) == "this machine cannot ask any address: Too many open files"


def compressed(kind: str, body: bytes) -> bytes:
    return gzip.compress(body) if kind == "gzip" else zlib.compress(body)


@pytest.mark.parametrize("kind", ["gzip", "deflate"])
@pytest.mark.parametrize("after", [b"", b"\x00", b"junk"])
def test_a_body_that_ends_inside_its_compression_broke_off(kind: str, after: bytes) -> None:
    body = bytes(range(256)) * 9
    whole = compressed(kind, body)

    def delimited_by_its_end(content: bytes) -> Reply:
        return Reply(headers={"Content-Encoding": kind}, stream=lambda out: out.write(content))

    routes = {
        "/whole": delimited_by_its_end(whole + after),
        "/cut": delimited_by_its_end(whole[:-20]),
        "/empty": delimited_by_its_end(b""),
    }
    with serving(dict(routes)) as site:
        transport = Transport(timeout_s=60, private_hosts=("127.0.0.1",))
        assert transport.get(f"{site.url}/whole", {}, max_bytes=9_999).body == body
        assert transport.get(f"{site.url}/empty", {}, max_bytes=9_999).body == b""
        with pytest.raises(FetchError, match="connection_broken"):
            transport.get(f"{site.url}/cut", {}, max_bytes=9_999)
        transport.close()


def test_what_a_proxy_has_transformed_is_an_answer() -> None:
    with serving({"/": Reply(b"page", 203)}) as site:
        transport = Transport(timeout_s=60, private_hosts=("127.0.0.1",))
        answer = transport.get(f"{site.url}/", {}, max_bytes=99)
        transport.close()
    assert (answer.status, answer.body) == (200, b"page")
