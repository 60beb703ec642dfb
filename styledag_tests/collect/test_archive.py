"""An archive's images are taken where they lie; nothing is unpacked, nothing is lost silently."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from styledag.collect.collect import collect_images
from styledag.collect.records import RawImage
from styledag.collect.settings import ArchiveSource
from styledag.errors import SourceError
from styledag.manifest import Manifest
from styledag.store.workspace import Workspace
from styledag_tests.collect.servers import PNG

JSON = json.dumps({"caption": "An  owl", "url": "x"}).encode()
MEMBERS: Mapping[str, bytes] = {
    "deep/0.png": PNG + b"0",
    "deep/0.txt": b"\xef\xbb\xbfa red fox,\n sitting",
    "deep/1.json": JSON,
    "deep/1.jpg": PNG + b"1",
    "2": PNG + b"2",
    "notes.html": b"<html>",
    "../../escape.png": PNG + b"3",
    "/absolute.png": PNG + b"4",
}
TABLE = "file_name,text\nfix\u00e9.png,a fox\n"
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tar.xz", ".tar.bz2")


def write(path: Path, members: Mapping[str, bytes]) -> None:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, body in members.items():
                packed.writestr(name, body)
        return
    kind = path.suffix.removeprefix(".").replace("tar", "")
    with tarfile.open(path, f"w:{kind}") as tape:
        for name, body in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            tape.addfile(entry, io.BytesIO(body))


def collect(path: Path | str, workspace: Workspace, project: Path) -> Manifest[RawImage]:
    source = ArchiveSource(type="archive", path=str(path), licence="CC0", max_image_bytes=10_000)
    return collect_images([source], workspace, project=project)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_images_are_taken_with_the_texts_beside_them(
    workspace: Workspace, tmp_path: Path, suffix: str
) -> None:
    project = tmp_path / "a" / "b" / "project"
    project.mkdir(parents=True)
    write(project / f"x{suffix}", MEMBERS)
    before = sorted(tmp_path.joinpath("a").rglob("*"))
    manifest = collect(f"x{suffix}", workspace, project)
    assert manifest.facts == {"found": 6, "kept": 5, "rejected_not_an_image": 1}
    captions = {row.origin.url: row.origin.caption for row in manifest.rows}
    assert captions["deep/0.png"] == "a red fox,\nsitting"
    assert captions["deep/1.jpg"] == "An owl"
    assert set(captions) == {"deep/0.png", "deep/1.jpg", "2", "../../escape.png", "/absolute.png"}
    assert sorted(tmp_path.joinpath("a").rglob("*")) == before
    assert workspace.work == {"downloads": 5}
    assert collect(f"x{suffix}", workspace, project) == manifest
    assert workspace.work == {"downloads": 5}


def test_the_shards_of_a_webdataset_are_one_source(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    for shard in range(3):
        body = PNG + bytes([shard])
        write(
            tmp_path / "shards" / f"{shard:05}.tar", {"0.png": body, "0.txt": b"fox", "1.x": b"x"}
        )
    manifest = collect("shards/*.tar", workspace, tmp_path)
    assert [row.origin.url for row in manifest.rows] == [
        f"shards/{shard:05}.tar/0.png" for shard in range(3)
    ]
    assert {row.origin.caption for row in manifest.rows} == {"fox"}
    assert [row.subject for row in manifest.rejected] == [
        f"shards/{shard:05}.tar/1.x" for shard in range(3)
    ]


def test_bombs_links_and_doubles_are_counted(workspace: Workspace, tmp_path: Path) -> None:
    write(tmp_path / "x.zip", {"bomb.png": PNG + bytes(50_000_000), "a.png": PNG})
    assert collect("x.zip", workspace, tmp_path).facts == {
        "found": 2,
        "kept": 1,
        "rejected_too_large": 1,
    }
    with tarfile.open(tmp_path / "x.tar", "w") as tape:
        for name, kind in (("a.png", tarfile.REGTYPE), ("b.png", tarfile.SYMTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.size = kind, "/etc/passwd", len(PNG) * (kind == b"0")
            tape.addfile(entry, io.BytesIO(PNG))
        tape.addfile(tape.getmember("a.png"), io.BytesIO(PNG))
    assert collect("x.tar", workspace, tmp_path).facts == {
        "found": 3,
        "kept": 1,
        "rejected_duplicate_name": 1,
        "rejected_link_refused": 1,
    }


def test_a_damaged_member_of_a_zip_costs_itself(workspace: Workspace, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr("a.png", PNG + b"damage me")
        packed.writestr("b.png", PNG)
    body = (tmp_path / "x.zip").read_bytes()
    (tmp_path / "x.zip").write_bytes(body.replace(b"damage me", b"damage us", 1))
    facts = collect("x.zip", workspace, tmp_path).facts
    assert facts == {"found": 2, "kept": 1, "rejected_damaged": 1}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_that_breaks_off_publishes_nothing(
    workspace: Workspace, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"x{suffix}"
    write(path, {f"{n}.png": PNG + bytes(range(256)) * 20 for n in range(9)})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match=rf"archive x{suffix} cannot be read to its end"):
        collect(path.name, workspace, tmp_path)


def test_a_missing_or_empty_archive_is_named(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"archive x\.zip is not in"):
        collect("x.zip", workspace, tmp_path)
    write(tmp_path / "x.zip", {})
    with pytest.raises(SourceError, match=r"archive x\.zip holds no file"):
        collect("x.zip", workspace, tmp_path)


def test_two_archives_may_hold_files_of_one_name(workspace: Workspace, tmp_path: Path) -> None:
    for name in ("x.zip", "y.tar"):
        write(tmp_path / name, {"a.png": PNG + name.encode()})
    sources = [ArchiveSource(type="archive", path=name) for name in ("x.zip", "y.tar")]
    manifest = collect_images(sources, workspace, project=tmp_path)
    assert [row.origin.url for row in manifest.rows] == ["a.png", "y.tar/a.png"]


def test_texts_are_found_as_trainers_and_webdatasets_name_them(
    workspace: Workspace, tmp_path: Path
) -> None:
    members = {
        "s/0001.input.jpg": PNG + b"0",
        "s/0001.txt": b"a sample",
        "s/0002.input.jpg": PNG + b"5",
        "s/0002.output.txt": b"its output",
        "v1.9.txt": b"of no image",
        "./fox.png": PNG + b"1",
        "./fox.png.txt": b"a fox",
        "v1.2.png": PNG + b"2",
        "v1.3.png": PNG + b"3",
        "v1.2.txt": b"version two",
        "list.png": PNG + b"4",
        "list.json": json.dumps({"caption": ["", "the first", "the second"]}).encode(),
    }
    write(tmp_path / "x.tar", members)
    found = {
        row.origin.url: row.origin.caption for row in collect("x.tar", workspace, tmp_path).rows
    }
    assert found == {
        "s/0001.input.jpg": "a sample",
        "s/0002.input.jpg": "its output",
        "./fox.png": "a fox",
        "v1.2.png": "version two",
        "v1.3.png": "",
        "list.png": "the first",
    }


def test_a_tar_that_ends_in_a_zip_is_a_tar(workspace: Workspace, tmp_path: Path) -> None:
    write(tmp_path / "inner.zip", {"other.png": PNG + b"9"})
    inner = (tmp_path / "inner.zip").read_bytes()
    write(tmp_path / "x.tar", {"a.png": PNG, "inner.zip": inner})
    found = collect("x.tar", workspace, tmp_path)
    assert [row.origin.url for row in found.rows] == ["a.png"]
    assert [each.subject for each in found.rejected] == ["inner.zip"]


def test_a_file_of_another_kind_is_called_so(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "x.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(600))
    with pytest.raises(SourceError, match=r"x\.7z .* that of no zip and no tar"):
        collect("x.7z", workspace, tmp_path)


def test_a_table_of_image_folder_gives_the_captions_of_an_archive(
    workspace: Workspace, tmp_path: Path
) -> None:
    table = '{"file_name": "0.png", "text": "a fox"}\n{"file_name": "9.png", "text": "x"}\n{'
    members = {
        "s/0.png": PNG + b"0",
        "s/1.png": PNG + b"1",
        "s/1.txt": "an owl".encode("utf-16"),
        "s/metadata.jsonl": table.encode(),
    }
    write(tmp_path / "x.zip", members)
    manifest = collect("x.zip", workspace, tmp_path)
    assert [row.origin.caption for row in manifest.rows] == ["a fox", "an owl"]
    assert {(each.subject, each.reason) for each in manifest.rejected} == {
        ("s/9.png", "file_missing"),
        ("s/metadata.jsonl", "metadata_refused"),
    }


def test_no_text_is_left_out_without_being_counted(workspace: Workspace, tmp_path: Path) -> None:
    table = b'{"file_name": "0.png", "text": "a fox"}\n{"file_name": "0.png", "text": "an owl"}\n'
    members = {
        "0.png": PNG,
        "metadata.jsonl": table,
        "captions/0.txt": b"a cat",
        "a.svg": b"<svg/>",
    }
    write(tmp_path / "x.zip", members)
    manifest = collect("x.zip", workspace, tmp_path)
    assert [row.origin.caption for row in manifest.rows] == ["a fox"]
    assert {(each.subject, each.reason) for each in manifest.rejected} == {
        ("0.png", "second_caption"),
        ("captions/0.txt", "text_without_image"),
        ("a.svg", "unsupported_format"),
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("0.json", b'{"caption": {"en": "a fox"}}'),
        ("0.json", b"{half"),
        ("0.txt", b"caf\xe9"),
        ("0.txt", b"x" * 100_001),
    ],
)
def test_a_text_that_cannot_be_read_is_counted_and_costs_no_image(
    workspace: Workspace, tmp_path: Path, name: str, content: bytes
) -> None:
    write(tmp_path / "x.zip", {"0.png": PNG, name: content, f"other{name}": content})
    manifest = collect("x.zip", workspace, tmp_path)
    assert [row.origin.caption for row in manifest.rows] == [""]
    assert [(each.subject, each.reason) for each in manifest.rejected] == [
        (name, "sidecar_refused"),
        (f"other{name}", "text_without_image"),
    ]


def test_what_macos_and_other_systems_hide_is_counted(workspace: Workspace, tmp_path: Path) -> None:
    members = {
        "0.png": PNG,
        "__MACOSX/._0.png": b"\x00\x05\x16\x07",
        ".thumbnails/0.png": PNG + b"small",
    }
    write(tmp_path / "x.zip", members)
    assert collect("x.zip", workspace, tmp_path).facts == {
        "found": 3,
        "kept": 1,
        "rejected_hidden": 2,
    }


def test_names_are_found_in_another_case_and_unicode_form(
    workspace: Workspace, tmp_path: Path
) -> None:
    members = {
        "Cafe\u0301.png": PNG + b"0",
        "Caf\u00e9.txt": b"a cafe",
        "IMG_1.JPG": PNG + b"1",
        "img_1.txt": b"an owl",
        "a.png": PNG + b"2",
        "A.png": PNG + b"3",
        "a.txt": b"small",
    }
    write(tmp_path / "x.zip", members)
    found = {
        row.origin.url: row.origin.caption for row in collect("x.zip", workspace, tmp_path).rows
    }
    assert found == {
        "Cafe\u0301.png": "a cafe",
        "IMG_1.JPG": "an owl",
        "a.png": "small",
        "A.png": "",
    }


def test_a_zip_without_the_flag_of_utf_8_has_its_names(
    workspace: Workspace, tmp_path: Path
) -> None:
    write(tmp_path / "x.zip", {"fix\u00e9.png": PNG, "metadata.csv": TABLE.encode()})
    body = (tmp_path / "x.zip").read_bytes()
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = body.index(mark) + at
        assert body[start : start + 2] == b"\x00\x08"
        body = body[:start] + b"\x00\x00" + body[start + 2 :]
    (tmp_path / "x.zip").write_bytes(body)
    [row] = collect("x.zip", workspace, tmp_path).rows
    assert (row.origin.url, row.origin.caption) == ("fix\u00e9.png", "a fox")


def test_folders_in_a_zip_may_be_divided_as_on_windows(
    workspace: Workspace, tmp_path: Path
) -> None:
    members = {
        "x\\": b"",
        "x\\0.png": PNG + b"0",
        "x\\0.txt": b"a fox",
        "x\\1.png": PNG + b"1",
        "x\\metadata.jsonl": b'{"file_name": "1.png", "text": "a bee"}',
        "__MACOSX\\x\\._0.png": b"resource",
    }
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        for name, body in members.items():
            entry = zipfile.ZipInfo("x")
            entry.filename = name
            packed.writestr(entry, body)
    manifest = collect("x.zip", workspace, tmp_path)
    captions = {row.origin.url: row.origin.caption for row in manifest.rows}
    assert captions == {"x/0.png": "a fox", "x/1.png": "a bee"}
    assert [each.reason for each in manifest.rejected] == ["hidden"]


def test_tars_joined_to_one_are_all_read(workspace: Workspace, tmp_path: Path) -> None:
    bodies = []
    for name in "abc":
        write(tmp_path / "x.tar", {f"{name}.png": PNG + name.encode()})
        bodies.append((tmp_path / "x.tar").read_bytes())
    junk = b"no member" * 200
    (tmp_path / "x.tar").write_bytes(b"".join(bodies) + junk)
    manifest = collect("x.tar", workspace, tmp_path)
    assert [row.origin.url for row in manifest.rows] == ["a.png", "b.png", "c.png"]
    assert manifest.facts == {"found": 3, "kept": 3}


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
@pytest.mark.parametrize("cut", [False, True])
def test_a_tar_with_a_damaged_header_publishes_nothing(
    workspace: Workspace, tmp_path: Path, suffix: str, cut: bool
) -> None:
    write(tmp_path / "x.tar", {f"{at}.png": PNG + bytes([at]) for at in range(3)})
    body = bytearray((tmp_path / "x.tar").read_bytes())
    # Each member has one block for its header and one for its content.
    second = 2 * tarfile.BLOCKSIZE
    body[second + 5] ^= 0xFF
    damaged = bytes(body[: second + 100] if cut else body)
    (tmp_path / f"x{suffix}").write_bytes(
        gzip.compress(damaged) if suffix.endswith("gz") else damaged
    )
    with pytest.raises(SourceError, match=f"x{suffix} cannot be read to its end: at byte {second}"):
        collect(f"x{suffix}", workspace, tmp_path)
