"""Speed and memory of building a dataset, beside a copy: ``python -m benchmarks.dataset``.

The copy reads the same JPEGs out of the store and writes them into one file, which is the least
that any dataset costs; both are flushed to the disk. Goals: 80 % of the copy's speed, and memory
that does not grow with the images beyond their rows. The last lines are the figures: medians, and
the median of each turn's ratio, for the disk's speed changes from turn to turn.

    python -m benchmarks.dataset --images 50000 --bytes 60000 --work /mnt/disk
"""

import argparse
import os
import random
import shutil
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.memory import peak_resident
from styledag.captions.records import CaptionedImage
from styledag.collect.records import Origin
from styledag.dataset.build import build_image_dataset
from styledag.dataset.settings import DatasetSettings
from styledag.images.records import CuratedImage
from styledag.manifest import Manifest
from styledag.store.store import Store
from styledag.store.workspace import Workspace


def main() -> None:
    """Measure by the command line's options."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="styledag-dataset-", dir=options.work) as folder:
        figures = measure(Path(folder), options.images, options.bytes, options.rounds)
    for name, value in figures.items():
        print(f"{name}: {value:.3g}")


def measure(work: Path, images: int, size_bytes: int, rounds: int) -> dict[str, float]:
    """Return the speeds of building and copying, their ratio, and the memory of building.

    Args:
        work: Empty folder on the disk that is measured.
        images: Number of images.
        size_bytes: Bytes of each; what is in them is never decoded.
        rounds: Times that each is measured, by turns.

    Returns:
        Megabytes a second, their ratio, the process's most resident megabytes above those before
        the first build, and the most that building allocates in Python and Arrow.
    """
    store = Store(str(work / "store"))
    rows = tuple(_image(store, at, size_bytes) for at in range(images))
    captioned = work / "captions"
    captioned.mkdir()
    Manifest(rows).write(captioned)
    sha256s = [row.key for row in rows]
    before = peak_resident() / 1e6
    taken: dict[str, list[float]] = {"build": [], "copy": []}
    for turn in range(rounds):
        workspace = _workspace(store, work / f"dataset-{turn}")
        copied = work / f"copy-{turn}"
        taken["copy"].append(_timed(partial(_copy, store, sha256s, copied), copied))
        taken["build"].append(_timed(partial(_build, captioned, workspace), workspace.folder))
    megabytes = images * size_bytes / 1e6
    ratios = [copy / build for copy, build in zip(taken["copy"], taken["build"], strict=True)]
    resident = peak_resident() / 1e6 - before
    return {
        "images": images,
        "built, MB/s": megabytes / median(taken["build"]),
        "copied, MB/s": megabytes / median(taken["copy"]),
        "ratio": median(ratios),
        "resident above start, MB": resident,
        "allocated at most, MB": _allocated(captioned, _workspace(store, work / "traced")),
    }


def _image(store: Store, number: int, size_bytes: int) -> CaptionedImage:
    sha256 = store.blobs.put(random.Random(number).randbytes(size_bytes))
    origin = Origin(url=f"https://example.org/{number}.png", title=f"number {number}")
    image = CuratedImage(
        origin=origin,
        raw_sha256=sha256,
        sha256=sha256,
        width_px=512,
        height_px=512,
        raw_width_px=512,
        raw_height_px=512,
        crop_left_px=0,
        crop_top_px=0,
        family=sha256,
        family_size=1,
    )
    caption = f"a drawing of the number {number}"
    return CaptionedImage(
        image=image,
        raw_caption=caption,
        cleaned_caption=caption,
        caption=caption,
        source="title",
        rules_version="1",
        template="{caption}",
    )


def _workspace(store: Store, folder: Path) -> Workspace:
    folder.mkdir()
    return Workspace(folder, folder / "scratch", store.blobs, store.items)


def _build(captioned: Path, workspace: Workspace) -> None:
    manifest = Manifest.read(captioned, CaptionedImage)
    build_image_dataset(
        manifest, DatasetSettings(), workspace, style="numbers", description="Numbers."
    )


def _copy(store: Store, sha256s: Iterable[str], to: Path) -> None:
    with to.open("wb") as file:
        for sha256 in sha256s:
            file.write(store.blobs.read(sha256))


def _timed(work: Callable[[], Any], written: Path) -> float:
    """Return the seconds until all that some work writes is on the disk; remove it then.

    Memory that was just in use is faster than memory that the system first has to find, so that
    each begins where another's files were removed, and nothing is left to be written.
    """
    os.sync()
    began = time.perf_counter()
    work()
    for path in [written] if written.is_file() else written.rglob("*.parquet"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    taken = time.perf_counter() - began
    if written.is_file():
        written.unlink()
    else:
        shutil.rmtree(written)
    return taken


def _allocated(captioned: Path, workspace: Workspace) -> float:
    import pyarrow as pa

    tracemalloc.start()
    pools = pa.default_memory_pool(), pa.system_memory_pool()
    before = sum(pool.bytes_allocated() for pool in pools)
    _build(captioned, workspace)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    most = sum(pool.max_memory() or 0 for pool in pools)
    return float(peak + max(most - before, 0)) / 1e6


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--bytes", type=int, default=60_000, help="Of one image.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, help="Folder on the disk that is measured.")
    return parser.parse_args()


if __name__ == "__main__":
    main()
