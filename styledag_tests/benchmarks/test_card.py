"""The pieces of ``benchmarks/card.py``, as small as they get."""

import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

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


def test_sampling_is_measured_compiled_and_uncompiled(
    task: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, used = torch.nn.Module.compile, []

    def traced(self: torch.nn.Module, **given: Any) -> None:
        used.append(self)
        whole(self, **given, backend="eager")

    monkeypatch.setattr(torch.nn.Module, "compile", traced)
    found = drawing.compiled_sampling(task)
    assert used
    assert found["uncompiled_latents_apart"] == 0
    assert found["compiled_latents_apart"] < 1e-5
    assert min(rate for name, rate in found.items() if name.endswith("_per_s")) > 0


@pytest.mark.parametrize(("apart", "counts"), [(0.014, True), (0.02, False)])
def test_no_speed_of_compiled_sampling_counts_whose_latents_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart: float, counts: bool
) -> None:
    found = {
        "compiled_latents_apart": apart,
        "uncompiled_latents_apart": 0.01,
        "compiled_first_batch_s": 60.0,
        "compiled_images_per_s": 12.0,
        "uncompiled_images_per_s": 10.0,
    }
    monkeypatch.setattr(Bench, "sampling", lambda *_: found)
    (row,) = card.measured("compiled", bench(tmp_path, ends_at_s=math.inf))
    assert (row.ours, row.peer) == ((12.0, 10.0) if counts else (None, None))


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
    assert found == [card.Row("lean", note="benchmarks.speed.ours ended with 1", part="lean")]


def test_what_the_time_does_not_suffice_for_is_left_out(tmp_path: Path) -> None:
    over = bench(tmp_path, ends_at_s=time.monotonic())
    (row,) = card.measured("whole", over)
    assert (row.ours, row.note, row.part) == (None, "not reached in the time", "whole")


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
    made = on_cuda(tmp_path, monkeypatch, [1.0])
    (whole,) = card.measured("whole", made)
    assert (whole.ours, whole.goal) == (9.0, "120")
    (warm,) = card.measured("warm", made)
    assert (warm.ours, warm.note) == (None, "nothing was compiled before: name training before it")
    (tmp_path / "compiled").mkdir()
    (warm,) = card.measured("warm", made)
    assert (warm.ours, warm.goal, warm.what[-10:]) == (9.0, "75", "warm cache")


def test_parts_that_are_measured_later_join_those_of_the_same_machine(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    first = [card.Row("encoding", 1.0, part="encoding"), card.Row("warm", part="warm")]
    assert card.with_former(first, path, MACHINE) == first
    rows = [asdict(row) for row in first]
    path.write_text(json.dumps({"machine": MACHINE, "rows": rows}))
    later = [card.Row("warm", 2.0, part="warm"), card.Row("eager", 3.0, part="eager")]
    found = card.with_former(later, path, MACHINE)
    assert [(row.part, row.ours) for row in found] == [
        ("encoding", 1.0),
        ("eager", 3.0),
        ("warm", 2.0),
    ]
    assert card.with_former(first, path, MACHINE | {"torch": "2.14.0"}) == first


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
