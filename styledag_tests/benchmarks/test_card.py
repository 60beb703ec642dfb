"""The pieces of ``benchmarks/card.py``, as small as they get."""

import math
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import card
from benchmarks.speed import drawing
from benchmarks.speed.bench import Bench
from benchmarks.speed.fake import STARTER_BLIP, Architecture, write_checkpoint, write_images
from benchmarks.speed.measured import WorkerError
from benchmarks.speed.scale import scale_of

MACHINE = {"device": "a card", "torch": "2.13.0"}


@pytest.fixture
def task(tmp_path: Path) -> dict[str, Any]:
    smallest = Architecture((32, 32, 64, 64), (8, 8, 8, 8), 4, 32, 1, 2, 64)
    write_checkpoint(tmp_path / "base", smallest)
    write_images(tmp_path / "images", 4, 64)
    return {
        "base": str(tmp_path / "base"),
        "images": str(tmp_path / "images"),
        "captioner": str(STARTER_BLIP),
        "compute": {"device": "cpu", "dtype": "float32"},
        "batch_size": 2,
        "compared": 2,
        "steps": 2,
        "size_px": 64,
    }


def test_sampling_and_captioning_are_compared_and_measured(task: dict[str, Any]) -> None:
    sampled = drawing.sampling(task)
    assert sampled["latents_apart"] == 0
    assert min(rate for name, rate in sampled.items() if name.endswith("_per_s")) > 0
    captioned = drawing.captioning(task)
    assert min(rate for name, rate in captioned.items() if name.endswith("_per_s")) > 0


def test_the_table_has_a_ratio_where_there_is_a_peer() -> None:
    rows = [card.Row("speed", 3.0, 1.5, "10"), card.Row("memory", note="not reached in the time")]
    lines = card.as_table(rows, MACHINE).splitlines()
    assert lines[0] == "On a card, torch 2.13.0:"
    assert lines[-2:] == [
        "| speed | 3 | 1.5 | 2 | 10 |  |",
        "| memory |  |  |  |  | not reached in the time |",
    ]


def bench(work: Path, *, ends_at_s: float) -> Bench:
    scale = scale_of("cpu", quick=True)
    return Bench(scale=scale, device="cpu", threads=1, work=work, peer=None, ends_at_s=ends_at_s)


def test_a_part_that_fails_is_reported_and_does_not_end_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Bench) -> list[card.Row]:
        raise WorkerError("its log\nbenchmarks.speed.ours ended with 1")

    monkeypatch.setitem(card.PARTS, "lean", fails)
    found = card.measured("lean", bench(tmp_path, ends_at_s=math.inf))
    assert found == [card.Row("lean", note="benchmarks.speed.ours ended with 1")]


def test_what_the_time_does_not_suffice_for_is_left_out(tmp_path: Path) -> None:
    over = bench(tmp_path, ends_at_s=time.monotonic())
    assert card.measured("whole", over) == [card.Row("whole", note="not reached in the time")]


def test_a_worker_that_does_not_end_in_time_fails(tmp_path: Path) -> None:
    soon = bench(tmp_path, ends_at_s=time.monotonic() + 0.2)
    with pytest.raises(WorkerError, match="did not end within"):
        soon.encode()
