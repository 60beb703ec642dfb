"""TLS to an address that was checked: the name in the URL is what counts for SNI and trust."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from styledag.collect.web.transport import Transport
from styledag.errors import FetchError

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
                for _ in range(100 if self.path == "/drip" else 1):
                    self.wfile.write(b"x")
                    time.sleep(0.05)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    context.sni_callback = lambda _socket, name, _context: site.names.append(str(name))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.daemon_threads, server.block_on_close = True, False
        site.url = f"https://{HOST}:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield site
        server.shutdown()
        thread.join()


@pytest.fixture
def transport() -> Iterator[Transport]:
    transport = Transport(timeout_s=0.7, private_hosts=(HOST,))
    yield transport
    transport.close()


def test_a_certificate_that_nobody_vouches_for_is_refused(
    site: TlsSite, transport: Transport
) -> None:
    with pytest.raises(FetchError, match=r"self.signed certificate \(tls_failed\)"):
        transport.get(site.url, {}, max_bytes=10)
    assert not site.hosts


def test_the_urls_name_is_what_the_server_and_the_certificate_see(
    site: TlsSite, transport: Transport
) -> None:
    transport._session.verify = str(site.certificate)
    assert transport.get(site.url, {}, max_bytes=10).body == b"x"
    assert site.names == [HOST]
    assert site.hosts == [site.url.removeprefix("https://")]


def test_a_drip_through_tls_is_cut_at_the_deadline(site: TlsSite, transport: Transport) -> None:
    transport._session.verify = str(site.certificate)
    began = time.monotonic()
    with pytest.raises(FetchError, match="timeout"):
        transport.get(f"{site.url}/drip", {}, max_bytes=1_000)
    assert time.monotonic() - began < 2
