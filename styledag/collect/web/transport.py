"""One exchange over HTTP: by a checked address, limited in bytes and in seconds."""

import contextlib
import errno
import http.client
import os
import ssl
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import requests
import urllib3
from urllib3 import HTTPHeaderDict

from styledag.collect.web.addresses import parts_of
from styledag.collect.web.deadline import Deadline
from styledag.collect.web.dialling import CheckedAdapter, Dialler, proxy_of
from styledag.errors import FetchError, SourceError
from styledag.retry_after import retry_after_s

CHUNK_BYTES = 65_536
_ERROR_BYTES = 16_384
_AUTHORITIES = "REQUESTS_CA_BUNDLE"
"""The environment variable by which networks with an authority of their own tell programs of it."""

_PLAIN = (OSError, ValueError)
"""What ``requests`` lets through unmapped: it parses even a redirect that it shall not follow."""

_WITH_BODY = (200, 203)
"""203 is a proxy's 200 (RFC 9110, section 15.3.4)."""

_NETWORK = frozenset(
    getattr(errno, name)
    for name in (
        *("ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN"),
        *(
            "ENETRESET",
            "ENETUNREACH",
            "ENOTCONN",
            "EPIPE",
            "ESHUTDOWN",
            "ETIMEDOUT",
            "EADDRNOTAVAIL",
        ),
    )
)
"""System errors that a later try may not meet."""

_MACHINE = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC))
"""System errors that concern no address, but this machine."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server answered; 203 counts as 200.

    Attributes:
        body: All of it for status 200; of an error, what has arrived of its first bytes.
    """

    status: int
    headers: HTTPHeaderDict
    body: bytes = b""

    @property
    def retry_after_s(self) -> float | None:
        """Seconds for which the server asks to wait; ``None`` mostly."""
        return retry_after_s(self.headers.get("Retry-After"), date=self.headers.get("Date"))


class Transport:
    """Sends single GET requests; follows nothing, retries nothing, remembers no cookie.

    Args:
        timeout_s: Most seconds that one exchange may take in all.
        private_hosts: Hosts on private addresses that may be asked.

    Raises:
        SourceError: If the environment names a file of authorities that is not there.
    """

    def __init__(self, *, timeout_s: float, private_hosts: Collection[str] = ()) -> None:
        self._timeout_s = timeout_s
        self._dialler = Dialler(private_hosts)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = _authorities()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for prefix in ("http://", "https://"):
            self._session.mount(prefix, CheckedAdapter(self._dialler))

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._session.close()

    def get(
        self, url: str, headers: Mapping[str, str], *, max_bytes: int, is_cut: bool = False
    ) -> Answer:
        """Return what a URL answers.

        Args:
            url: Address to ask.
            headers: Request headers.
            max_bytes: Most bytes of the body.
            is_cut: Whether to return the first ``max_bytes`` of a larger body, one byte more to
                show that it is larger, in place of refusing it.

        Raises:
            FetchError: ``timeout``, ``connection_failed``, ``connection_broken``, ``too_large``,
                ``tls_failed``, ``invalid_url``, ``bad_answer``, ``request_failed`` or a reason of
                :mod:`styledag.collect.web.addresses`.
            SourceError: If this machine has no more sockets, memory or disk.
        """
        with Deadline(self._timeout_s) as deadline:
            self._dialler.deadline = deadline
            try:
                return self._exchange(url, headers, max_bytes, is_cut=is_cut)
            except (requests.RequestException, urllib3.exceptions.HTTPError, *_PLAIN) as exc:
                if deadline.expired:
                    raise self._timeout() from exc
                raise self._error(exc) from exc

    def _exchange(
        self, url: str, headers: Mapping[str, str], max_bytes: int, *, is_cut: bool
    ) -> Answer:
        proxy = proxy_of(url, private_hosts=self._dialler.private_hosts)
        self._dialler.proxy = (parts_of(proxy).hostname or "") if proxy else ""
        with self._session.get(
            url,
            headers=dict(headers),
            timeout=self._timeout_s,
            stream=True,
            allow_redirects=False,
            proxies={"all": proxy} if proxy else None,
        ) as response:
            # Unlike ``requests``' own, these keep apart the lines of one name.
            received = response.raw.headers
            if response.status_code not in _WITH_BODY:
                said = _first_bytes(response)
                return Answer(status=response.status_code, headers=received, body=said)
            body = self._read(response, max_bytes, is_cut=is_cut)
            return Answer(status=200, headers=received, body=body)

    def _read(self, response: requests.Response, max_bytes: int, *, is_cut: bool) -> bytes:
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > max_bytes and not is_cut:
            raise _too_large(max_bytes)
        body = bytearray()
        # read1 returns what has arrived; read would wait for a full chunk, however slow it drips.
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > max_bytes:
                if is_cut:
                    return bytes(body[: max_bytes + 1])
                raise _too_large(max_bytes)
            if self._dialler.deadline.expired:
                raise self._timeout()
        if self._dialler.deadline.expired:
            raise self._timeout()
        if _breaks_off(response.raw):
            raise FetchError("connection_broken", "the answer broke off inside its compression")
        return bytes(body)

    def _timeout(self) -> FetchError:
        return FetchError("timeout", f"no whole answer within {self._timeout_s:g} s")

    def _error(self, exc: Exception) -> SourceError:
        """Return our error for one of ``requests``, ``urllib3`` or the system.

        What is not known to pass is not tried again: it is counted under its own class's name.
        """
        causes = list(_causes(exc))
        numbers = {each.errno for each in causes if isinstance(each, OSError)}
        if numbers & _MACHINE:
            return SourceError(f"this machine cannot ask any address: {_innermost(exc)}")
        if isinstance(
            exc, requests.exceptions.SSLError | urllib3.exceptions.SSLError | ssl.SSLError
        ):
            return _tls_error(exc, causes)
        if isinstance(exc, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
            return self._timeout()
        if any(isinstance(each, _NOT_HTTP) and not isinstance(each, _BROKEN) for each in causes):
            return FetchError("bad_answer", f"the answer is not HTTP: {_innermost(exc)}")
        if isinstance(
            exc, urllib3.exceptions.DecodeError | requests.exceptions.ContentDecodingError
        ):
            return FetchError("bad_answer", f"the body cannot be decoded: {_innermost(exc)}")
        if isinstance(exc, requests.ConnectionError):
            return FetchError("connection_failed", f"no connection: {_innermost(exc)}")
        if numbers & _NETWORK or any(isinstance(each, _BROKEN) for each in causes):
            return FetchError("connection_broken", f"the answer broke off: {_innermost(exc)}")
        if isinstance(exc, ValueError | urllib3.exceptions.LocationValueError):
            return FetchError("invalid_url", f"not a URL that can be asked: {exc}")
        return FetchError("request_failed", f"{type(exc).__name__}: {_innermost(exc)}")


def _first_bytes(response: requests.Response) -> bytes:
    """Return the first bytes of an error's page, as far as they can be had; none of a file."""
    body = b""
    if "html" not in response.headers.get("Content-Type", "html"):
        return body
    with contextlib.suppress(urllib3.exceptions.HTTPError, *_PLAIN, *_NOT_HTTP):
        while len(body) < _ERROR_BYTES:
            chunk = response.raw.read1(CHUNK_BYTES, decode_content=True)
            if not chunk:
                break
            body += chunk
    return body


def _breaks_off(raw: Any) -> bool:
    """Return whether a compressed body that only the connection's end delimits has no end.

    Length and chunks show the end of every other; urllib3's decoders do not ask for it.
    """
    if {"content-length", "transfer-encoding"} & {name.lower() for name in raw.headers}:
        return False
    decoder = getattr(raw, "_decoder", None)
    stream = getattr(decoder, "_obj", None)
    # What comes after a whole gzip may be anything.
    is_first = not getattr(decoder, "_state", 0)
    return bool(raw.tell() and is_first and not getattr(stream, "eof", True))


_NOT_HTTP = (http.client.HTTPException,)
_BROKEN = (
    http.client.IncompleteRead,
    http.client.RemoteDisconnected,
    urllib3.exceptions.ProtocolError,
    requests.exceptions.ChunkedEncodingError,
    ConnectionError,
    EOFError,
)


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and those that it came from."""
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__


_NOT_YET_VALID = 9
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID."""
_TLS_BROKE_OFF = frozenset(
    ("UNEXPECTED_EOF_WHILE_READING", "DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "BAD_RECORD_MAC")
)
"""OpenSSL's reasons that come from the line, or from a server that is too busy to shake hands."""


def _is_broken_tls(exc: BaseException) -> bool:
    if isinstance(exc, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
        return True
    return isinstance(exc, ssl.SSLError) and exc.reason in _TLS_BROKE_OFF


def _tls_error(exc: BaseException, causes: Sequence[BaseException]) -> FetchError:
    """Return what is wrong with a certificate, a handshake or the line, and what to do."""
    said = _innermost(exc)
    if any(map(_is_broken_tls, causes)):
        return FetchError("connection_broken", f"TLS broke off: {said}")
    untrusted = [each for each in causes if isinstance(each, ssl.SSLCertVerificationError)]
    if any(getattr(each, "verify_code", 0) == _NOT_YET_VALID for each in untrusted):
        detail = f"no trusted TLS connection: {said}; set this machine's clock, which is behind"
        return FetchError("certificate_not_yet_valid", detail)
    advice = f"; if you trust it, let {_AUTHORITIES} name the file of its authority"
    detail = f"no trusted TLS connection: {said}{advice if untrusted else ''}"
    return FetchError("tls_failed", detail)


def _authorities() -> str | bool:
    """Return the file of the authorities to trust; True for those that come with ``requests``.

    Raises:
        SourceError: If the environment names one that is not there.
    """
    named = os.environ.get(_AUTHORITIES)
    if named and not Path(named).exists():
        raise SourceError(f"{_AUTHORITIES} names {named}, which is not there: correct or unset it")
    return named or True


def _too_large(max_bytes: int) -> FetchError:
    return FetchError("too_large", f"more than the {max_bytes} bytes allowed")


def _innermost(exc: BaseException) -> str:
    """Return the words of the first cause, without what differs from machine to machine."""
    *_, exc = _causes(exc)
    if isinstance(exc, ssl.SSLCertVerificationError):
        return exc.verify_message
    if isinstance(exc, ssl.SSLError):
        return (exc.reason or "failed").lower().replace("_", " ")
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    if isinstance(exc, http.client.IncompleteRead | urllib3.exceptions.IncompleteRead):
        return "fewer bytes than announced"
    return str(exc) or type(exc).__name__
