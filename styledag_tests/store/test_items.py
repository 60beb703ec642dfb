"""The per-item cache and the blobs: damage costs work, never a wrong result."""

import hashlib

import pytest

from styledag.collect.settings import FolderSource
from styledag.errors import StorageError
from styledag.store.items import item_key, item_keys
from styledag.store.store import Store


def test_results_come_back_by_key(store: Store) -> None:
    store.items.put_json("captions", item_key(sha256="a"), {"caption": "a cat"})
    store.items.put("moments", item_key(sha256="a"), b"\x00\x01")
    keys = [item_key(sha256=name) for name in "ab"]
    assert store.items.get_many_json("captions", keys) == {keys[0]: {"caption": "a cat"}}
    assert store.items.get("moments", keys[0]) == b"\x00\x01"
    assert store.items.get_json("captions", keys[1]) is None


def test_a_damaged_result_counts_as_unknown(store: Store) -> None:
    key = item_key(sha256="a")
    store.items.put("captions", key, b'{"caption": "a c')
    assert store.items.get_json("captions", key) is None
    assert store.items.get_many_json("captions", [key]) == {}


def test_a_key_follows_from_every_part() -> None:
    source = FolderSource(type="folder", path="images")
    assert item_key(a=1, b=source) == item_key(b=source, a=1)
    assert item_key(a=1) != item_key(a=2) != item_key(b=2)


@pytest.mark.parametrize("each", ["a", "image", "z"])
def test_many_keys_are_those_of_one_by_one(each: str) -> None:
    names = ["", "0a", 'quo"te', "back\\slash", "caf\xe9 \u2028 \U0001f600"]
    parts = {"code": "1", "size": [1, 2], "settings": {"b": None, "a": 0.5}}
    for others in (parts, {}):
        expected = {name: item_key(**{each: name}, **others) for name in names}
        assert item_keys(each, names, **others) == expected


def test_blobs_lie_under_their_sha256_once(store: Store) -> None:
    sha256 = store.blobs.put(b"image")
    assert sha256 == store.blobs.put(b"image") == hashlib.sha256(b"image").hexdigest()
    assert store.blobs.read(sha256) == store.blobs.path(sha256).read_bytes() == b"image"
    assert store.blobs.has(sha256)
    others = [hashlib.sha256(each).hexdigest() for each in (b"one", b"two")]
    assert store.blobs.known([sha256, *others]) == {sha256}
    assert store.blobs.known([]) == set()


def test_a_missing_blob_is_named(store: Store) -> None:
    with pytest.raises(StorageError, match="f" * 64):
        store.blobs.read("f" * 64)
