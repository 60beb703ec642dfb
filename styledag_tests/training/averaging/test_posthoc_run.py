"""What is reconstructed after a real training run is what that run would have kept."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from styledag.errors import TrainingError
from styledag.merging.posthoc import StoredAverage, reconstruct_unet
from styledag.tensors.layout import WEIGHTS_FILE
from styledag.training.recipe import EmaSettings
from styledag.training.records import Snapshot
from styledag_tests.training.conftest import Encode
from styledag_tests.training.training import train

LENGTHS = (0.05, 0.1)
DIRECT = (0.04, 0.2)
RUN = {
    "epochs": 10,
    "gradient_accumulation": 1,
    "snapshot_every_epochs": 1,
    "lr_warmup_steps": 0,
    "lr_schedule": "constant",
    "learning_rate": 1e-2,
}


@dataclass
class Kept:
    """Copies of all that a run handed over."""

    root: Path
    lengths: tuple[float, float]
    stored: list[StoredAverage] = field(default_factory=list)

    def receive(self, snapshot: Snapshot) -> None:
        assert snapshot.second is not None
        assert snapshot.base_share == 0
        for folder, length in zip((snapshot.folder, snapshot.second), self.lengths, strict=True):
            copy = shutil.copytree(folder, self.root / f"{snapshot.epoch}-{length}")
            self.stored.append(StoredAverage(folder=copy, step=snapshot.step, length=length))


def weights(folder: Path) -> torch.Tensor:
    return torch.cat(
        [each.flatten().double() for each in load_file(folder / WEIGHTS_FILE).values()]
    )


def test_reconstructed_averages_equal_those_of_a_run_that_kept_them(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    encoded = encode(8)
    kept, direct = Kept(tmp_path / "kept", LENGTHS), Kept(tmp_path / "direct", DIRECT)
    for each in (kept, direct):
        settings = EmaSettings(mode="power", lengths=each.lengths)
        train(encoded, base, each.root / "run", on_snapshot=each.receive, ema=settings, **RUN)
    assert [each.step for each in kept.stored[::2]] == [4 * epoch for epoch in range(1, 11)]
    stored = [weights(each.folder) for each in kept.stored]
    for average in direct.stored[-2:]:
        facts = reconstruct_unet(kept.stored, average.length, tmp_path / "out", parents={})
        expected = weights(average.folder)
        moved = (expected - weights(base / "unet")).norm()
        off = (weights(tmp_path / "out") - expected).norm() / moved
        assert off < 0.005
        assert off < facts["profile_error"]
        # No average that was kept comes near to it.
        assert off < 0.2 * min((each - expected).norm() / moved for each in stored)
    with pytest.raises(TrainingError, match=r"length 0\.01 cannot be reconstructed"):
        reconstruct_unet(kept.stored, 0.01, tmp_path / "out", parents={})
