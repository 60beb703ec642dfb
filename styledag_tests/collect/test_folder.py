import hashlib
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest

from styledag.collect.collect import collect_images
from styledag.collect.folder import escaped_name
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
    assert [(row.origin.url, row.origin.caption) for row in manifest.rows] == [
        ("b.png", "a red\n apple"),
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


def test_a_folder_that_cannot_be_listed_is_counted(
    tmp_path: Path, workspace: Workspace, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == "er":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    manifest = collect(tmp_path, workspace)
    assert manifest.facts == {"found": 2, "kept": 1, "rejected_unreadable": 1}
    assert manifest.rejected[0].subject == "deep/er"


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
    (images / "drawing.svg").write_text("<svg/>")
    (images / "notes.txt").write_text("about nothing here")
    (images / ".DS_Store").write_bytes(PNG)
    (images / ".git").mkdir()
    (images / ".git" / "logo.png").write_bytes(PNG)
    os.mkfifo(images / "pipe.png")
    manifest = collect(tmp_path, workspace, max_image_bytes=4_000)
    assert [row.origin.url for row in manifest.rows] == ["b.png", "deep/er/a.PNG", "inside.png"]
    assert manifest.facts == {
        "found": 13,
        "kept": 3,
        "rejected_hidden": 2,
        "rejected_link_refused": 2,
        "rejected_not_an_image": 1,
        "rejected_text_without_image": 1,
        "rejected_too_large": 1,
        "rejected_unreadable": 2,
        "rejected_unsupported_format": 1,
    }
    details = {row.subject: row.detail for row in manifest.rejected}
    assert "export it as PNG" in details["drawing.svg"]
    assert details["linked"].endswith("name it as a source of its own")


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


ENDINGS = ("a.png", "c.apng", "d.jpg_large", "e.mpo", "f", "g.pjpeg", "h.txt", "i.exe")


def test_the_content_decides_and_not_the_ending(tmp_path: Path, workspace: Workspace) -> None:
    (tmp_path / "images").mkdir()
    for name in ENDINGS:
        (tmp_path / "images" / name).write_bytes(PNG)
    (tmp_path / "images" / "b.svg").write_text("<svg/>")
    manifest = collect(tmp_path, workspace)
    assert tuple(row.origin.url for row in manifest.rows) == ENDINGS
    assert [(each.subject, each.reason) for each in manifest.rejected] == [
        ("b.svg", "unsupported_format")
    ]


NAMES = [
    b"caf\xe9.png",
    "caf\u00e9.png".encode(),
    b"caf%E9.png",
    b"caf%25E9.png",
    b"caf%e9.png",
    b"100%25.png",
    b"100%.png",
    b"\xff\xfe.png",
    b"a#b?c&d.png",
    b" blank .png",
    b"line\nbreak.png",
    b"tab\t\x01.png",
    "\u202egnp.png".encode(),
    "\U0001fae9.png".encode(),
]


def test_any_name_survives_and_no_two_become_one(tmp_path: Path, workspace: Workspace) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for at, name in enumerate(NAMES):
        (folder / os.fsdecode(name)).write_bytes(PNG + bytes([at]))
    manifest = collect(tmp_path, workspace)
    assert Manifest.read(workspace.folder, RawImage) == manifest
    found = {workspace.blobs.read(row.sha256)[-1]: row.origin.url for row in manifest.rows}
    shown = [found[at] for at in range(len(NAMES))]
    assert len(set(shown)) == len(NAMES)
    assert shown[:7] == [
        "caf%E9.png",
        "caf\u00e9.png",
        "caf%25E9.png",
        "caf%2525E9.png",
        "caf%e9.png",
        "100%25.png",
        "100%.png",
    ]


def test_names_of_random_bytes_stay_apart(tmp_path: Path) -> None:
    random = Random(0)
    letters = [b"%", b"2", b"5", b"E", b"9", b"\xe9", b"\x80", "\u00e9".encode()]
    names = {b"".join(random.choices(letters, k=random.randint(1, 6))) for _ in range(20_000)}
    escaped = {escaped_name(f"/{os.fsdecode(name)}", "") for name in names}
    assert len(escaped) == len(names)
    assert all(name.encode() for name in escaped)
