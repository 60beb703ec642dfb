"""Connections to addresses that were checked, straight or by way of a proxy."""

import functools
import http.client
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy
from urllib3 import ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from styledag.collect.web.addresses import (
    SocketAddress,
    check_unresolved,
    checked_addresses,
    parts_of,
)
from styledag.collect.web.deadline import Deadline
from styledag.errors import FetchError

_FIRST_ANNOUNCEMENT = 102
"""100 is read past already, and 101 changes the protocol for good."""
_TURN_S = 2.0
"""Seconds after which the next address of a host is tried."""


def proxy_of(url: str, *, private_hosts: Collection[str] = ()) -> str | None:
    """Return the proxy by which the environment has a URL asked; ``None`` if it has it straight.

    ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` are read as by other programs.

    Args:
        url: Absolute address.
        private_hosts: Hosts of the own network, which no proxy stands before.

    Raises:
        FetchError: ``private_address`` if the proxy would be sent into its own network.
    """
    host = parts_of(url).hostname or ""
    if host in {each.lower() for each in private_hosts}:
        return None
    proxy = select_proxy(url, get_environ_proxies(url))
    if proxy is None:
        return None
    check_unresolved(host)
    return proxy if "://" in proxy else f"http://{proxy}"


@dataclass
class Dialler:
    """Connects to the addresses of hosts, each after the one before has had its time.

    Attributes:
        private_hosts: Hosts on private addresses that may be asked.
        proxy: Host by way of which the exchange that is under way goes; empty if it goes straight.
        deadline: Of that exchange.
        answered: The address that answered, by host.
    """

    private_hosts: Collection[str]
    proxy: str = ""
    deadline: Deadline = field(default_factory=lambda: Deadline(0))
    answered: dict[str, SocketAddress] = field(default_factory=dict)

    def dial(self, host: str, port: int, timeout: Any) -> socket.socket:
        """Connect to the first address that answers, of those that were checked."""
        addresses = _by_turns(self._addresses(host, port))
        if self.answered.get(host) in addresses:
            addresses.insert(0, self.answered[host])
        failed: OSError | None = None
        for at, (family, address) in enumerate(addresses, start=1):
            connected = socket.socket(family, socket.SOCK_STREAM)
            limit_s = float(timeout) if isinstance(timeout, int | float) else None
            try:
                # Nothing comes back through a broken IPv6, and the whole time would go on it.
                is_last = at == len(addresses)
                connected.settimeout(limit_s if is_last else min(limit_s or _TURN_S, _TURN_S))
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connected.connect(address)
                connected.settimeout(limit_s)
            except OSError as exc:
                connected.close()
                failed = exc
            else:
                self.answered[host] = (family, address)
                return connected
        raise failed or OSError(f"host {host} has no address")

    def _addresses(self, host: str, port: int) -> list[SocketAddress]:
        try:
            return checked_addresses(host, port, private_hosts=(*self.private_hosts, self.proxy))
        except FetchError as exc:
            if exc.reason == "host_not_found" and host in self.answered:
                # Some systems say so of every name while they have no network.
                raise FetchError("host_not_resolved", f"{exc.detail} any more") from exc
            raise


def _by_turns(addresses: Sequence[SocketAddress]) -> list[SocketAddress]:
    """Return addresses so that their families take turns (RFC 8305, section 4)."""
    families: dict[int, list[SocketAddress]] = {}
    for each in addresses:
        families.setdefault(each[0], []).append(each)
    turns = zip_longest(*families.values())
    return [each for turn in turns for each in turn if each is not None]


class _FinalResponse(http.client.HTTPResponse):
    """Reads past answers that only announce another, such as 103 with the links of a page.

    ``http.client`` takes each but 100 for the answer itself, and what follows for that of the next
    question (RFC 9110, section 15.2).
    """

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not _FIRST_ANNOUNCEMENT <= status < http.HTTPStatus.OK:
                return version, status, reason
            http.client.parse_headers(self.fp)


class _CheckedConnection(HTTPConnection):
    response_class = _FinalResponse

    def __init__(self, *args: Any, dialler: Dialler, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._dialler = dialler

    def _new_conn(self) -> socket.socket:
        return self._dialler.dial(self.host.strip("[]"), self.port or 80, self.timeout)

    def getresponse(self) -> Any:
        self._dialler.deadline.hold(self.sock)
        return super().getresponse()


class _CheckedTlsConnection(_CheckedConnection, HTTPSConnection):
    """urllib3 takes host name and SNI from the URL, whatever address the socket is dialled to."""


class _CheckedPool(HTTPConnectionPool):
    ConnectionCls = _CheckedConnection


class _CheckedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _CheckedTlsConnection


class CheckedAdapter(HTTPAdapter):
    """Has each connection, those to proxies too, made by a dialler."""

    def __init__(self, dialler: Dialler) -> None:
        super().__init__(max_retries=0)
        self._pools: dict[str, Any] = {
            "http": functools.partial(_CheckedPool, dialler=dialler),
            "https": functools.partial(_CheckedTlsPool, dialler=dialler),
        }
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> ProxyManager:
        """Return the pools of connections to a proxy."""
        manager: ProxyManager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager
