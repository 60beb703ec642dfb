"""What was received from an address, remembered so that it need not be received again."""

import hashlib
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from styledag.collect.image_type import image_type
from styledag.store.items import item_key
from styledag.store.workspace import Workspace

NAMESPACE = "http"


@dataclass(frozen=True, kw_only=True)
class Received:
    """One body, and what the server said of it; the bytes are the blob ``sha256``.

    Attributes:
        url: What was asked.
        final_url: What answered, after redirects.
        image_type: Media type of the image that it is; empty if it is none.
        opt_outs: What its headers asked of those who use it, separated by spaces.
        refresh: Its header of that name, by which a page sends on.
    """

    url: str
    final_url: str
    sha256: str
    sha1: str
    size_bytes: int
    content_type: str
    image_type: str
    etag: str = ""
    last_modified: str = ""
    opt_outs: str = ""
    refresh: str = ""

    @classmethod
    def of(cls, body: bytes, *, url: str, content_type: str, **said: str) -> "Received":
        """Return the record of some bytes."""
        return cls(
            url=url,
            sha256=hashlib.sha256(body).hexdigest(),
            sha1=hashlib.sha1(body, usedforsecurity=False).hexdigest(),
            size_bytes=len(body),
            content_type=content_type,
            image_type=image_type(body, content_type),
            **{"final_url": url, **said},
        )

    @property
    def validators(self) -> dict[str, str]:
        """Headers that ask for the body only if it has changed; empty if the server named none."""
        asked = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in asked.items() if value}


class ReceivedBodies:
    """The bodies received in any run, by the address asked."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def find(self, url: str) -> Received | None:
        """Return what is known of an address, if its body is still there."""
        found = self._workspace.items.get_json(NAMESPACE, item_key(url=url))
        received = _from_json(found)
        if received is None or not self._workspace.blobs.has(received.sha256):
            return None
        return received

    def keep(self, received: Received, body: bytes) -> None:
        """Remember a body; once this returns, no kill can lose it."""
        self._workspace.blobs.put(body)
        self._workspace.items.put_json(NAMESPACE, item_key(url=received.url), asdict(received))
        if not received.validators:
            mark = self._mark(received)
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()

    def is_of_this_build(self, received: Received) -> bool:
        """Return whether a killed try of this same build received the body.

        Only for what has no validators: the rest can be asked for conditionally.
        """
        return self._mark(received).exists()

    def body(self, received: Received) -> bytes:
        """Return the bytes."""
        return self._workspace.blobs.read(received.sha256)

    def _mark(self, received: Received) -> Path:
        name = item_key(url=received.url, sha256=received.sha256)
        return self._workspace.scratch / "received" / name


def _from_json(found: Any) -> Received | None:
    needed = {each.name for each in fields(Received) if each.default is MISSING}
    names = {each.name for each in fields(Received)}
    if not isinstance(found, dict) or not needed <= set(found) <= names:
        return None
    return Received(**found)
