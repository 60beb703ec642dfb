import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from styledag.errors import DataError, StorageError
from styledag.images.normalise import jpeg_facts, normalise_images
from styledag.images.records import JpegImage
from styledag.images.settings import ImageSettings
from styledag.manifest import Manifest
from styledag.store.digest import folder_digest
from styledag.store.workspace import Workspace
from styledag_tests.images.images import noisy, plain, raw_manifest, saved

SETTINGS = ImageSettings(size_px=32)


def again(workspace: Workspace, folder: Path) -> Workspace:
    """Another run on the same store."""
    folder.mkdir()
    return Workspace(folder, workspace.scratch, workspace.blobs, workspace.items)


def three_images() -> dict[str, bytes]:
    return {f"{seed}.png": saved(noisy(seed)) for seed in range(3)}


def test_every_image_becomes_a_jpeg_of_the_declared_size(workspace: Workspace) -> None:
    contents = {**three_images(), "wide.gif": saved(plain("red", (300, 10)), "GIF")}
    raw = raw_manifest(workspace, **contents)
    jpegs = normalise_images(raw, SETTINGS, workspace)
    assert [row.origin for row in jpegs.rows] == [row.origin for row in raw.rows]
    for row in jpegs.rows:
        image = Image.open(io.BytesIO(workspace.blobs.read(row.sha256)))
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (32, 32))
    wide = jpegs.rows[-1]
    assert (wide.raw_format, wide.raw_width_px, wide.raw_height_px) == ("GIF", 300, 10)
    assert Manifest.read(workspace.folder, JpegImage) == jpegs


@pytest.mark.parametrize(
    ("mode", "size", "cropped"),
    [("pad", (32, 32), (0, 0)), ("crop", (32, 32), (16, 0)), ("bucket", (48, 24), (0, 0))],
)
def test_how_much_is_cut_off_is_known(
    workspace: Workspace, mode: str, size: tuple[int, int], cropped: tuple[int, int]
) -> None:
    raw = raw_manifest(workspace, wide=saved(noisy(1, (100, 50))))
    settings = ImageSettings(
        size_px=32, mode=mode, **({"bucket_step_px": 8} if mode == "bucket" else {})
    )
    (row,) = normalise_images(raw, settings, workspace).rows
    assert (row.width_px, row.height_px) == size
    assert (row.raw_width_px, row.raw_height_px) == (100, 50)
    assert (row.crop_left_px, row.crop_top_px) == cropped


def test_buckets_lose_no_image_and_are_counted(workspace: Workspace, tmp_path: Path) -> None:
    sizes = [
        (64, 64),
        (65, 64),
        (90, 60),
        (60, 90),
        (100, 40),
        (300, 10),
        (10, 300),
        (7, 7),
        (70, 50),
    ]
    contents = {f"{at}.png": saved(noisy(at, size)) for at, size in enumerate(sizes)}
    raw = raw_manifest(workspace, **contents)
    settings = ImageSettings(size_px=64, mode="bucket")
    jpegs = normalise_images(raw, settings, workspace)
    assert len(jpegs.rows) == len(sizes)
    facts = jpeg_facts(jpegs)
    assert sum(facts["buckets"].values()) == facts["kept"] == facts["found"] == len(sizes)
    assert facts["buckets"] == {
        "48x88": 1,
        "48x80": 1,
        "64x64": 3,
        "72x56": 1,
        "80x48": 1,
        "88x48": 2,
    }
    for row in jpegs.rows:
        image = Image.open(io.BytesIO(workspace.blobs.read(row.sha256)))
        assert image.size == (row.width_px, row.height_px)
    second = again(workspace, tmp_path / "second")
    assert normalise_images(raw, settings, second) == jpegs
    assert not second.work
    fewer = Manifest(raw.rows[3:])
    assert set(normalise_images(fewer, settings, second).rows) <= set(jpegs.rows)


def test_what_cannot_be_used_is_counted_by_reason(workspace: Workspace) -> None:
    contents = {
        **three_images(),
        "half.png": saved(noisy(9, (200, 200)))[:900],
        "bomb.png": saved(plain("red", (400, 400))),
        "page.jpg": b"<html><body>Not found</body></html>",
        "drawing.svg": b"<svg/>",
    }
    settings = replace(SETTINGS, max_pixels=100_000)
    jpegs = normalise_images(raw_manifest(workspace, **contents), settings, workspace)
    assert jpegs.facts == {
        "found": 7,
        "kept": 3,
        "rejected_damaged": 1,
        "rejected_not_an_image": 1,
        "rejected_too_many_pixels": 1,
        "rejected_unsupported_format": 1,
    }
    assert {each.subject for each in jpegs.rejected} == {
        f"http://images.test/{name}" for name in ("half.png", "bomb.png", "page.jpg", "drawing.svg")
    }


def test_a_second_run_decodes_nothing_and_gives_the_same(
    workspace: Workspace, tmp_path: Path
) -> None:
    raw = raw_manifest(workspace, **three_images(), bad=b"<svg/>")
    first = normalise_images(raw, SETTINGS, workspace)
    assert workspace.work == {"decodes": 4}
    second = again(workspace, tmp_path / "second")
    assert normalise_images(raw, SETTINGS, second) == first
    assert not second.work
    assert folder_digest(second.folder) == folder_digest(workspace.folder)


def test_one_added_image_is_the_only_one_decoded(workspace: Workspace, tmp_path: Path) -> None:
    normalise_images(raw_manifest(workspace, **three_images()), SETTINGS, workspace)
    second = again(workspace, tmp_path / "second")
    more = raw_manifest(second, **three_images(), new=saved(noisy(7)))
    assert len(normalise_images(more, SETTINGS, second).rows) == 4
    assert second.work == {"decodes": 1}


def test_other_settings_are_another_image(workspace: Workspace, tmp_path: Path) -> None:
    raw = raw_manifest(workspace, one=saved(noisy(1)))
    normalise_images(raw, SETTINGS, workspace)
    second = again(workspace, tmp_path / "second")
    normalise_images(raw, replace(SETTINGS, quality=80), second)
    assert second.work == {"decodes": 1}


def test_one_image_at_two_addresses_is_decoded_once(workspace: Workspace) -> None:
    jpegs = normalise_images(
        raw_manifest(workspace, a=saved(noisy(1)), b=saved(noisy(1))), SETTINGS, workspace
    )
    assert len({row.sha256 for row in jpegs.rows}) == 1
    assert len(jpegs.rows) == 2
    assert workspace.work == {"decodes": 1}


def test_a_lost_blob_is_made_again(workspace: Workspace, tmp_path: Path) -> None:
    raw = raw_manifest(workspace, **three_images())
    first = normalise_images(raw, SETTINGS, workspace)
    workspace.blobs.path(first.rows[0].sha256).unlink()
    second = again(workspace, tmp_path / "second")
    assert normalise_images(raw, SETTINGS, second) == first
    assert second.work == {"decodes": 1}
    assert second.blobs.has(first.rows[0].sha256)


def test_a_damaged_item_is_made_again(workspace: Workspace, tmp_path: Path) -> None:
    raw = raw_manifest(workspace, one=saved(noisy(1)))
    first = normalise_images(raw, SETTINGS, workspace)
    for item in (tmp_path / "store" / "items").rglob("*"):
        if item.is_file():
            item.write_bytes(b"{half")
    second = again(workspace, tmp_path / "second")
    assert normalise_images(raw, SETTINGS, second) == first
    assert second.work == {"decodes": 1}


def test_nothing_kept_names_the_commonest_reasons(workspace: Workspace) -> None:
    raw = raw_manifest(workspace, a=b"<svg/>", b=b"<svg />", c=b"")
    with pytest.raises(DataError, match=r"2 unsupported_format, 1 empty.*images.test/a") as error:
        normalise_images(raw, SETTINGS, workspace)
    assert "\n" not in str(error.value)


def test_no_images_at_all_is_said(workspace: Workspace) -> None:
    with pytest.raises(DataError, match="no images to normalise"):
        normalise_images(Manifest(()), SETTINGS, workspace)


def test_kept_rows_are_made_again_where_their_blob_is_lost_or_their_image_is_new(
    workspace: Workspace, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    broken = {"broken.png": saved(noisy(9))[:80]}
    first = raw_manifest(workspace, **three_images(), **broken)
    before = normalise_images(first, SETTINGS, replace(workspace, kept=kept))
    lost = before.rows[0].sha256
    for number, (contents, asked) in enumerate(
        ((broken, 0), ({**broken, "new.png": saved(noisy(5))}, 1), (broken, 1))
    ):
        if number == 2:
            workspace.blobs.path(lost).unlink()
        raw = raw_manifest(workspace, **three_images(), **contents)
        run = replace(again(workspace, tmp_path / f"run{number}"), kept=kept)
        found = normalise_images(raw, SETTINGS, run)
        assert run.work["decodes"] == asked
        assert found == normalise_images(raw, SETTINGS, again(workspace, tmp_path / f"{number}"))
    assert workspace.blobs.has(lost)


def test_a_missing_raw_blob_is_the_stores_fault(workspace: Workspace) -> None:
    raw = raw_manifest(workspace, one=saved(noisy(1)))
    workspace.blobs.path(raw.rows[0].sha256).unlink()
    with pytest.raises(StorageError, match="missing"):
        normalise_images(raw, SETTINGS, workspace)
