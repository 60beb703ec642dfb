import io
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from styledag.errors import DeviceError
from styledag.images import normalise
from styledag.images.converting.convert import convert_image
from styledag.images.normalise import normalise_images
from styledag.images.settings import ImageSettings
from styledag.images.worker import WorkerLimits
from styledag.images.worker_pool import Worker, WorkerPool
from styledag.store.workspace import Workspace
from styledag_tests.images.images import noisy, plain, raw_manifest, saved

SETTINGS = ImageSettings(size_px=32)
LIMITS = WorkerLimits(memory_bytes=4 << 30, cpu_s=0.5)
HOSTILE = """
import os, time
import styledag.images.converting.convert as convert
from styledag.images.worker import main
sound = convert.convert_image
def hostile(content, settings):
    if content.startswith(b"crash"):
        os.abort()
    if content.startswith(b"spin"):
        while True: pass
    if content.startswith(b"sleep"):
        time.sleep(60)
    if content.startswith(b"print"):
        os.write(1, b"decoders may print"); content = content[5:]
    if content.startswith(b"once"):
        name = content[4:].decode()
        if not os.path.exists(name):
            open(name, "w").close(); os.abort()
        return sound(b"<svg/>", settings)
    return sound(content, settings)
convert.convert_image = hostile
main()
"""


def outcome(content: bytes, worker: Worker | WorkerPool) -> str:
    return worker.convert(content).record.get("reason", "kept")


@pytest.fixture
def worker():
    worker = Worker(SETTINGS, LIMITS, HOSTILE)
    yield worker
    worker.close()


def test_a_worker_gives_what_this_process_gives(worker: Worker) -> None:
    for content in (saved(noisy(1)), saved(noisy(2), "JPEG"), b"<svg/>", b""):
        assert worker.convert(content) == convert_image(content, SETTINGS)
    printed = worker.convert(b"print" + saved(noisy(1)))
    assert printed == convert_image(saved(noisy(1)), SETTINGS)


def test_a_crash_and_a_hang_cost_one_image_each(worker: Worker) -> None:
    contents = [b"crash", saved(noisy(1)), b"spin", b"sleep", saved(noisy(2))]
    assert [outcome(content, worker) for content in contents] == [
        "decoder_crashed",
        "kept",
        "decode_timeout",
        "decode_timeout",
        "kept",
    ]


def test_a_crash_that_does_not_happen_again_costs_nothing(worker: Worker, tmp_path: Path) -> None:
    assert outcome(b"once" + str(tmp_path / "mark").encode(), worker) == "unsupported_format"


def test_memory_beyond_the_limit_is_a_reason() -> None:
    large = saved(plain("red", (9_000, 9_000)))
    worker = Worker(SETTINGS, WorkerLimits(memory_bytes=300 << 20, cpu_s=30), HOSTILE)
    try:
        assert outcome(large, worker) in {"out_of_memory", "decoder_crashed"}
        assert outcome(saved(noisy(1)), worker) == "kept"
    finally:
        worker.close()


def test_a_worker_that_cannot_start_is_named() -> None:
    worker = Worker(SETTINGS, LIMITS, "raise ImportError('no decoder here')")
    with pytest.raises(DeviceError, match=r"does not start \(exit status 1\).*no decoder here"):
        worker.convert(b"")


def test_a_pool_returns_every_item_and_begins_only_a_few() -> None:
    begun: list[int] = []

    def numbers():
        for number in range(40):
            begun.append(number)
            yield number

    with WorkerPool(SETTINGS, images=40) as pool:
        results = pool.map(lambda number: number * number, numbers())
        first = next(results)
        assert len(begun) < 40
        assert dict([first, *results]) == {number: number * number for number in range(40)}


def test_one_is_read_while_another_is_decoded() -> None:
    read = [threading.Event() for _ in range(4)]

    def convert(at: int) -> str:
        read[at].set()
        # Two are in work with one worker: each pair has to meet.
        assert read[at ^ 1].wait(20)
        return outcome(b"<svg/>", pool)

    with WorkerPool(SETTINGS, images=4) as pool:
        assert len(pool._workers) == 1
        assert dict(pool.map(convert, range(4))) == dict.fromkeys(range(4), "unsupported_format")


def test_an_error_in_one_item_ends_the_pool() -> None:
    def fail(item: int) -> int:
        raise ValueError(item)

    with WorkerPool(SETTINGS, images=3) as pool, pytest.raises(ValueError, match="1"):
        list(pool.map(fail, [1, 2, 3]))


def test_no_process_survives_the_pool() -> None:
    with WorkerPool(SETTINGS, images=40) as pool:
        dict(pool.map(lambda item: outcome(item, pool), [b"<svg/>"] * 40))
        processes = [worker._process for worker in pool._workers if worker._process]
    assert processes
    assert all(process.poll() is not None for process in processes)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_worker_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from styledag_tests.images.test_worker_pool import *\n"
        "worker = Worker(SETTINGS, LIMITS, HOSTILE)\n"
        "worker.convert(b'<svg/>')\n"
        "print(worker._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline_s = time.monotonic() + 20
    while is_running(child):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_workers_import_neither_torch_nor_arrow() -> None:
    program = (
        "import sys, styledag.images.worker, styledag.images.converting.convert\n"
        "print(sorted({'torch', 'pyarrow', 'dagster', 'transformers'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert out.stdout.strip() == "[]"


def test_the_stage_counts_a_hang_and_tries_it_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hostile(settings: ImageSettings, *, images: int) -> WorkerPool:
        return WorkerPool(settings, images=images, limits=LIMITS, program=HOSTILE)

    monkeypatch.setattr(normalise, "WorkerPool", hostile)
    raw = raw_manifest(workspace, a=saved(noisy(1)), b=b"spin", c=b"<svg/>", d=b"crash")
    jpegs = normalise_images(raw, SETTINGS, workspace)
    assert jpegs.facts == {
        "found": 4,
        "kept": 1,
        "rejected_decode_timeout": 1,
        "rejected_decoder_crashed": 1,
        "rejected_unsupported_format": 1,
    }
    workspace.work.clear()
    assert normalise_images(raw, SETTINGS, workspace) == jpegs
    assert workspace.work == {"decodes": 2}


@pytest.mark.parametrize("size", [(800, 600), (1280, 720)])
def test_a_jpeg_decoded_smaller_is_as_good(size: tuple[int, int]) -> None:
    content = saved(noisy(5, size), "JPEG", quality=95)
    found = convert_image(content, ImageSettings(size_px=128, quality=100))
    with Image.open(io.BytesIO(content)) as image:
        left = (size[0] - size[1]) / 2
        whole = image.convert("RGB").resize(
            (128, 128), Image.Resampling.LANCZOS, box=(left, 0, left + size[1], size[1])
        )
    shown = np.asarray(Image.open(io.BytesIO(found.jpeg)), dtype=float)
    error = np.sqrt(np.mean((shown - np.asarray(whole, dtype=float)) ** 2))
    assert 20 * np.log10(255 / error) > 42
    assert (found.record["raw_width_px"], found.record["raw_height_px"]) == size
