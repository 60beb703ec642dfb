"""The per-item cache: one small result for each (what was done, to what)."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any

from styledag.settings import canonical_json, json_digest
from styledag.store.files import Files

_DECODER = json.JSONDecoder()


def item_key(**parts: Any) -> str:
    """Return the sha256 of everything that decides one item's result.

    Args:
        **parts: JSON values or settings: the image's sha256, a model's version, settings.
    """
    return json_digest(parts)


def item_keys(each: str, names: Iterable[str], **parts: Any) -> dict[str, str]:
    """Return by name what :func:`item_key` gives for ``each=name`` and the other parts.

    Args:
        each: The part that differs.
        names: Its values.
        **parts: JSON values or settings that all have; encoded once.
    """
    before = canonical_json({part: value for part, value in parts.items() if part < each})[1:-1]
    after = canonical_json({part: value for part, value in parts.items() if part > each})[1:-1]
    head = f"{{{before}{',' if before else ''}{json.dumps(each)}:"
    tail = f"{',' if after else ''}{after}}}"
    digest = hashlib.sha256
    return {
        name: digest(f"{head}{encode_basestring_ascii(name)}{tail}".encode()).hexdigest()
        for name in names
    }


class Items:
    """Results by namespace and key. Losing one costs the work again and nothing else."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def get(self, namespace: str, key: str) -> bytes | None:
        """Return one result, or ``None`` if it is not known."""
        return self._files.read(_name(namespace, key))

    def get_many(self, namespace: str, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Return the results that are known, by key."""
        by_name = {_name(namespace, key): key for key in keys}
        found = self._files.read_many(list(by_name))
        return {by_name[name]: content for name, content in found.items()}

    def put(self, namespace: str, key: str, content: bytes) -> None:
        """Remember one result."""
        self._files.write(_name(namespace, key), content)

    def get_json(self, namespace: str, key: str) -> Any:
        """Return one result as JSON; ``None`` if it is not known or was damaged."""
        content = self.get(namespace, key)
        return None if content is None else _parsed(content)

    def get_many_json(self, namespace: str, keys: Sequence[str]) -> Mapping[str, Any]:
        """Return the results that are known and sound, as JSON, by key."""
        parsed = {key: _parsed(content) for key, content in self.get_many(namespace, keys).items()}
        return {key: value for key, value in parsed.items() if value is not None}

    def put_json(self, namespace: str, key: str, value: Any) -> None:
        """Remember one result as JSON."""
        self.put(namespace, key, canonical_json(value).encode())


def _name(namespace: str, key: str) -> str:
    return f"items/{namespace}/{key[:2]}/{key}"


def _parsed(content: bytes) -> Any:
    try:
        return _DECODER.decode(content.decode())
    except ValueError:
        return None
