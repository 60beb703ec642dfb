"""The pieces of ``benchmarks/train.py``, as small as they get; the peer is not here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.speed import gates, ours
from benchmarks.speed.architectures import ARCHITECTURES, write_architecture
from benchmarks.speed.fake import Architecture, write_checkpoint, write_images
from benchmarks.speed.family import measure_family
from benchmarks.speed.measured import Stamps
from benchmarks.speed.peer import readme_flags, tuned_flags
from styledag.bases.find import find_base
from styledag.style.template import base_names

COMMAND = [sys.executable, "-m", "benchmarks.train"]
FLOAT32 = {"device": "cpu", "dtype": "float32"}
RECIPE = {
    "epochs": 2,
    "batch_size": 2,
    "ema": {"mode": "warmup"},
    "snapshot_every_epochs": 1,
    "learning_rate": 1e-4,
}


@pytest.fixture
def task(tmp_path: Path) -> dict[str, Any]:
    smallest = Architecture((32, 32, 64, 64), (8, 8, 8, 8), 4, 32, 1, 2, 64)
    write_checkpoint(tmp_path / "base", smallest)
    write_images(tmp_path / "images", 4, 64)
    return {
        "base": str(tmp_path / "base"),
        "images": str(tmp_path / "images"),
        "work": str(tmp_path / "work"),
        "run": str(tmp_path / "run"),
        "compute": FLOAT32,
        "batch_size": 2,
        "recipe": RECIPE,
        "warm_up_steps": 1,
        "steps": 3,
        "count": 2,
    }


def test_pieces_measure_and_compare(task: dict[str, Any]) -> None:
    assert ours.encode(task)["images_per_s"] > 0
    trained = ours.train(task)
    assert trained["images_per_s"] > 0
    assert (trained["steps"], len(trained["losses"])) == (3, 4)
    assert trained["vae_calls"] == 0

    counted = gates.operations(task)
    assert counted["predicted"] == pytest.approx(counted["counted"], rel=0.01)

    averages = gates.averages(task)
    assert averages["largest_difference"] < 1e-5
    assert averages["temporary_bytes"] < 64

    assert gates.encoding(task)["largest_difference"] < 1e-4

    run = Path(task["run"])
    same = {"first": str(run / "e001"), "second": str(run / "e001")}
    assert gates.snapshots(same)["rms_difference"] == 0
    apart = gates.snapshots(same | {"second": str(run / "e002")})["rms_difference"]
    assert 0 < apart < 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("full", [True, False], ids=["all weights", "adapters"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_family_trains_and_its_flops_are_those_counted(
    name: str, full: bool, tmp_path: Path
) -> None:
    if not full:
        pytest.importorskip("peft")
    found = measure_family(name, tmp_path, device="cpu", full=full, batch_size=1, steps=1)
    assert found["flops_predicted"] == pytest.approx(found["flops_counted"], rel=0.01)
    assert found["images_per_s"] > 0
    assert found["peak_rss"] > 0


def test_each_template_has_its_family(tmp_path: Path) -> None:
    assert {*ARCHITECTURES, "starter"} == set(base_names())
    for name, architecture in ARCHITECTURES.items():
        base = find_base(write_architecture(name, tmp_path / name, small=False))
        parameters = sum(each.numel() for each in base.denoiser(device="meta").parameters())
        assert round(parameters / 1e9, 2) == architecture.billions, name


def test_the_peer_is_told_what_its_readme_says() -> None:
    readme, images = readme_flags(device="cuda", size_px=512)
    assert images == 4
    assert {"--gradient_checkpointing", "--mixed_precision=fp16", "--use_ema"} <= set(readme)
    tuned, images = tuned_flags(device="cuda", size_px=512, batch_size=32, precision="bf16")
    assert images == 32
    assert {"--foreach_ema", "--mixed_precision=bf16", "--train_batch_size=32"} <= set(tuned)
    assert "--gradient_checkpointing" not in tuned


def test_speeds_leave_the_warm_up_out() -> None:
    stamps = Stamps()
    stamps.wall_s, stamps.cpu_s = [100.0, 101.0, 103.0], [10.0, 10.5, 11.5]
    found = stamps.figures(images_per_step=4, warm_up_steps=1)
    assert found == {"steps": 2, "images_per_s": 8 / 3, "images_per_cpu_s": 8 / 1.5}


def test_help_says_where_the_peer_is_from() -> None:
    done = subprocess.run(
        [*COMMAND, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "examples/text_to_image/train_text_to_image.py" in done.stdout
    assert "at tag v" in " ".join(done.stdout.split())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_quick_benchmark_runs_without_a_peer(tmp_path: Path) -> None:
    options = ["--device", "cpu", "--quick", "--rounds", "1", "--json", str(tmp_path / "out.json")]
    done = subprocess.run(
        [*COMMAND, *options],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "no peer" in done.stdout
    figures = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert all(gate["passes"] for gate in figures["gates"].values())
    assert len(figures["ladder"]) == 5
