"""Packed items: what the last build used is one file to read, and losing it costs nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from styledag.store.files import Files
from styledag.store.packed_items import PackedItems
from styledag.store.store import Store, Target
from styledag.store.workspace import Workspace

KEYS = [f"{at:064x}" for at in range(3_000)]


class CountedFiles(Files):
    """Counts the files that are read."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root / "store"), cache=root / "cache")
        self.asked = 0

    def read_many(self, names: Sequence[str]) -> Mapping[str, bytes]:
        self.asked += len(names)
        return super().read_many(names)


@pytest.fixture
def files(tmp_path: Path) -> CountedFiles:
    return CountedFiles(tmp_path)


def items(files: Files, folder: Path) -> PackedItems:
    return PackedItems(files, folder / "packed")


def content(key: str) -> bytes:
    return f"result of {key}".encode()


def written(path: Path) -> tuple[int, int, int]:
    """What tells a file from one written anew: reading it changes its time of access alone."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def test_what_was_used_is_read_from_no_file_of_its_own(files: CountedFiles, tmp_path: Path) -> None:
    first = items(files, tmp_path)
    for key in KEYS:
        first.put("look", key, content(key))
    first.save()
    files.asked = 0
    second = items(files, tmp_path)
    assert second.get_many("look", KEYS) == {key: content(key) for key in KEYS}
    assert second.get("look", KEYS[5]) == content(KEYS[5])
    assert files.asked == 0


def test_one_more_result_is_one_more_file(files: CountedFiles, tmp_path: Path) -> None:
    first = items(files, tmp_path)
    for key in KEYS[:-1]:
        first.put("look", key, content(key))
    first.save()
    second = items(files, tmp_path)
    files.asked = 0
    assert second.get_many("look", KEYS).keys() == set(KEYS[:-1])
    second.put("look", KEYS[-1], b"new")
    second.save()
    assert files.asked == 2  # looked for, and packed
    third = items(files, tmp_path)
    assert third.get_many("look", KEYS)[KEYS[-1]] == b"new"
    assert files.asked == 2


def test_few_new_results_leave_the_large_file_as_it_is(files: CountedFiles, tmp_path: Path) -> None:
    first = items(files, tmp_path)
    for key in KEYS[:2_990]:
        first.put("look", key, content(key))
    first.save()
    large = tmp_path / "packed" / "look.arrow"
    before = written(large)
    for key in KEYS[2_990:2_995]:
        now = items(files, tmp_path)
        now.get_many("look", KEYS)
        now.put("look", key, content(key))
        now.put("look", KEYS[7], content(key))
        now.save()
    assert written(large) == before
    last = items(files, tmp_path)
    files.asked = 0
    expected = {key: content(key) for key in KEYS[:2_995]} | {KEYS[7]: content(KEYS[2_994])}
    assert last.get_many("look", KEYS[:2_995][::-1]) == expected
    assert files.asked == 0
    for key in KEYS[2_995:]:
        last.put("look", key, bytes(1))
    for at in range(1_000):
        last.put("look", f"{at:060d}", bytes(1))
    last.save()
    assert written(large) != before
    assert [path.name for path in large.parent.iterdir()] == ["look.arrow"]
    assert items(files, tmp_path).get_many("look", KEYS[:2_995]) == expected


def test_what_is_no_longer_used_leaves_the_file(files: CountedFiles, tmp_path: Path) -> None:
    first = items(files, tmp_path)
    for key in KEYS[:3]:
        first.put("look", key, content(key))
    first.save()
    second = items(files, tmp_path)
    second.get("look", KEYS[0])
    second.put("look", KEYS[3], b"new")
    second.save()
    files.asked = 0
    third = items(files, tmp_path)
    assert third.get("look", KEYS[0]) == content(KEYS[0])
    assert files.asked == 0
    assert third.get("look", KEYS[1]) == content(KEYS[1])
    assert files.asked == 1


@pytest.mark.parametrize("damage", [b"", b"ARROW1", None])
def test_a_lost_or_damaged_pack_costs_nothing_but_time(
    files: CountedFiles, tmp_path: Path, damage: bytes | None
) -> None:
    first = items(files, tmp_path)
    first.put("look", KEYS[0], b"known")
    first.save()
    pack = tmp_path / "packed" / "look.arrow"
    assert pack.is_file()
    if damage is None:
        pack.write_bytes(pack.read_bytes()[:-40])
    else:
        pack.write_bytes(damage)
    assert items(files, tmp_path).get("look", KEYS[0]) == b"known"


def test_a_result_put_anew_replaces_the_packed_one(files: CountedFiles, tmp_path: Path) -> None:
    for written in (b"damaged", b"sound"):
        now = items(files, tmp_path)
        now.put("look", KEYS[0], written)
        assert now.get("look", KEYS[0]) == written
        now.save()
    assert items(files, tmp_path).get("look", KEYS[0]) == b"sound"


def test_large_results_are_not_stored_twice(files: CountedFiles, tmp_path: Path) -> None:
    first = items(files, tmp_path)
    first.put("moments", KEYS[0], bytes(1_000_000))
    first.save()
    assert not (tmp_path / "packed").exists()
    assert items(files, tmp_path).get("moments", KEYS[0]) == bytes(1_000_000)


def test_a_build_reads_what_the_last_build_of_its_partition_used(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"), cache=tmp_path / "cache")

    def put(workspace: Workspace) -> dict[str, int]:
        workspace.items.put_json("look", KEYS[0], 1)
        (workspace.folder / "a").write_text("a")
        return {}

    def get(workspace: Workspace) -> dict[str, int]:
        return {"look": workspace.items.get_json("look", KEYS[0])}

    store.build(Target(asset="curated_images", partition="s", code_version="1"), put)
    store.files.remove_folder("items")
    built = store.build(Target(asset="curated_images", partition="s", code_version="2"), get)
    assert built.artifact.facts == {"look": 1}
    other = store.build(Target(asset="curated_images", partition="t", code_version="1"), get)
    assert other.artifact.facts == {"look": None}
