"""Which addresses may be asked: public ones over HTTP, and nothing inside the own network."""

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from styledag.errors import FetchError

SocketAddress = tuple[int, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]
"""Address family and socket address, as :func:`socket.getaddrinfo` gives them."""


def parts_of(url: str) -> SplitResult:
    """Return the parts of what should be a URL, without scheme and host if it is none.

    Lists, pages and settings have such as ``http://[my site]/``: :func:`checked_url` refuses them
    once they are asked for.
    """
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", url, "", "")


def checked_url(url: str) -> SplitResult:
    """Return the parts of a URL that may be asked.

    Raises:
        FetchError: ``invalid_url``, ``scheme_refused`` or ``credentials_refused``.
    """
    try:
        parts = urlsplit(url)
        port_is_sound = parts.port is None or parts.port > 0
    except ValueError as exc:
        raise FetchError("invalid_url", f"{url[:200]!r} is not a URL: {exc}") from exc
    if parts.scheme not in ("http", "https"):
        raise FetchError("scheme_refused", f"{parts.scheme or 'no scheme'!r} is not http or https")
    if not parts.hostname or not port_is_sound:
        raise FetchError("invalid_url", f"{url[:200]!r} names no host")
    if parts.username is not None or parts.password is not None:
        raise FetchError("credentials_refused", "the URL carries a user name or password")
    return parts


def checked_addresses(
    host: str, port: int, *, private_hosts: Collection[str] = ()
) -> list[SocketAddress]:
    """Resolve a host and return its addresses, once every one of them has been checked.

    Whoever connects has to connect to one of these: a second look-up may answer otherwise.

    Args:
        host: A name or an address in any notation that the system's resolver takes.
        port: Port that shall be asked.
        private_hosts: Hosts, as they stand in URLs, that may lie on private addresses.

    Raises:
        FetchError: ``host_not_found``, ``host_not_resolved`` if the resolver itself is not to be
            reached for now, or ``private_address`` if any address is not public.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        if isinstance(exc, socket.gaierror) and exc.errno == socket.EAI_AGAIN:
            raise FetchError(
                "host_not_resolved", f"host {host} cannot be resolved for now: check the network"
            ) from exc
        raise FetchError("host_not_found", f"host {host} cannot be resolved") from exc
    addresses: list[SocketAddress] = [(each[0], each[4]) for each in found]
    if host.lower() not in {each.lower() for each in private_hosts}:
        for _, address in addresses:
            if not _is_public(str(address[0])):
                raise FetchError(
                    "private_address",
                    f"host {host} lies on {address[0]}, which is not public; if it is yours, name "
                    "it under fetch.allow_private_hosts",
                )
    return addresses


def check_unresolved(host: str) -> None:
    """Refuse a host that a proxy would look for in its own network, as far as its name says so.

    Only the proxy knows what a name stands for, and often no other machine can ask.

    Args:
        host: A name or an address in any notation that the system's resolver takes.

    Raises:
        FetchError: ``private_address`` if it is no public address, or a name without a dot.
    """
    try:
        found = socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        is_public = all(_is_public(str(each[4][0])) for each in found)
    except (OSError, UnicodeError):
        is_public = "." in host.rstrip(".") and not host.rstrip(".").endswith(".localhost")
    if not is_public:
        raise FetchError(
            "private_address",
            f"host {host} is not public; if it is yours, name it under fetch.allow_private_hosts",
        )


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        # An IPv4 address inside an IPv6 one reaches what the IPv4 address reaches.
        inner = address.ipv4_mapped or address.sixtofour or _translated(address)
        if inner is not None:
            return _is_public(str(inner))
    return address.is_global and not address.is_multicast


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address in a NAT64 one (RFC 6052, section 2.1)."""
    if address in ipaddress.IPv6Network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
