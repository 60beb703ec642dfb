"""A folder's images are read once, and again whenever anybody has written into one."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from styledag.collect import folder as collecting
from styledag.collect import read_files
from styledag.collect.collect import collect_images
from styledag.collect.image_type import image_type
from styledag.collect.records import RawImage
from styledag.collect.settings import FolderSource
from styledag.manifest import Manifest
from styledag.store.workspace import Workspace
from styledag_tests.collect.servers import PNG

NAMES = ["a.png", "b.png", "b.txt", "notes.md"]


@pytest.fixture
def looked_into(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The beginnings of the images whose content was looked at."""
    heads: list[bytes] = []

    def noted(body: bytes, declared: str = "") -> str:
        found = image_type(body, declared)
        heads.extend([body] if found else [])
        return found

    monkeypatch.setattr(collecting, "image_type", noted)
    return heads


@pytest.fixture
def kept(tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace for which every file was written long ago."""
    images = tmp_path / "images"
    images.mkdir()
    for at, name in enumerate(NAMES):
        (images / name).write_bytes((PNG if name.endswith("png") else b"text ") + bytes([48 + at]))
    monkeypatch.setattr(read_files, "_SETTLED_NS", -(10**12))
    return replace(workspace, kept=tmp_path / "kept")


def collect(workspace: Workspace, tmp_path: Path, **changes: Any) -> Manifest[RawImage]:
    source = FolderSource(type="folder", **{"path": "images", **changes})
    return collect_images([source], workspace, project=tmp_path)


def test_what_stays_as_it_is_is_read_once(
    kept: Workspace, tmp_path: Path, looked_into: list[bytes]
) -> None:
    first = collect(kept, tmp_path)
    assert len(looked_into) == 2
    looked_into.clear()
    assert collect(kept, tmp_path) == first
    assert [row.subject for row in first.rejected] == ["notes.md"]
    assert not looked_into


def test_a_file_of_the_same_size_and_time_is_read_again(
    kept: Workspace, tmp_path: Path, looked_into: list[bytes]
) -> None:
    before = collect(kept, tmp_path)
    looked_into.clear()
    image = tmp_path / "images" / "a.png"
    stat = image.stat()
    image.write_bytes(PNG + b"?")
    os.utime(image, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = collect(kept, tmp_path)
    assert looked_into == [PNG + b"?"]
    assert [one == other for one, other in zip(before.rows, after.rows, strict=True)] == [
        False,
        True,
    ]


def test_what_was_written_just_now_is_read_again(
    kept: Workspace,
    tmp_path: Path,
    looked_into: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(read_files, "_SETTLED_NS", 10**12)
    collect(kept, tmp_path)
    collect(kept, tmp_path)
    assert len(looked_into) == 4


def test_an_image_that_the_store_has_lost_is_read_again(
    kept: Workspace, tmp_path: Path, looked_into: list[bytes]
) -> None:
    first = collect(kept, tmp_path)
    looked_into.clear()
    kept.blobs.path(first.rows[0].sha256).unlink()
    assert collect(kept, tmp_path) == first
    assert len(looked_into) == 1
    assert kept.blobs.has(first.rows[0].sha256)


def test_a_smaller_limit_holds_for_what_was_read_before(kept: Workspace, tmp_path: Path) -> None:
    (tmp_path / "images" / "large.png").write_bytes(PNG + bytes(2_000))
    assert len(collect(kept, tmp_path).rows) == 3
    smaller = collect(kept, tmp_path, max_image_bytes=1_000)
    assert [(row.subject, row.reason) for row in smaller.rejected] == [
        ("large.png", "too_large"),
        ("notes.md", "not_an_image"),
    ]
    assert len(collect(kept, tmp_path).rows) == 3


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "null", '{"made_by": "1"}', '{"made_by": "1", "files": {"a.png": 1}}']
)
def test_a_damaged_memory_is_forgotten(
    kept: Workspace, tmp_path: Path, looked_into: list[bytes], damage: str
) -> None:
    first = collect(kept, tmp_path)
    (memory,) = (tmp_path / "kept").iterdir()
    whole = memory.read_text()
    memory.write_text(damage)
    looked_into.clear()
    assert collect(kept, tmp_path) == first
    assert len(looked_into) == 2
    assert memory.read_text() == whole


def test_a_file_that_is_gone_is_forgotten(kept: Workspace, tmp_path: Path) -> None:
    collect(kept, tmp_path)
    (tmp_path / "images" / "a.png").unlink()
    collect(kept, tmp_path)
    (memory,) = (tmp_path / "kept").iterdir()
    assert "a.png" not in memory.read_text()
