import hashlib
import json
import resource
import shutil
import signal
import subprocess
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from styledag.errors import StorageError
from styledag.models.compute import Compute
from styledag.store.workspace import Workspace
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.recipe import EmaSettings, LoraSettings, Recipe
from styledag.training.records import Snapshot, TrainingResult
from styledag.training.states.state import TrainingStates
from styledag_tests.training.conftest import Encode
from styledag_tests.training.optimising.test_optimizers import BITSANDBYTES
from styledag_tests.training.training import RECIPE, train

TOTAL_STEPS = 9
"""Three epochs of 4 + 4 + 3 images."""


def weights(result: TrainingResult) -> str:
    return sha256(result.final.folder)


def sha256(folder: Path) -> str:
    return hashlib.sha256((folder / "diffusion_pytorch_model.safetensors").read_bytes()).hexdigest()


def test_killed_runs_end_in_the_weights_of_an_undisturbed_one(
    base: Path, encode: Encode, workspace: Workspace, tmp_path: Path
) -> None:
    encoded = encode(13, validation=2)
    undisturbed = train(encoded, base, tmp_path / "undisturbed")
    cases = {
        "within an accumulation": ({"microstep": 10}, TOTAL_STEPS - 4),
        "in the first microstep": ({"microstep": 1}, TOTAL_STEPS),
        "while a snapshot is received": ({"snapshot": 1}, TOTAL_STEPS - 6),
        "while a state is written": ({"write": 2}, TOTAL_STEPS - 2),
    }
    task = {
        "encoded": str(workspace.folder),
        "base": str(base),
        "orders": [
            {"die_at": die_at, "scratch": str(tmp_path / case)}
            for case, (die_at, _) in cases.items()
        ],
    }
    process = subprocess.run(
        [sys.executable, "-m", "styledag_tests.training.training", json.dumps(task)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.stdout.split() == [str(-signal.SIGKILL)] * len(cases), process.stderr
    for case, (_, steps_left) in cases.items():
        work: Counter[str] = Counter()
        received: list[int] = []
        resumed = train(
            encoded,
            base,
            tmp_path / case,
            work=work,
            on_snapshot=lambda snapshot, into=received: into.append(snapshot.epoch),
        )
        assert work == {"steps": steps_left}, case
        assert weights(resumed) == weights(undisturbed), case
        assert resumed.log == undisturbed.log
        assert received == [each.epoch for each in resumed.snapshots] == [2, 3]
        for one, other in zip(resumed.snapshots, undisturbed.snapshots, strict=True):
            assert replace(one, folder=Path()) == replace(other, folder=Path())


@pytest.fixture
def encoded(encode: Encode) -> EncodedDataset:
    return encode(11)


def test_every_snapshot_is_received_wherever_training_was_cut_off(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    expected: dict[int, str] = {}

    def note(snapshot: Snapshot) -> None:
        expected[snapshot.epoch] = sha256(snapshot.folder)

    train(encoded, base, tmp_path / "undisturbed", on_snapshot=note)
    for cut in (1, 6, 7, 9):
        received: dict[int, str] = {}

        def receive(snapshot: Snapshot, into: dict[int, str] = received) -> None:
            into[snapshot.epoch] = sha256(snapshot.folder)

        scratch = tmp_path / f"cut-{cut}"
        with pytest.raises(KeyboardInterrupt):
            train(encoded, base, scratch, on_snapshot=receive, progress=Interrupting(cut))
        train(encoded, base, scratch, on_snapshot=receive)
        assert received == expected


def test_finished_run_does_nothing_and_gives_the_same_result(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    first = train(encoded, base, tmp_path)
    digest = weights(first)
    first.final.folder.rename(tmp_path / "taken away")
    work: Counter[str] = Counter()
    again = train(encoded, base, tmp_path, work=work, on_snapshot=pytest.fail)
    assert not work
    assert weights(again) == digest
    assert again.log == first.log
    assert again.snapshots == first.snapshots


HALF = {"compute": Compute(torch.device("cpu"), torch.bfloat16)}
BFLOAT16 = HALF | {"weights": "bfloat16"}


@pytest.mark.parametrize(
    "ways",
    [
        {"ema": EmaSettings(mode="none")},
        {"ema": EmaSettings(mode="warmup")},
        {"ema": EmaSettings(mode="power")},
        {"ema_on_cpu": True},
        {"optimizer": "adafactor"},
        pytest.param({"optimizer": "adamw_8bit"}, marks=BITSANDBYTES),
        HALF,
        HALF | {"ema": EmaSettings(mode="power"), "ema_on_cpu": True},
        HALF | {"lora": LoraSettings(rank=2)},
        HALF | {"trained": "attention", "optimizer": "adafactor"},
        BFLOAT16,
        BFLOAT16 | {"optimizer": "adafactor", "gradient_checkpointing": True},
        {"lora": LoraSettings(rank=2)},
        {"trained": "attention", "blocks": ("up",), "block_rates": {"up.0": 0.5}},
    ],
    ids=str,
)
def test_every_way_of_training_resumes(
    base: Path, encoded: EncodedDataset, tmp_path: Path, ways: dict[str, Any]
) -> None:
    undisturbed = train(encoded, base, tmp_path / "undisturbed", **ways)
    with pytest.raises(KeyboardInterrupt):
        train(encoded, base, tmp_path / "cut", progress=Interrupting(5), **ways)
    work: Counter[str] = Counter()
    resumed = train(encoded, base, tmp_path / "cut", work=work, **ways)
    assert work == {"steps": TOTAL_STEPS - 4}
    assert weights(resumed) == weights(undisturbed)
    assert resumed.log == undisturbed.log
    assert (resumed.final.second is None) == (undisturbed.final.second is None)
    if resumed.final.second is not None and undisturbed.final.second is not None:
        assert sha256(resumed.final.second) == sha256(undisturbed.final.second)
        assert sha256(resumed.final.second) != weights(resumed)


def test_state_of_another_recipe_is_not_gone_on_from(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(encoded, base, tmp_path / "shared", progress=Interrupting(5))
    work: Counter[str] = Counter()
    other = train(encoded, base, tmp_path / "shared", work=work, seed=4)
    assert work == {"steps": TOTAL_STEPS}
    assert weights(other) == weights(train(encoded, base, tmp_path / "own", seed=4))


@pytest.mark.parametrize("name", ["base_unet", "encoded_dataset"])
def test_state_of_other_inputs_is_not_resumed_from(
    base: Path, encoded: EncodedDataset, tmp_path: Path, name: str
) -> None:
    inputs = {"base_unet": "1", "encoded_dataset": "1"}
    with pytest.raises(KeyboardInterrupt):
        train(encoded, base, tmp_path, progress=Interrupting(5), inputs=inputs)
    work: Counter[str] = Counter()
    train(encoded, base, tmp_path, work=work, inputs=inputs | {name: "2"})
    assert work == {"steps": TOTAL_STEPS}


def test_snapshot_that_was_being_received_comes_again_as_it_was_without_training(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    received: list[tuple[int, str]] = []

    def receive(snapshot: Snapshot) -> None:
        received.append((snapshot.epoch, sha256(snapshot.folder)))
        shutil.rmtree(snapshot.folder)  # As one that is half moved away.
        if len(received) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(encoded, base, tmp_path, on_snapshot=receive)
    (state,) = (tmp_path / "state").glob("step-*")
    assert state.name == "step-00000006"
    work: Counter[str] = Counter()
    result = train(encoded, base, tmp_path, work=work, on_snapshot=receive)
    assert work == {"steps": TOTAL_STEPS - 6}
    assert [epoch for epoch, _ in received] == [2, 2, 3]
    assert received[0] == received[1]
    assert weights(result) == received[2][1]


def test_cut_between_receiving_a_snapshot_and_noting_it_changes_nothing(
    base: Path, encoded: EncodedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[tuple[int, str]] = []

    def receive(snapshot: Snapshot) -> None:
        received.append((snapshot.epoch, sha256(snapshot.folder)))

    def cut_off(states: TrainingStates) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(TrainingStates, "mark_handed_over", cut_off)
        with pytest.raises(KeyboardInterrupt):
            train(encoded, base, tmp_path, on_snapshot=receive)
    work: Counter[str] = Counter()
    train(encoded, base, tmp_path, work=work, on_snapshot=receive)
    assert work == {"steps": TOTAL_STEPS - 6}
    assert [epoch for epoch, _ in received] == [2, 2, 3]
    assert received[0] == received[1]


def test_snapshots_carry_the_recipe_that_the_run_began_with(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    recipes = []
    with pytest.raises(KeyboardInterrupt):
        train(encoded, base, tmp_path, progress=Interrupting(8))
    result = train(
        encoded, base, tmp_path, on_snapshot=lambda snapshot: recipes.append(snapshot.recipe)
    )
    assert recipes == [Recipe(**RECIPE)]
    assert {each.recipe for each in result.snapshots} == set(recipes)


def test_how_often_states_are_saved_does_not_matter(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(encoded, base, tmp_path, progress=Interrupting(5), save_state_every_steps=1)
    work: Counter[str] = Counter()
    train(encoded, base, tmp_path, work=work, save_state_every_steps=50)
    assert work == {"steps": TOTAL_STEPS - 4}


def test_damaged_state_starts_again(base: Path, encoded: EncodedDataset, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(encoded, base, tmp_path, progress=Interrupting(5))
    (state,) = (tmp_path / "state").glob("step-*/state.safetensors")
    state.write_bytes(state.read_bytes()[:1000])
    work: Counter[str] = Counter()
    train(encoded, base, tmp_path, work=work)
    assert work == {"steps": TOTAL_STEPS}


def test_disk_that_fills_up_loses_nothing(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    undisturbed = train(encoded, base, tmp_path / "undisturbed")
    with pytest.raises(KeyboardInterrupt):
        train(encoded, base, tmp_path / "full", progress=Interrupting(3))
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, unlimited[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot use .*step-00000004"):
            train(encoded, base, tmp_path / "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    work: Counter[str] = Counter()
    resumed = train(encoded, base, tmp_path / "full", work=work)
    assert work == {"steps": TOTAL_STEPS - 2}
    assert weights(resumed) == weights(undisturbed)


class Interrupting:
    """A person who presses control-C when so many optimiser steps are done."""

    def __init__(self, at: int) -> None:
        self.at = at

    def task(self, description: str, total: int | None, *, done: int = 0) -> Any:
        del description, total

        def advance(count: int = 1, /, **figures: float) -> None:
            nonlocal done
            done += count
            if done == self.at:
                raise KeyboardInterrupt

        return nullcontext(advance)
