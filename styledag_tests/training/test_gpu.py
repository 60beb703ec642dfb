"""What only a CUDA device can show; run by ``pytest -m gpu``."""

from pathlib import Path
from typing import Any

import pytest
import torch

from styledag.between_steps import between_steps
from styledag.errors import DeviceError
from styledag.models.compute import Compute
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.optimising.optimisation import Optimisation
from styledag.training.recipe import EmaSettings, LoraSettings
from styledag.training.snapshots import saving
from styledag_tests.training.conftest import Encode
from styledag_tests.training.snapshots.test_saving import Written
from styledag_tests.training.test_resume import Interrupting, weights
from styledag_tests.training.training import train

pytestmark = pytest.mark.gpu


def cuda(**switches: Any) -> Compute:
    return Compute(torch.device("cuda", 0), torch.bfloat16, **{"channels_last": True} | switches)


@pytest.fixture
def encoded(encode: Encode) -> EncodedDataset:
    return encode(11)


@pytest.mark.parametrize("ways", [{}, {"weights": "bfloat16"}, {"ema_on_cpu": True}], ids=str)
def test_cut_run_ends_in_the_same_bits_with_deterministic_kernels(
    base: Path, encoded: EncodedDataset, tmp_path: Path, ways: dict[str, Any]
) -> None:
    compute = cuda(deterministic=True)
    undisturbed = train(encoded, base, tmp_path / "undisturbed", compute=compute, **ways)
    with pytest.raises(KeyboardInterrupt):
        train(encoded, base, tmp_path / "cut", compute=compute, progress=Interrupting(5), **ways)
    resumed = train(encoded, base, tmp_path / "cut", compute=compute, **ways)
    assert weights(resumed) == weights(undisturbed)
    assert resumed.log == undisturbed.log


@pytest.mark.parametrize(
    "ways",
    [{}, {"lora": LoraSettings(rank=2)}, {"ema": EmaSettings(mode="power")}, {"ema_on_cpu": True}],
    ids=str,
)
def test_a_thread_writes_what_the_training_would_have_written(
    base: Path, encoded: EncodedDataset, tmp_path: Path, ways: dict[str, Any]
) -> None:
    ways = {"snapshot_every_epochs": 1, "compute": cuda(deterministic=True), **ways}
    runs = []
    for waits in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if waits:
                patch.setattr(saving, "trains_meanwhile", lambda _: False)
            written = Written(patch)
            folder = tmp_path / f"waits {waits}"
            train(encoded, base, folder, on_snapshot=written.receive, **ways)
        runs.append((written.states, written.snapshots))
    assert runs[0] == runs[1]


def test_average_in_the_computers_memory_is_the_one_on_the_device(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    compute = cuda(deterministic=True)
    device = train(encoded, base, tmp_path / "device", compute=compute)
    memory = train(encoded, base, tmp_path / "memory", compute=compute, ema_on_cpu=True)
    assert [each.loss for each in device.log] == [each.loss for each in memory.log]
    assert device.final.validation_loss == memory.final.validation_loss


@pytest.mark.parametrize(
    "switches", [{"channels_last": False}, {"compile": True}], ids=["contiguous", "compiled"]
)
def test_switches_of_speed_change_the_loss_by_rounding_only(
    base: Path, encoded: EncodedDataset, tmp_path: Path, switches: dict[str, Any]
) -> None:
    plain = train(encoded, base, tmp_path / "plain", compute=cuda())
    switched = train(encoded, base, tmp_path / "switched", compute=cuda(**switches))
    for ours, theirs in zip(plain.log, switched.log, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=2e-2)


@pytest.mark.parametrize(
    "ways",
    [
        {},
        {"weights": "bfloat16"},
        {"gradient_checkpointing": True},
        {"min_snr_gamma": 5.0},
        {"dropped_captions": "base", "caption_dropout": 0.5},
    ],
    ids=str,
)
def test_no_step_waits_for_the_device(
    base: Path,
    encoded: EncodedDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ways: dict[str, Any],
) -> None:
    step, steps = Optimisation.step, 0

    def watched(self: Optimisation, *args: Any, **kwargs: Any) -> Any:
        nonlocal steps
        steps += 1
        # In the first one, the schedule's tables are still copied to the device.
        torch.cuda.set_sync_debug_mode("error" if steps > 1 else "default")
        try:
            return step(self, *args, **kwargs)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(Optimisation, "step", watched)
    result = train(encoded, base, tmp_path, compute=cuda(), **ways)
    assert steps == len(result.log) > 1


def test_a_snapshot_is_drawn_in_the_memory_that_training_took(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    taken: list[int] = []

    def draw() -> None:
        taken.append(torch.cuda.memory_allocated())
        if len(taken) % 2:
            raise DeviceError("no room to draw") from torch.OutOfMemoryError("CUDA out of memory")

    ways: dict[str, Any] = {"snapshot_every_epochs": 1, "compute": cuda(deterministic=True)}
    undisturbed = train(encoded, base, tmp_path / "undisturbed", **ways)
    before = torch.cuda.memory_allocated()
    result = train(
        encoded, base, tmp_path / "waiting", on_snapshot=lambda _: between_steps(draw), **ways
    )
    beside, instead = taken[:2]
    assert instead - before < 0.1 * (beside - before)
    assert weights(result) == weights(undisturbed)
