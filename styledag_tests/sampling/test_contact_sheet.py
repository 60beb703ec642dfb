import io
import warnings

import numpy as np
import pytest
from PIL import Image

from styledag.sampling.contact_sheet import MAX_PIXELS, MAX_SIDE_PX, contact_sheet
from styledag.sampling.marking import marked_png
from styledag.small_jpeg import thumbnail_jpeg


def sheet_of(rows: int, columns: int, size_px: tuple[int, int] = (512, 512)) -> Image.Image:
    image = Image.new("RGB", size_px, "#204060")
    return contact_sheet(
        ([image] * columns for _ in range(rows)),
        title="small.full at weight 0.50",
        row_labels=[f"prompt {row}" for row in range(rows)],
        column_labels=[f"seed {column}" for column in range(columns)],
    )


def test_a_sheet_that_is_not_large_shows_images_as_they_are() -> None:
    sheet = sheet_of(3, 2)
    assert sheet.size == (16 + 341 + 12 + 2 * 518 - 6 + 16, 16 + 94 + 48 + 3 * 518 - 6 + 16)
    blue = (np.asarray(sheet) == (0x20, 0x40, 0x60)).all(axis=2)
    assert blue.sum() == 6 * 512 * 512


@pytest.mark.parametrize(
    ("rows", "columns", "size_px"),
    [(100, 8, (512, 512)), (200, 2, (768, 1344)), (1000, 3, (64, 64)), (2, 1500, (256, 256))],
)
def test_a_sheet_of_many_images_can_be_shown_and_made_small(
    rows: int, columns: int, size_px: tuple[int, int]
) -> None:
    sheet = sheet_of(rows, columns, size_px)
    assert max(sheet.size) <= MAX_SIDE_PX
    assert sheet.width * sheet.height <= MAX_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Image.open(io.BytesIO(marked_png(sheet))) as opened:
            assert thumbnail_jpeg(opened, 60_000)


def test_what_finds_no_room_is_left_out_and_the_headline_says_so() -> None:
    named = sheet_of(1000, 3, (64, 64)).crop((0, 0, 600, 80))
    other = contact_sheet(
        ([Image.new("RGB", (64, 64))] * 3 for _ in range(428)),
        title="small.full at weight 0.50",
        row_labels=["prompt"] * 428,
        column_labels=["seed"] * 3,
    ).crop((0, 0, 600, 80))
    assert np.asarray(named).min(axis=2).sum() < np.asarray(other).min(axis=2).sum()
