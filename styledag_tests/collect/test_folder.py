import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from styledag.collect.collect import collect_images
from styledag.collect.records import RawImage
from styledag.collect.settings import FolderSource
from styledag.errors import SourceError
from styledag.manifest import Manifest
from styledag.store.workspace import Workspace
from styledag_tests.collect.servers import PNG


def collect(tmp_path: Path, workspace: Workspace, **changes: Any) -> Manifest[RawImage]:
    source = FolderSource(type="folder", **{"path": "images", **changes})
    return collect_images([source], workspace, project=tmp_path)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "b.png").write_bytes(PNG)
    (folder / "deep" / "er" / "a.PNG").write_bytes(PNG + b"more")
    return folder


def test_a_tree_is_read_with_captions_and_the_stated_licence(
    tmp_path: Path, workspace: Workspace, images: Path
) -> None:
    (images / "b.txt").write_text("a red\n apple\n")
    (images / "deep" / "er" / "a.caption").write_text("a pear")
    (images / "notes.md").write_text("not an image")
    manifest = collect(tmp_path, workspace, licence="CC0", author="Ada")
    assert [(row.origin.url, row.origin.alt) for row in manifest.rows] == [
        ("b.png", "a red apple"),
        ("deep/er/a.PNG", "a pear"),
    ]
    assert {(row.origin.licence, row.origin.author) for row in manifest.rows} == {("CC0", "Ada")}
    assert manifest.rows[0].sha256 == hashlib.sha256(PNG).hexdigest()
    assert workspace.blobs.read(manifest.rows[0].sha256) == PNG


def test_a_second_run_takes_nothing_anew(
    tmp_path: Path, workspace: Workspace, images: Path
) -> None:
    first = collect(tmp_path, workspace)
    assert workspace.work == {"downloads": 2}
    workspace.work.clear()
    assert collect(tmp_path, workspace) == first
    assert not workspace.work


def test_links_out_of_the_folder_and_other_oddities_are_counted(
    tmp_path: Path, workspace: Workspace, images: Path
) -> None:
    (tmp_path / "secret.png").write_bytes(PNG + b"secret")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c.png").write_bytes(PNG)
    (images / "out.png").symlink_to(tmp_path / "secret.png")
    (images / "inside.png").symlink_to(images / "b.png")
    (images / "linked").symlink_to(tmp_path / "elsewhere")
    (images / "dangling.png").symlink_to(images / "nowhere.png")
    (images / "page.jpg").write_text("<html>")
    (images / "large.png").write_bytes(PNG + b"x" * 5_000)
    os.mkfifo(images / "pipe.png")
    manifest = collect(tmp_path, workspace, max_image_bytes=4_000)
    assert [row.origin.url for row in manifest.rows] == ["b.png", "deep/er/a.PNG", "inside.png"]
    assert manifest.facts == {
        "found": 8,
        "kept": 3,
        "rejected_link_refused": 1,
        "rejected_not_an_image": 1,
        "rejected_too_large": 1,
        "rejected_unreadable": 2,
    }


def test_two_folders_with_equal_names_keep_both_images(
    tmp_path: Path, workspace: Workspace, images: Path
) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.png").write_bytes(PNG + b"other")
    sources = [FolderSource(type="folder", path=path) for path in ("images", "more")]
    manifest = collect_images(sources, workspace, project=tmp_path)
    assert [row.key for row in manifest.rows] == ["b.png", "deep/er/a.PNG", "more/b.png"]


def test_a_missing_or_an_empty_folder_is_named(tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(SourceError, match="folder images is not in"):
        collect(tmp_path, workspace)
    (tmp_path / "images").mkdir()
    with pytest.raises(SourceError, match="no image found: folder images"):
        collect(tmp_path, workspace)
