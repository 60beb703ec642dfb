import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from styledag.errors import ModelError, TrainingError
from styledag.merging.posthoc import StoredAverage, reconstruct_unet
from styledag.settings import canonical_json
from styledag.store.digest import folder_digest
from styledag.tensors.layout import CONFIG_FILE, WEIGHTS_FILE
from styledag.training.averaging.posthoc import gamma_of, posthoc_weights
from styledag_tests.peak_memory import bytes_above_start

STEPS = 8


def store(root: Path, *, dtype: torch.dtype = torch.float16) -> list[StoredAverage]:
    """Write averages of both lengths over 8 steps: one tensor moves, one was not trained."""
    generator = torch.Generator().manual_seed(0)
    frozen = torch.randn(9, generator=generator).to(dtype)
    stored = []
    for step in range(1, STEPS + 1):
        for length in (0.05, 0.1):
            folder = root / f"{step}-{length}"
            folder.mkdir(parents=True)
            (folder / CONFIG_FILE).write_text(json.dumps({"layers": 1, "_name_or_path": str(root)}))
            moving = torch.randn(2, 3, generator=generator).to(dtype)
            save_file({"frozen": frozen, "moving": moving}, folder / WEIGHTS_FILE)
            stored.append(StoredAverage(folder=folder, step=step, length=length))
    return stored


def coefficients(length: float) -> tuple[float, ...]:
    profiles = [(step, gamma_of(each)) for step in range(1, STEPS + 1) for each in (0.05, 0.1)]
    return posthoc_weights(profiles, STEPS, gamma_of(length))


def test_the_sum_is_that_of_the_coefficients(tmp_path: Path) -> None:
    stored = store(tmp_path / "stored", dtype=torch.float32)
    facts = reconstruct_unet(stored, 0.15, tmp_path / "out", parents={"tuned": "t" * 64})
    tensors = load_file(tmp_path / "out" / WEIGHTS_FILE)
    expected = sum(
        factor * load_file(each.folder / WEIGHTS_FILE)["moving"].double()
        for factor, each in zip(coefficients(0.15), stored, strict=True)
    )
    torch.testing.assert_close(tensors["moving"].double(), expected, rtol=1e-6, atol=1e-7)
    assert facts["length"] == 0.15
    assert facts["weight"] == facts["amount"] == 1
    assert 0 < facts["profile_error"] < 0.05
    assert facts["stored_averages"] == len(stored)
    json.loads(canonical_json(facts))


def test_what_was_not_trained_comes_back_bit_for_bit(tmp_path: Path) -> None:
    stored = store(tmp_path / "stored")
    reconstruct_unet(stored, 0.15, tmp_path / "out", parents={})
    tensors = load_file(tmp_path / "out" / WEIGHTS_FILE)
    assert tensors["moving"].dtype == torch.float16
    assert torch.equal(tensors["frozen"], load_file(stored[0].folder / WEIGHTS_FILE)["frozen"])


def test_a_stored_length_comes_back(tmp_path: Path) -> None:
    stored = store(tmp_path / "stored")
    for place, length in ((-2, 0.05), (-1, 0.1)):
        reconstruct_unet(stored, length, tmp_path / "out", parents={})
        ours = load_file(tmp_path / "out" / WEIGHTS_FILE)["moving"]
        theirs = load_file(stored[place].folder / WEIGHTS_FILE)["moving"]
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)


def test_the_header_tells_where_it_comes_from(tmp_path: Path) -> None:
    stored = store(tmp_path / "stored")
    parents = {"tuned": "t" * 64, "checkpoint.e001": "c" * 64}
    reconstruct_unet(stored, 0.15, tmp_path / "out", parents=parents)
    with safe_open(tmp_path / "out" / WEIGHTS_FILE, "pt") as opened:
        metadata = opened.metadata()
    terms = json.loads(metadata.pop("styledag.terms"))
    assert metadata == {
        "format": "pt",
        "styledag.method": "posthoc_ema",
        "styledag.length": "0.15",
        "styledag.weight": "1.0",
        "styledag.amount": "1.0",
        "styledag.tuned": "t" * 64,
        "styledag.checkpoint.e001": "c" * 64,
    }
    assert [term[:2] for term in terms] == [[each.step, each.length] for each in stored]
    assert [term[2] for term in terms] == pytest.approx(coefficients(0.15))


def test_content_does_not_follow_from_where_anything_lies(tmp_path: Path) -> None:
    for name in ("one", "two"):
        reconstruct_unet(store(tmp_path / name), 0.15, tmp_path / f"{name}-out", parents={})
    assert folder_digest(tmp_path / "one-out") == folder_digest(tmp_path / "two-out")


def test_a_length_out_of_reach_writes_nothing(tmp_path: Path) -> None:
    stored = store(tmp_path / "stored")
    with pytest.raises(TrainingError, match=r"length 0\.01 cannot"):
        reconstruct_unet(stored, 0.01, tmp_path / "out", parents={})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_in_any_stored_average_is_named(tmp_path: Path, bad: float) -> None:
    stored = store(tmp_path / "stored")
    path = stored[3].folder / WEIGHTS_FILE
    tensors = load_file(path)
    tensors["moving"][1, 1] = bad
    save_file(tensors, path)
    with pytest.raises(ModelError, match=r"2-0\.1.*'moving' holds NaN"):
        reconstruct_unet(stored, 0.15, tmp_path / "out", parents={})


def test_an_average_of_another_model_is_named(tmp_path: Path) -> None:
    stored = store(tmp_path / "stored")
    save_file({"frozen": torch.zeros(9).half()}, stored[3].folder / WEIGHTS_FILE)
    with pytest.raises(ModelError, match="'moving' is only in"):
        reconstruct_unet(stored, 0.15, tmp_path / "out", parents={})


def test_memory_stays_flat_whatever_the_number_of_averages(tmp_path: Path) -> None:
    large = {"layer": torch.zeros(40_000_000, dtype=torch.float16)}  # 80 MB
    for step in range(1, 6):
        for length in (0.05, 0.1):
            folder = tmp_path / f"{step}-{length}"
            folder.mkdir()
            (folder / CONFIG_FILE).write_text("{}")
            save_file(large, folder / WEIGHTS_FILE)
    taken = bytes_above_start(
        "import torch, safetensors.torch\n"
        "import styledag.training.averaging.posthoc, styledag.tensors.writer\n"
        "from styledag.merging.posthoc import StoredAverage, reconstruct_unet",
        "stored = [StoredAverage(folder=root / f'{step}-{length}', step=step, length=length)\n"
        "          for step in range(1, 6) for length in (0.05, 0.1)]\n"
        "reconstruct_unet(stored, 0.08, root / 'out', parents={})",
        tmp_path,
    )
    assert taken < 260 << 20  # Of ten files of 80 MB, and pieces in float64.


def test_the_module_is_importable_without_torch() -> None:
    code = "import styledag.merging.posthoc, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
