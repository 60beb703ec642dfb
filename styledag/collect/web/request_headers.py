"""The headers of a request: user agent, contact, and a source's own headers and cookies."""

import os
import re
import urllib.request
from collections.abc import Collection, Iterable, Mapping, Sequence
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from pathlib import Path

from styledag import __version__
from styledag.collect.settings import AGENT, FetchSettings
from styledag.collect.web.addresses import parts_of
from styledag.collect.web.links import ascii_host
from styledag.errors import StyleFileError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_CELLS = 7
"""Of a line in a file of cookies: domain, subdomains, path, secure, expiry, name, value."""
_OURS = frozenset(("host", "cookie", "connection", "content-length", "transfer-encoding"))


class RequestHeaders:
    """The headers of each request of one source.

    A source's own headers go to its own hosts and their subdomains alone, and a cookie where its
    domain, path and ``secure`` flag allow it, so that no redirect carries a secret elsewhere.

    Raises:
        StyleFileError: If an environment variable or the file of cookies is missing.
    """

    def __init__(
        self, settings: FetchSettings, *, hosts: Collection[str] = (), project: Path
    ) -> None:
        contact = f" (+{settings.contact})" if settings.contact else ""
        self._agent = settings.user_agent or f"{AGENT}/{__version__}{contact}"
        self._uses_referer = settings.referer
        self._hosts = {_spelt(host) for host in hosts}
        self._own = {name: _filled_in(name, value) for name, value in settings.headers.items()}
        self._cookies = None if settings.cookies is None else _read(project / settings.cookies)

    def of(self, url: str, *, referer: str = "") -> Mapping[str, str]:
        """Return the headers of a request."""
        headers = {"User-Agent": self._agent}
        if self._uses_referer and parts_of(referer).netloc:
            headers["Referer"] = _shown_referer(referer, url)
        if self._is_own(parts_of(url).hostname or ""):
            headers |= self._own
        if self._cookies is not None:
            request = urllib.request.Request(url)
            self._cookies.add_cookie_header(request)
            cookie = request.get_header("Cookie")
            if cookie:
                headers["Cookie"] = cookie
        return headers

    def _is_own(self, host: str) -> bool:
        name = _spelt(host)
        return any(name == own or name.endswith(f".{own}") for own in self._hosts)


def contact_hint(settings: FetchSettings, reasons: Iterable[str]) -> str:
    """Return what to set where a site may have refused a program that names no contact, or ""."""
    is_nameless = not (settings.contact or settings.user_agent)
    if not is_nameless or not {"http_403", "http_429"}.intersection(reasons):
        return ""
    return (
        "; many wikis refuse programs that do not say whose they are: set fetch.contact to your "
        "address"
    )


class PassingCookies:
    """Cookies of one chain of redirects, by host: a site may ask whether they come back.

    They are forgotten with the chain, and go to no other host.
    """

    def __init__(self) -> None:
        self._by_origin: dict[str, dict[str, str]] = {}

    def of(self, url: str) -> Mapping[str, str]:
        """Return the header for a request; empty without cookies for its host."""
        cookies = self._by_origin.get(_origin(url), {})
        text = "; ".join(f"{name}={value}" for name, value in cookies.items())
        return {"Cookie": text} if text else {}

    def take(self, url: str, lines: Sequence[str]) -> bool:
        """Take the cookies that an answer sets; return whether one of them is new."""
        known = self._by_origin.setdefault(_origin(url), {})
        before = dict(known)
        for line in lines:
            name, sign, value = line.partition(";")[0].partition("=")
            if sign and name.strip() and f"{name}{value}".isprintable():
                known[name.strip()] = value.strip()
        return known != before


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])


def _spelt(host: str) -> str:
    try:
        return ascii_host(host.lower())
    except ValueError:
        return host


def _filled_in(name: str, value: str) -> str:
    if name.lower() in _OURS:
        raise StyleFileError(f"fetch.headers: {name} cannot be set; cookies go under fetch.cookies")

    def variable(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise StyleFileError(
                f"fetch.headers: {name} needs the environment variable {match[1]}, which is not set"
            )
        return found

    filled = _VARIABLE.sub(variable, value)
    if not filled.isprintable():
        raise StyleFileError(f"fetch.headers: {name} holds a line end or a control character")
    return filled


def _read(path: Path) -> CookieJar:
    own_host_alone = DefaultCookiePolicy.DomainStrictNonDomain
    jar = CookieJar(DefaultCookiePolicy(strict_ns_domain=own_host_alone))
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        cookies = [_cookie(line) for line in map(_uncommented, lines) if line.strip()]
    except (OSError, ValueError) as exc:
        raise StyleFileError(
            f"fetch.cookies: {path} is no readable file of cookies in Netscape's format, which "
            f"has a line of seven cells divided by tabs for each cookie: {exc}"
        ) from exc
    for cookie in cookies:
        jar.set_cookie(cookie)
    jar.clear_expired_cookies()
    return jar


def _uncommented(line: str) -> str:
    line = line.removeprefix("#HttpOnly_")
    return "" if line.startswith(("#", "$")) else line


def _cookie(line: str) -> Cookie:
    """Return the cookie of one line; ``http.cookiejar`` reads less than browsers' extensions write.

    They disagree on whether the dot before a domain or the second cell states that its subdomains
    are meant, leave an empty value out, and write 0, -1 or nothing for a session's cookie.

    Raises:
        ValueError: If it has too few cells, or its expiry is no number.
    """
    cells = line.split("\t")
    if len(cells) < _CELLS - 1:
        raise ValueError(f"{line[:40]!r} has {len(cells)} cells")
    domain, with_subdomains, path, secure, expires, name, *value = cells
    covers_all = domain.startswith(".") or with_subdomains.upper() == "TRUE"
    host = domain.lstrip(".")
    # What http.cookiejar calls a host without a dot.
    domain = "." * covers_all + (host if "." in host else f"{host}.local")
    expiry = int(float(expires or 0))
    return Cookie(
        version=0,
        name=name,
        value="\t".join(value),
        port=None,
        port_specified=False,
        domain=domain,
        domain_specified=covers_all,
        domain_initial_dot=covers_all,
        path=path or "/",
        path_specified=True,
        secure=secure.upper() == "TRUE",
        expires=expiry if expiry > 0 else None,
        discard=expiry <= 0,
        comment=None,
        comment_url=None,
        rest={},
    )


def _shown_referer(page: str, url: str) -> str:
    """Return what browsers name by default: the page to its own site, else the site alone."""
    shown, asked = parts_of(page), parts_of(url)
    if (shown.scheme, shown.netloc) == (asked.scheme, asked.netloc):
        return page
    return f"{shown.scheme}://{shown.netloc}/"
