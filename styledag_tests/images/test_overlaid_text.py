"""Overlaid text: counted once for each JPEG; shapes that look like a letter are none."""

from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from styledag.errors import DeviceError
from styledag.images import overlaid_text
from styledag.images.curate import curate_images
from styledag.images.embedding import PixelEmbedder
from styledag.images.overlaid_text import Lines, count_letters, letters_of, reader_version
from styledag.images.settings import CurationSettings
from styledag.manifest import Manifest
from styledag.store.workspace import Workspace
from styledag_tests.images.images import jpeg_image, noisy


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Stand in for RapidOCR: reads ``© Jane 2021`` in images whose first pixel is dark."""
    seen: list[np.ndarray] = []

    def read(bgr: np.ndarray) -> Lines:
        seen.append(bgr)
        return [("© Jane 2021", 0.9)] if bgr[0, 0].max() < 60 else [("O", 0.99)]

    monkeypatch.setattr(overlaid_text, "rapid_ocr", lambda: read)
    monkeypatch.setattr(overlaid_text, "reader_version", lambda: "1")
    return seen


def marked(seed: int) -> Image.Image:
    image = noisy(seed)
    image.paste("black", (0, 0, 16, 16))
    return image


def clear(seed: int) -> Image.Image:
    image = noisy(seed)
    image.paste("white", (0, 0, 16, 16))
    return image


def test_short_and_doubtful_lines_are_no_text() -> None:
    assert letters_of([]) == 0
    assert letters_of([("OO", 0.99), ("8", 0.95), ("a b!", 0.9)]) == 0
    assert letters_of([("SAMPLE", 0.69)]) == 0
    assert letters_of([("© Jane, 2021", 0.7), ("京都の春", 0.9), ("x", 1.0)]) == 8 + 4


def test_each_jpeg_is_read_once(workspace: Workspace, reader: list[np.ndarray]) -> None:
    rows = [jpeg_image(marked(0), "a", workspace), jpeg_image(clear(1), "b", workspace)]
    sha256s = [row.sha256 for row in rows]
    assert count_letters(sha256s, workspace) == {sha256s[0]: 8, sha256s[1]: 0}
    assert count_letters(sha256s, workspace) == {sha256s[0]: 8, sha256s[1]: 0}
    assert workspace.work["texts"] == len(reader) == 2


def test_the_channels_are_in_the_order_that_the_reader_expects(
    workspace: Workspace, reader: list[np.ndarray]
) -> None:
    row = jpeg_image(Image.new("RGB", (64, 64), (250, 0, 0)), "red", workspace)
    count_letters([row.sha256], workspace)
    assert reader[0][5, 5, 2] > 240
    assert reader[0][5, 5, 0] < 15


def test_images_under_text_are_left_out_if_asked_for(
    workspace: Workspace, reader: list[np.ndarray]
) -> None:
    rows = (jpeg_image(marked(0), "a", workspace), jpeg_image(clear(1), "b", workspace))

    def kept(settings: CurationSettings) -> tuple[list[str], dict[str, str]]:
        found = curate_images(Manifest(rows), settings, workspace, embed=PixelEmbedder())
        return (
            [row.origin.title for row in found.rows],
            {each.reason: each.detail for each in found.rejected},
        )

    assert sorted(kept(CurationSettings())[0]) == ["a", "b"]
    assert not reader
    assert kept(CurationSettings(max_letters=7)) == (
        ["b"],
        {"text_overlay": "8 letters, more than 7"},
    )
    assert sorted(kept(CurationSettings(max_letters=8))[0]) == ["a", "b"]
    url = rows[0].origin.url
    assert sorted(kept(CurationSettings(max_letters=7, keep=(url,)))[0]) == ["a", "b"]


def test_a_missing_reader_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(overlaid_text, "version", version)
    with pytest.raises(DeviceError, match=r"rapidocr.*pip install 'styledag\[text\]'"):
        reader_version()


def test_rapidocr_reads_a_watermark_and_no_drawing(workspace: Workspace) -> None:
    pytest.importorskip("rapidocr")
    pytest.importorskip("onnxruntime")
    plain = noisy(3).resize((512, 512))
    written = plain.copy()
    font = ImageFont.load_default(48)
    ImageDraw.Draw(written).text(
        (60, 230), "SAMPLE PHOTO", font=font, fill="white", stroke_width=2, stroke_fill="black"
    )
    rows = [jpeg_image(each, name, workspace) for each, name in ((plain, "p"), (written, "w"))]
    assert list(count_letters([row.sha256 for row in rows], workspace).values()) == [0, 11]
