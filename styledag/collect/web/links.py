"""Addresses as browsers read them (WHATWG URL standard)."""

import re
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

import idna
from requests.utils import requote_uri

from styledag.collect.web.encoding import query_codec
from styledag.errors import FetchError

_CONTROLS = "".join(map(chr, range(0x21)))
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(.*)", re.IGNORECASE | re.DOTALL)
_STRAY_PERCENT = re.compile(r"%(?![0-9a-f]{2})", re.IGNORECASE)
_SESSION = re.compile(
    r"(?:phpsessid|jsessionid|aspsessionid\w*|cfid|cftoken|sessionid|session_id|sessid)=[\w,.-]{8,}"
    # A story's or a series' id is called so too, but is no digest.
    r"|sid=(?:[\da-f]{16}|[\da-f]{32}|[\da-f]{40}|[\da-f]{64})",
    re.IGNORECASE,
)
_SESSION_IN_PATH = re.compile(r";jsessionid=[\w.!-]+$", re.IGNORECASE)
_WEB = {"http": 80, "https": 443}
_FORBIDDEN_IN_HOST = frozenset(_CONTROLS + "#%/:<>?@[\\]^|\x7f")
"""Its escapes have been read (WHATWG URL standard, forbidden domain code points)."""
_KEPT = "!$%&'()*+,/:;=?@[]~|^"


def absolute_url(base: str, link: str, *, encoding: str = "utf-8") -> str:
    r"""Return the address of a link on a page, without fragment and with one spelling of escapes.

    Browsers drop tabs and line ends, read ``\`` as ``/``, and write what is not ASCII in
    percent-encoded UTF-8, save in a query, which is in the page's own encoding.

    Raises:
        FetchError: ``invalid_url``.
    """
    text = re.sub(r"[\t\n\r]", "", link.strip(_CONTROLS)).partition("#")[0]
    path, mark, query = text.partition("?")
    # Browsers take %2e for the dot that it is, also in "..".
    path = re.sub("%2e", ".", path, flags=re.IGNORECASE)
    try:
        asked = quote(query, safe=_KEPT, encoding=query_codec(encoding), errors="xmlcharrefreplace")
        url = urljoin(base, _slashes(path, urlsplit(base).scheme) + mark + asked)
        # RFC 3986 too has an empty link lead to the page itself, query included.
        url = _one_spelling(url if text else base.partition("#")[0])
        return str(requote_uri(_STRAY_PERCENT.sub("%25", url)))
    except ValueError as exc:
        raise FetchError("invalid_url", f"{link[:200]!r} is not a link: {exc}") from exc


def without_session(url: str) -> str:
    """Return an address without a session's id, which makes a new address of one page."""
    path, mark, query = url.partition("?")
    kept = [each for each in query.split("&") if not _SESSION.fullmatch(each)]
    return _SESSION_IN_PATH.sub("", path) + (mark + "&".join(kept) if query and kept else "")


def ascii_host(name: str) -> str:
    """Return a host's name as DNS spells it: ``xn--bcher-kva.example`` for ``bücher.example``.

    Raises:
        ValueError: If it is no name (WHATWG URL standard, domain to ASCII).
    """
    host = name if name.isascii() else _encoded(name)
    # The older standard makes a space of a no-break space, and "a/c" of one sign.
    if _FORBIDDEN_IN_HOST & set(host):
        raise ValueError(f"{name!r} is no host")
    return host


def _encoded(name: str) -> str:
    try:
        return idna.encode(name, uts46=True).decode()
    except idna.IDNAError:
        # Emoji and other signs are names for browsers, and for the older standard.
        return name.encode("idna").decode()


def header_url(value: str) -> str:
    """Return a ``Location`` header as text: its bytes are UTF-8, though HTTP reads Latin-1."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _slashes(path: str, base_scheme: str) -> str:
    """Return what comes before a query with the slashes that browsers read."""
    match = _SCHEME.fullmatch(path)
    scheme = match[1].lower() if match else base_scheme
    if scheme not in _WEB:
        return path
    rest = (match[2] if match else path).replace("\\", "/")
    if match is None:
        return "//" + rest.lstrip("/") if rest.startswith("//") else rest
    if scheme == base_scheme and not rest.startswith("//"):
        return f"./{rest}" if _SCHEME.match(rest) else rest
    return f"{scheme}://{rest.lstrip('/')}"


def _one_spelling(url: str) -> str:
    """Return a URL whose host is in lower case, and whose port is left out where it is usual."""
    parts = urlsplit(url)
    if parts.scheme not in _WEB or not parts.hostname or "@" in parts.netloc:
        return url
    name = unquote(parts.hostname).lower()
    host = f"[{name}]" if ":" in parts.hostname else ascii_host(name)
    port = "" if parts.port in (None, _WEB[parts.scheme]) else f":{parts.port}"
    path = quote(parts.path or "/", safe=_KEPT)
    return urlunsplit((parts.scheme, host + port, path, parts.query, ""))
