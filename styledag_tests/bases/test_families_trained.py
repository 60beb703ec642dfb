"""What training makes of every family: averages, subsets, deltas, and the same after a kill -9."""

import json
import math
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from styledag.bases.base import Base
from styledag.bases.find import find_base
from styledag.merging.posthoc import StoredAverage, reconstruct_unet
from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag.tensors.delta import restore_delta, write_delta
from styledag.training.batches import Batches
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.recipe import EmaSettings, StoppingSettings
from styledag.training.records import Snapshot
from styledag_tests.bases.families import TinyFamily
from styledag_tests.bases.killed_families import DIES_AFTER
from styledag_tests.bases.test_families import FAMILIES, RECIPE, WEIGHTS, encode, line, train
from styledag_tests.training.conftest import make_samples, ragged_samples
from styledag_tests.training.training import RecordingProgress

RESUMED: dict[str, Any] = {
    "ema": EmaSettings(mode="base", base_share=0.2),
    "epochs": 3,
    "save_state_every_steps": 2,
}
EVERY_EPOCH: dict[str, Any] = {"epochs": 4, "snapshot_every_epochs": 1, "learning_rate": 1e-3}


@pytest.fixture(params=FAMILIES)
def name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def family(name: str) -> TinyFamily:
    return FAMILIES[name]


@pytest.fixture
def folder(name: str, folder_of: Callable[[str], Path]) -> Path:
    return folder_of(name)


@pytest.fixture
def base(folder: Path) -> Base:
    return find_base(folder)


@pytest.fixture
def encoded(folder: Path, store: Store, workspace: Workspace) -> EncodedDataset:
    return encode(folder, ragged_samples(store, {(16, 16): 3, (24, 16): 2}), workspace)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / WEIGHTS)


def flat(folder: Path) -> torch.Tensor:
    return torch.cat([each.flatten().double() for each in weights(folder).values()])


def mean_error(
    family: TinyFamily, base: Base, denoiser: Any, batches: Batches, sample: Any, *, turned: bool
) -> float:
    """The error on one image, or on the image turned, with noise that was not trained on."""
    errors = []
    for epoch in range(1001, 1033):
        batch = batches.training_batch([sample], epoch)
        if turned:
            batch.latents.copy_(batch.latents.flip(-1, -2))
        noisy, target = line(family, batch)
        conditioning = batch.conditioning.to(dtype=torch.float32)
        with torch.no_grad():
            predicted = base.predict(denoiser, noisy, batch.timesteps, conditioning)
        errors.append(float((predicted - target).square().mean()))
    return sum(errors) / len(errors)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if each.slow else [])
        for name, each in FAMILIES.items()
    ],
    indirect=True,
)
def test_one_image_is_overfitted(
    family: TinyFamily, folder: Path, base: Base, store: Store, workspace: Workspace, tmp_path: Path
) -> None:
    encoded = encode(folder, make_samples(store, 1), workspace)
    ways = {"epochs": family.steps, "snapshot_every_epochs": family.steps}
    result = train(encoded, folder, tmp_path, batch_size=1, learning_rate=family.rate, **ways)
    batches = Batches(encoded, RECIPE, base.objective())
    before, after = base.denoiser(), base.denoiser(result.final.folder)

    def error(denoiser: Any, *, turned: bool = False) -> float:
        return mean_error(family, base, denoiser, batches, encoded.train[0], turned=turned)

    assert error(after) < 0.5 * error(before)
    if family.flow:  # whose target has the image in it, and not the noise alone
        assert error(after) < 0.8 * error(after, turned=True)


def test_a_run_killed_with_signal_9_ends_in_the_same_weights(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    orders, datasets = [], {}
    for name in FAMILIES:
        folders = [tmp_path / name / each for each in ("encoded", "scratch")]
        for each in folders:
            each.mkdir(parents=True)
        store = Store(str(tmp_path / name / "store"), cache=tmp_path / name / "cache")
        workspace = Workspace(*folders, store.blobs, store.items)
        samples = ragged_samples(store, {(16, 16): 3, (24, 16): 2})
        datasets[name] = encode(folder_of(name), samples, workspace)
        orders.append([str(workspace.folder), str(folder_of(name)), str(tmp_path / name / "cut")])
    killed = subprocess.run(
        [sys.executable, "-m", "styledag_tests.bases.killed_families", json.dumps(orders)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.stdout.split() == [str(-signal.SIGKILL)] * len(FAMILIES), killed.stderr
    for name, encoded in datasets.items():
        folder, root = folder_of(name), tmp_path / name
        undisturbed = train(encoded, folder, root / "undisturbed", **RESUMED)
        progress = RecordingProgress()
        resumed = train(encoded, folder, root / "cut", progress=progress, **RESUMED)
        assert progress.done_before == DIES_AFTER - 1, name  # a state after every second step
        assert resumed.log == undisturbed.log, name
        one, other = (weights(each.final.folder) for each in (resumed, undisturbed))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[tensor], other[tensor]) for tensor in other), name


def test_an_average_is_reconstructed_from_a_run_that_kept_others(
    folder: Path, base: Base, encoded: EncodedDataset, tmp_path: Path
) -> None:
    lengths = (0.05, 0.2)
    stored: list[StoredAverage] = []

    def keep(snapshot: Snapshot) -> None:
        assert snapshot.second is not None
        for average, length in zip((snapshot.folder, snapshot.second), lengths, strict=True):
            copy = shutil.copytree(average, tmp_path / f"{snapshot.epoch}-{length}")
            stored.append(StoredAverage(folder=copy, step=snapshot.step, length=length))

    ema = EmaSettings(mode="power", lengths=lengths)
    train(encoded, folder, tmp_path / "run", on_snapshot=keep, ema=ema, **EVERY_EPOCH)
    assert len(stored) == 2 * EVERY_EPOCH["epochs"]
    facts = reconstruct_unet(stored, 0.1, tmp_path / "out", parents={})
    ours = flat(tmp_path / "out")
    shorter, longer = (flat(each.folder) for each in stored[-2:])
    apart = (longer - shorter).norm()
    assert apart > 0
    assert math.isfinite(facts["profile_error"])
    assert (ours - shorter).norm() < apart
    assert (ours - longer).norm() < apart
    assert base.denoiser(tmp_path / "out")


def test_only_the_block_that_is_named_is_trained(
    folder: Path, base: Base, encoded: EncodedDataset, tmp_path: Path
) -> None:
    before = base.denoiser().bfloat16().state_dict()
    single = [block for block in base.blocks if "." in block]
    for block in (single[0], single[-1]):
        prefix = f"{base.blocks[block]}."
        tuned = train(encoded, folder, tmp_path / block, blocks=(block,)).final.folder
        changed = {n for n, each in weights(tuned).items() if not torch.equal(each, before[n])}
        assert changed
        assert all(each.startswith(prefix) for each in changed), block


def test_a_difference_to_a_base_in_shards_gives_the_same_file(
    folder: Path, base: Base, encoded: EncodedDataset, tmp_path: Path
) -> None:
    tuned = train(encoded, folder, tmp_path / "run").final.folder
    base.denoiser().save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    write_delta(tuned, tmp_path / "shards", tmp_path / "delta")
    restore_delta(tmp_path / "delta", folder / base.parts.denoiser, tmp_path / "whole")
    assert (tmp_path / "whole" / WEIGHTS).read_bytes() == (tuned / WEIGHTS).read_bytes()


def test_held_out_images_are_judged_at_eight_equidistant_timesteps(
    family: TinyFamily, folder: Path, base: Base, store: Store, workspace: Workspace, tmp_path: Path
) -> None:
    encoded = encode(folder, make_samples(store, 4, validation=2), workspace)
    batches = Batches(encoded, RECIPE, base.objective())
    shape = base.latents.shape(width_px=16, height_px=16)
    expected = base.objective().timesteps([(band + 0.5) / 8 for band in range(8)], shape)
    seen = {band: set(batch.timesteps.tolist()) for band, batch in batches.validation_batches()}
    assert seen == {band: {each} for band, each in enumerate(expected.tolist())}

    stopping = StoppingSettings(patience=1, action="mark")
    result = train(encoded, folder, tmp_path, stopping=stopping, **EVERY_EPOCH)
    final = base.denoiser(result.final.folder)
    for band, batch in batches.validation_batches():
        noisy, target = line(family, batch)
        with torch.no_grad():
            conditioning = batch.conditioning.to(dtype=torch.float32)
            predicted = base.predict(final, noisy, batch.timesteps, conditioning)
        error = float((predicted - target).square().mean())
        assert result.final.validation_bands[band] == pytest.approx(error, rel=0.02)
    losses = {each.epoch: each.validation_loss for each in result.snapshots}
    assert result.best_epoch == min(losses, key=lambda epoch: losses[epoch] or math.inf)
