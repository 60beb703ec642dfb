"""Words of file names, as people, cameras, phones and wikis give them."""

from dataclasses import replace

import pytest

from styledag.captions.cleaning.file_names import file_name
from styledag.captions.cleaning.rules import clean_file_name
from styledag.collect.records import Origin
from styledag.manifest import Manifest
from styledag.store.workspace import Workspace
from styledag_tests.captions.images import curated
from styledag_tests.captions.narrator import SETTINGS


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("cats/tiger_sitting-01.png", "tiger sitting"),
        ("tiger-sitting.jpg", "tiger sitting"),
        ("a man on a bench_1.jpg", "a man on a bench"),
        ("tiger (2).png", "tiger"),
        ("tiger - Copy (2).png", "tiger"),
        ("fox-300x200.jpg", "fox"),
        ("fox_d41d8cd98f00.png", "fox"),
        ("Route 66.png", "Route 66"),
        ("2001 a space odyssey.png", "2001 a space odyssey"),
        ("red_T-shirt.png", "red T-shirt"),
        ("facade.png", "facade"),
        ("\u8d64\u3044\u72d0.png", "\u8d64\u3044\u72d0"),
        ("\u72d0.png", "\u72d0"),
        ("tiger?#.png", "tiger?#"),
        ("https://x.org/Red%20fox.png?width=300#a", "Red fox"),
        ("https://x.org/a/ab/Red_fox.png/revision/latest?cb=2013", "Red fox"),
        ("https://x.org/thumb/a/ab/Red_fox.svg/512px-Red_fox.svg.png", "Red fox"),
    ],
)
def test_a_name_after_what_is_shown_gives_words(address: str, words: str) -> None:
    assert clean_file_name(file_name(address)).text == words


@pytest.mark.parametrize(
    "address",
    [
        "IMG_0042.jpg",
        "DSC00012.JPG",
        "IMG_20230512_143355.jpg",
        "PXL_20230512_143355123.MP.jpg",
        "Screenshot 2023-05-12 at 14.33.55.png",
        "WhatsApp Image 2023-05-12 at 14.33.55.jpeg",
        "FB_IMG_1234567890.jpg",
        "Untitled-1.png",
        "image-300x200.jpg",
        "000123.png",
        "d41d8cd98f00b204e9800998ecf8427e.png",
        "3d58a1b2-9f2e-4b7c-8e35-0f2d1a6b7c8d.png",
        "org/name@rev/train/123",
        "https://x.org/",
        "",
    ],
)
def test_a_name_that_only_counts_gives_none(address: str) -> None:
    assert clean_file_name(file_name(address)).text == ""


def test_it_is_a_source_of_words_where_it_is_named(workspace: Workspace, caption) -> None:
    rows = [
        curated(workspace, colour, origin=Origin(url=url, title=title))
        for colour, url, title in (
            ("red", "set/a_red_fox-01.png", ""),
            ("blue", "set/IMG_0042.jpg", ""),
            ("green", "set/frog.png", "A frog"),
        )
    ]
    settings = replace(SETTINGS, sources=("title", "file_name", "captioner"))
    made = caption(Manifest(tuple(rows)), settings)
    found = {row.image.origin.url: (row.source, row.caption, row.raw_caption) for row in made.rows}
    assert found == {
        "set/a_red_fox-01.png": ("file_name", "a red fox", "a_red_fox-01.png"),
        "set/IMG_0042.jpg": ("captioner", "a cat", "a cat"),
        "set/frog.png": ("title", "A frog", "A frog"),
    }
    assert "file_name" not in SETTINGS.sources
