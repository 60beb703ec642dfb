"""Letters that can be read in a JPEG: watermarks, captions and signatures over an image."""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from numpy.typing import NDArray

from styledag.errors import DeviceError
from styledag.images.looks import open_jpeg
from styledag.store.items import item_key
from styledag.store.workspace import Workspace

Lines = Sequence[tuple[str, float]]
"""Lines of text, each with how sure the recogniser is of it, 0 to 1."""
ReadText = Callable[[NDArray[np.uint8]], Lines]
"""Returns the lines of text in an image, HWC in BGR."""

_LETTERS = "letters"
_LEAST_SURE, _LEAST_LETTERS = 0.7, 3
"""A drawing's shapes are taken for one or two letters now and then, and seldom for three."""


def count_letters(
    sha256s: Sequence[str], workspace: Workspace, *, read: ReadText | None = None
) -> Mapping[str, int]:
    """Return how many letters and digits are read in each JPEG, by its sha256.

    Lines of fewer than three, or of which the recogniser is not sure, do not count. Each JPEG is
    read once (``work["texts"]``).

    Args:
        sha256s: Blobs of the JPEGs.
        workspace: Where counts are kept.
        read: Reads the text; RapidOCR when left out.

    Raises:
        DeviceError: If RapidOCR is not installed.
    """
    reader = reader_version()
    keys = {sha256: item_key(jpeg=sha256, reader=reader) for sha256 in sha256s}
    counts = dict(workspace.items.get_many_json(_LETTERS, list(keys.values())))
    unknown = [sha256 for sha256, key in keys.items() if key not in counts]
    with workspace.progress.task("overlaid text", len(keys)) as advance:
        advance(len(keys) - len(unknown))
        if unknown:
            read = read or rapid_ocr()
        for sha256 in unknown:
            assert read is not None
            bgr = np.asarray(open_jpeg(sha256, workspace))[:, :, ::-1]
            counts[keys[sha256]] = letters_of(read(bgr))
            workspace.work["texts"] += 1
            workspace.items.put_json(_LETTERS, keys[sha256], counts[keys[sha256]])
            advance(1)
    return {sha256: counts[key] for sha256, key in keys.items()}


def letters_of(lines: Lines) -> int:
    """Return the letters and digits of the lines that count as text."""
    counts = (
        sum(letter.isalnum() for letter in text) for text, sure in lines if sure >= _LEAST_SURE
    )
    return sum(count for count in counts if count >= _LEAST_LETTERS)


def reader_version() -> str:
    """Return what decides the counts: the recogniser, whose package holds its weights.

    Raises:
        DeviceError: If it is not installed.
    """
    try:
        return f"rapidocr {version('rapidocr')}, onnxruntime {version('onnxruntime')}"
    except PackageNotFoundError as exc:
        raise DeviceError(
            f"curation's max_letters needs {exc.name}, which is not installed: "
            "pip install 'styledag[text]', or remove max_letters"
        ) from exc


def rapid_ocr() -> ReadText:
    """Return RapidOCR as a reader; it is loaded with its weights, some 30 MB."""
    from rapidocr import RapidOCR

    engine = RapidOCR(params={"Global.log_level": "error", "Global.use_cls": False})

    def read(bgr: NDArray[np.uint8]) -> Lines:
        found = engine(bgr)
        return list(zip(found.txts or (), found.scores or (), strict=True))

    return read
