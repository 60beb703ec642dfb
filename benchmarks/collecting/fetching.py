"""Images from a server on the loopback to square JPEGs: ours, img2dataset's, and a plain loop."""

import functools
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import requests
from PIL import Image

from styledag.collect.collect import collect_images
from styledag.collect.settings import FetchSettings, UrlsSource
from styledag.images.normalise import normalise_images
from styledag.images.settings import ImageSettings
from styledag.store.store import Store
from styledag.store.workspace import Workspace

SIZE = (1280, 720)
SIDE_PX = 512
QUALITY = 95

_PEER = """
import sys
from img2dataset import download
download(url_list=sys.argv[1], output_folder=sys.argv[2],
         image_size={side}, resize_mode="center_crop",
         encode_quality={quality}, processes_count={processes}, thread_count=16,
         output_format="files", input_format="txt", disable_all_reencoding=False,
         enable_wandb=False, retries=0, disallowed_header_directives=[])
"""


def make_images(folder: Path, count: int) -> None:
    """Write JPEGs of 1280 by 720 with the detail of a photograph."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        chance = np.random.default_rng(number)
        coarse = chance.integers(0, 256, (45, 80, 3), dtype=np.uint8)
        image = np.asarray(Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC))
        noise = chance.normal(0, 6, image.shape)
        pixels = np.clip(image + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05}.jpg", quality=90)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder in a process of its own; yield its address."""
    program = "from benchmarks.collecting.fetching import serve; import sys; serve(sys.argv[1])"
    server = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
    finally:
        server.terminate()
        server.wait()


def serve(folder: str) -> None:
    """Serve a folder until the process is ended; print the port first."""

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    handler = functools.partial(Handler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        sys.stdout.write(f"{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()


@dataclass(frozen=True)
class Rate:
    """Images a second on the clock, and a second of one processor."""

    of_clock: float
    of_processor: float


def contest(work: Path, count: int, peer: str | None, rounds: int) -> dict[str, list[Rate]]:
    """Return, by contestant, the rate of each round; each starts as a process, from nothing.

    Args:
        work: Empty folder.
        count: Images a round.
        peer: A Python with img2dataset installed; left out of the contest if ``None``.
        rounds: How often each runs.
    """
    make_images(work / "images", count)
    found: dict[str, list[Rate]] = {}
    with serving(work / "images") as url:
        addresses = [f"{url}/{number:05}.jpg" for number in range(count)]
        (work / "list.txt").write_text("\n".join(addresses), encoding="utf-8")
        for number in range(rounds):
            for name, command in _commands(peer).items():
                target = work / f"{name}-{number}"
                target.mkdir()
                started_s, used_s = time.perf_counter(), _ended_children_s()
                subprocess.run(
                    [*command, str(work / "list.txt"), str(target)],
                    check=True,
                    stdout=subprocess.DEVNULL,
                    env={**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"},
                )
                wall_s, processor_s = time.perf_counter() - started_s, _ended_children_s() - used_s
                _check(name, target, count)
                found.setdefault(name, []).append(Rate(count / wall_s, count / processor_s))
    return found


def _ended_children_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _commands(peer: str | None) -> dict[str, list[str]]:
    module = "from benchmarks.collecting import fetching; import sys; fetching."
    commands = {
        "styledag": [sys.executable, "-c", f"{module}ours(*sys.argv[1:])"],
        "loop": [sys.executable, "-c", f"{module}loop(*sys.argv[1:])"],
    }
    if peer is not None:
        processes = os.cpu_count() or 1
        commands["img2dataset"] = [
            peer, "-c", _PEER.format(side=SIDE_PX, quality=QUALITY, processes=processes),
        ]  # fmt: skip
    return commands


def _check(name: str, target: Path, count: int) -> None:
    """Make sure that all images are there: who drops some is not faster."""
    found = sum(1 for _ in target.rglob("*.jpg"))
    if name == "styledag":
        found = json.loads((target / "facts.json").read_text("utf-8"))["kept"]
    if found != count:
        raise SystemExit(f"{name} made {found} of {count} images")


def ours(addresses: str, target: str) -> None:
    """Fetch and convert as the stages do."""
    folder = Path(target)
    store = Store(str(folder / "store"))
    fetch = FetchSettings(delay_s=0, allow_private_hosts=("127.0.0.1",))
    source = UrlsSource(type="urls", path=Path(addresses).name, fetch=fetch)
    manifest = collect_images(
        [source], _workspace(store, folder / "raw"), project=Path(addresses).parent
    )
    settings = ImageSettings(size_px=SIDE_PX, mode="crop", quality=QUALITY)
    jpegs = normalise_images(manifest, settings, _workspace(store, folder / "jpeg"))
    (folder / "facts.json").write_text(json.dumps(jpegs.facts), encoding="utf-8")


def _workspace(store: Store, folder: Path) -> Workspace:
    (folder / "artifact").mkdir(parents=True)
    (folder / "scratch").mkdir()
    return Workspace(folder / "artifact", folder / "scratch", store.blobs, store.items)


def loop(addresses: str, target: str) -> None:
    """Fetch and convert one image after another with requests and Pillow."""
    with requests.Session() as session:
        for url in Path(addresses).read_text("utf-8").split():
            image = Image.open(io.BytesIO(session.get(url, timeout=30).content)).convert("RGB")
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            square = image.resize(
                (SIDE_PX, SIDE_PX),
                Image.Resampling.LANCZOS,
                box=(left, top, left + side, top + side),
            )
            square.save(Path(target) / url.rpartition("/")[2], quality=QUALITY, subsampling=0)
