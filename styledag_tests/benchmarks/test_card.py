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


def on_cuda(work: Path, monkeypatch: pytest.MonkeyPatch, losses: list[float]) -> Bench:
    """Return a benchmark of a GPU whose every training ends at once with the same losses."""
    scale = scale_of("cuda", quick=True)
    bench = Bench(scale=scale, device="cuda", threads=1, work=work, peer=None)
    found = {"seconds": 9.0, "images_per_s": 100.0, "peak_reserved": 2e9, "losses": losses}
    monkeypatch.setattr(Bench, "train", lambda *_, **__: found)
    return bench


def test_only_what_was_compiled_before_is_called_warm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    (tmp_path / "compiled").mkdir()
    made = on_cuda(tmp_path, monkeypatch, [1.0])
    (cold,) = card.measured("whole", made)
    assert not (tmp_path / "compiled").exists()
    (warm,) = card.measured("warm", made)
    assert (cold.what[-10:], warm.what[-10:]) == ("cold cache", "warm cache")
    # The goals are for more epochs than a quick run has.
    assert (cold.goal, cold.note) == ("", "the goal of 120 s is one for 10 epochs")


def test_no_speed_of_compiled_code_counts_whose_losses_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = on_cuda(tmp_path, monkeypatch, [1.0, 0.5])
    card.measured("eager", made)
    (row,) = card.measured("training", made)
    assert row.ours == 100.0
    assert "0.00% from uncompiled code's" in row.note
    made.uncompiled_losses = [2.0, 0.5]
    (row,) = card.measured("training", made)
    assert row.ours is None
    assert row.note == "compiled code's mean loss is 40.00% off; no speed counts"


def test_a_worker_that_does_not_end_in_time_fails(tmp_path: Path) -> None:
    soon = bench(tmp_path, ends_at_s=time.monotonic() + 0.2)
    with pytest.raises(WorkerError, match="did not end within"):
        soon.encode()
