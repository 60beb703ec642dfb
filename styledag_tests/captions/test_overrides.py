from dataclasses import replace
from pathlib import Path

import pytest

from styledag.captions.overrides import read_overrides
from styledag.collect.records import Origin
from styledag.errors import StyleFileError
from styledag.images.records import CuratedImage

IMAGE = CuratedImage(
    origin=Origin(url="https://a.example/1.png"),
    raw_sha256="raw",
    sha256="jpeg",
    width_px=64,
    height_px=64,
    raw_width_px=64,
    raw_height_px=64,
    crop_left_px=0,
    crop_top_px=0,
    family="jpeg",
    family_size=2,
    copies=("https://a.example/copy.png",),
)


@pytest.fixture
def csv(tmp_path: Path):
    def write(content: str | bytes) -> Path:
        path = tmp_path / "captions.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    "name", ["jpeg", "raw", IMAGE.origin.url, "https://a.example/copy.png", "1.png", "copy.png"]
)
def test_image_is_found_by_every_name_it_has(csv, name: str) -> None:
    overrides = read_overrides(csv(f"image,caption\n{name},a cat\nother,a dog\n"))
    assert overrides.by_sha256([IMAGE]) == {"jpeg": "a cat"}
    assert overrides.unmatched([IMAGE]) == ("other",)


def test_spreadsheet_export_is_read(csv) -> None:
    path = csv('\ufeffcaption,note,image\r\n"a cat, ""Tom""",mine,jpeg\r\n')
    assert read_overrides(path).by_sha256([IMAGE])["jpeg"] == 'a cat, "Tom"'


def test_sha256_comes_before_url(csv) -> None:
    lines = ["1.png,by file", f"{IMAGE.origin.url},by url", "raw,by raw hash", "jpeg,by hash"]
    for number in range(len(lines), 0, -1):
        overrides = read_overrides(csv("\n".join(["image,caption", *lines[:number]])))
        expected = lines[number - 1].partition(",")[2]
        assert overrides.by_sha256([IMAGE]) == {"jpeg": expected}


def test_a_file_name_of_two_images_is_refused_and_their_urls_are_not(csv) -> None:
    other = replace(IMAGE, sha256="o", raw_sha256="o", origin=Origin(url="https://b.example/1.png"))
    overrides = read_overrides(csv("image,caption\n1.png,a cat\n"))
    with pytest.raises(StyleFileError, match=r"1.png names 2 images.*a.example.*b.example"):
        overrides.by_sha256([IMAGE, other])
    by_url = read_overrides(csv("image,caption\nhttps://b.example/1.png,a dog\n"))
    assert by_url.by_sha256([IMAGE, other]) == {"o": "a dog"}


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        ("", "captions.csv:1", "must name the columns"),
        ("file,caption\nx,y\n", "captions.csv:1", "found file, caption"),
        ("image,caption,image\nx,y,z\n", "captions.csv:1", "each once"),
        ("image,caption\na,one\n,two\n", "captions.csv:3", "image is empty"),
        ("image,caption\n,,\n,two\n", "captions.csv:3", "image is empty"),
        ("image,caption\na\n", "captions.csv:2", "caption is empty"),
        ("image,caption\na, \u200b\n", "captions.csv:2", "caption is empty"),
        ("image,caption\na,a cat, red\n", "captions.csv:2", "double quotes"),
        ('image,caption\na,"a cat"x\n', "captions.csv:2", "no CSV"),
        ('image,caption\na,"a cat\n', "captions.csv:2", "no CSV"),
        ("image,caption\na,one\nb,two\na,three\n", "captions.csv:4", "line 2"),
        (b"image,caption\na,\xff\n", "captions.csv", "UTF-8"),
    ],
)
def test_bad_csv_is_refused_with_file_and_line(csv, content, where: str, what: str) -> None:
    with pytest.raises(StyleFileError) as raised:
        read_overrides(csv(content))
    assert where in str(raised.value)
    assert what in str(raised.value)


def test_missing_csv_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StyleFileError, match="cannot be read"):
        read_overrides(tmp_path / "nowhere.csv")
