import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from PIL import Image

from styledag.collect.records import Origin
from styledag.images import contact_sheet
from styledag.images.curate import curate_images
from styledag.images.embedding import PixelEmbedder
from styledag.images.records import JpegImage
from styledag.images.settings import CurationSettings
from styledag.manifest import Manifest
from styledag.store.workspace import Workspace
from styledag_tests.images.images import jpeg_image, noisy, plain
from styledag_tests.images.test_embedding import face

HANDS = [(70, 128), (190, 128), (128, 190), (80, 80)]


def rows(workspace: Workspace) -> list[JpegImage]:
    return [
        *(jpeg_image(face(hand), f"clock{at}", workspace) for at, hand in enumerate(HANDS)),
        *(jpeg_image(noisy(seed), f"blots{seed}", workspace) for seed in range(3)),
        jpeg_image(noisy(0), "again", workspace, quality=60, raw_size=(9, 9)),
        jpeg_image(plain("red", (64, 64)), "plain", workspace),
    ]


def sheet(images: list[JpegImage], workspace: Workspace) -> BeautifulSoup:
    settings = CurationSettings(embedding="pixels", family_similarity=0.93, family_cap=3)
    curate_images(Manifest(tuple(images)), settings, workspace, embed=PixelEmbedder())
    return BeautifulSoup((workspace.folder / "contact_sheet.html").read_text(), "html.parser")


def test_families_come_first_then_what_was_left_out(workspace: Workspace) -> None:
    page = sheet(rows(workspace), workspace)
    headings = [heading.get_text() for heading in page.find_all("h2")]
    assert re.fullmatch(r"Family of 4 around clock\d: 3 kept, 1 capped", headings[0])
    assert headings[1:] == ["Left out, blank: 1", "Left out, copy: 1", "On their own: 3"]
    family = page.find_all("section")[0].find_all("figure")
    assert [figure.get("class") for figure in family] == [None, None, None, ["out"]]


def test_every_image_is_shown_once_and_inline(workspace: Workspace) -> None:
    page = sheet(rows(workspace), workspace)
    images = page.find_all("img")
    assert len(images) == 9
    for image in images:
        content = base64.b64decode(image["src"].removeprefix("data:image/jpeg;base64,"))
        assert Image.open(io.BytesIO(content)).size == (64, 64)
    assert not page.find_all(["script", "link"])


def test_what_a_site_says_is_escaped_and_only_web_addresses_are_links(workspace: Workspace) -> None:
    evil = jpeg_image(noisy(9), "evil", workspace)
    evil = replace(
        evil, origin=Origin(url="javascript:alert(1)", title='<script>x</script>"onload="y')
    )
    page = sheet([*rows(workspace), evil], workspace)
    assert page.find("script") is None
    assert not [link for link in page.find_all("a") if not link["href"].startswith("http://")]
    assert [image["alt"] for image in page.find_all("img") if "<script>" in image["alt"]]


def test_images_of_a_folder_are_called_by_their_files(workspace: Workspace) -> None:
    image = jpeg_image(noisy(9), "x", workspace)
    page = sheet([replace(image, origin=Origin(url="10_a folder/deep/fox.png"))], workspace)
    assert page.find("figcaption").get_text() == "fox.png"


def test_a_full_page_counts_what_it_does_not_show(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_sheet, "_MOST_BYTES", 9_000)
    page = sheet(rows(workspace), workspace)
    shown = len(page.find_all("img"))
    assert 0 < shown < 9
    assert f"{9 - shown} images find no room" in page.get_text()
    assert (workspace.folder / "contact_sheet.html").stat().st_size < 13_000


def test_long_names_cannot_swell_the_page(workspace: Workspace) -> None:
    images = [
        replace(image, origin=replace(image.origin, title="&" * 500_000))
        for image in rows(workspace)
    ]
    sheet(images, workspace)
    assert (workspace.folder / "contact_sheet.html").stat().st_size < 3_000_000


def test_the_strip_is_a_small_jpeg(workspace: Workspace) -> None:
    sheet(rows(workspace), workspace)
    path: Path = workspace.folder / "families.jpg"
    assert path.stat().st_size <= 60_000
    with Image.open(path) as image:
        assert image.format == "JPEG"
