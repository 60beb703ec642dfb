"""A sheet of images as they were found needs nothing of them."""

from dataclasses import replace
from pathlib import Path

from bs4 import BeautifulSoup

from styledag.images.found_sheet import MOST_SHOWN, write_found_sheet
from styledag.store.workspace import Workspace
from styledag_tests.images.images import noisy, raw_image, saved


def test_images_of_any_kind_and_broken_ones_are_shown(workspace: Workspace, tmp_path: Path) -> None:
    rows = [
        raw_image(saved(noisy(0)), "http://images.test/<b>.png", workspace),
        raw_image(saved(noisy(1, (9, 400)), "WEBP"), "http://images.test/narrow", workspace),
        raw_image(b"GIF89a no", "http://images.test/broken", workspace),
    ]
    path = tmp_path / "new" / "sheet.html"
    write_found_sheet(rows, {"found": 3, "kept": 3}, workspace.blobs, path)
    page = path.read_text("utf-8")
    assert page.count("<figure") == 3
    assert page.count('class="out"') == 1
    assert "&lt;b&gt;.png" in page
    assert "Cannot be decoded" in page


def test_many_images_are_spread_and_none_are_fine(workspace: Workspace, tmp_path: Path) -> None:
    one = saved(noisy(0))
    count = MOST_SHOWN + 2
    rows = [raw_image(one, f"http://images.test/{at}", workspace) for at in range(count)]
    write_found_sheet(rows, {"found": count, "kept": count}, workspace.blobs, tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text("utf-8")
    assert page.count("<figure") == count // 2
    assert f"and {count - count // 2} more that are not shown" in page
    write_found_sheet([], {"found": 0, "kept": 0}, workspace.blobs, tmp_path / "b.html")
    assert "<figure" not in (tmp_path / "b.html").read_text("utf-8")


def test_images_of_a_folder_are_called_by_their_files_and_show_their_captions(
    workspace: Workspace, tmp_path: Path
) -> None:
    row = raw_image(saved(noisy(0)), "10_sks long name/deep/<fox>.png", workspace)
    row = replace(row, origin=replace(row.origin, caption='a "fox" & ' + "x " * 300))
    write_found_sheet([row], {"found": 1, "kept": 1}, workspace.blobs, tmp_path / "a.html")
    page = BeautifulSoup((tmp_path / "a.html").read_text("utf-8"), "html.parser")
    figure = page.find("figure")
    assert figure.find("figcaption").get_text() == "<fox>.png"
    assert figure["title"].startswith('10_sks long name/deep/<fox>.png (caption: a "fox" & x x')
    assert len(figure["title"]) < 350
