"""Writes in a thread, against the same run that waits for each of them."""

import errno
import hashlib
import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from styledag.between_steps import between_steps
from styledag.errors import StorageError, TrainingError
from styledag.store.workspace import Workspace
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.recipe import EmaSettings, LoraSettings, StoppingSettings
from styledag.training.records import Snapshot
from styledag.training.snapshots import host_copies
from styledag.training.states import state
from styledag.training.states.state import TrainingState, TrainingStates
from styledag_tests.training.conftest import Encode
from styledag_tests.training.snapshots.conftest import SlowDisk
from styledag_tests.training.test_loggers import Tracker, draw
from styledag_tests.training.test_resume import BFLOAT16, TOTAL_STEPS, weights
from styledag_tests.training.training import train

EVERY_STATE = {"save_state_every_steps": 2}
FEW_STATES = {"save_state_every_steps": 50}


@pytest.fixture
def encoded(encode: Encode) -> EncodedDataset:
    return encode(11)


def digests(folder: Path) -> dict[str, str]:
    files = (each for each in sorted(folder.rglob("*")) if each.is_file())
    return {
        each.relative_to(folder).as_posix(): hashlib.sha256(each.read_bytes()).hexdigest()
        for each in files
    }


class Written:
    """Digests of all that a run wrote: each state and each snapshot, in order."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.states: list[tuple[str, dict[str, str]]] = []
        self.snapshots: list[tuple[int, dict[str, str]]] = []
        save = TrainingStates.save

        def noted(states: TrainingStates, saved: TrainingState) -> None:
            save(states, saved)
            (folder,) = states._folder.iterdir()
            self.states.append((folder.name, digests(folder)))

        patch.setattr(TrainingStates, "save", noted)

    def receive(self, snapshot: Snapshot) -> None:
        self.snapshots.append((snapshot.epoch, digests(snapshot.folder.parent)))


@pytest.mark.usefixtures("in_background")
def test_steps_are_taken_while_a_snapshot_is_written(
    base: Path, encoded: EncodedDataset, tmp_path: Path, slow_disk: SlowDisk
) -> None:
    threads = []

    def receive(snapshot: Snapshot) -> None:
        threads.append(between_steps(threading.current_thread))
        slow_disk.events.append(f"received {snapshot.epoch}")

    train(encoded, base, tmp_path, progress=slow_disk, on_snapshot=receive, **FEW_STATES)
    events = slow_disk.events
    assert slow_disk.here == [False, True]
    assert threads == [threading.main_thread()] * 2
    # Files, then the state, then the receiver, and all of it after a step of the next epoch.
    asked = events.index("step 7")
    order = ["snapshot", "state", "received 2"]
    assert [each for each in events if each in order] == [*order, "snapshot", "state"]
    assert asked < events.index("snapshot")
    # No step follows the last one, which waits for what it has written.
    assert events.index("step 9") < events.index("received 3")
    assert events[-3:] == ["snapshot", "state", "received 3"]


@pytest.mark.parametrize(
    "ways",
    [
        {},
        {"lora": LoraSettings(rank=2)},
        {"ema": EmaSettings(mode="power")},
        {"ema": EmaSettings(mode="none"), "snapshot_dtype": "bfloat16", **BFLOAT16},
        {"ema": EmaSettings(mode="none"), "compute": BFLOAT16["compute"]},
        {"ema_on_cpu": True, "optimizer": "adafactor"},
        {"trained": "cross_attention", "epochs": 5, "snapshot_every_epochs": 1},
        {
            "stopping": StoppingSettings(patience=2, action="stop"),
            "epochs": 12,
            "snapshot_every_epochs": 1,
            "learning_rate": 5e-2,
        },
    ],
    ids=str,
)
def test_what_a_thread_writes_is_what_the_training_would_have_written(
    base: Path, encode: Encode, tmp_path: Path, request: pytest.FixtureRequest, ways: dict[str, Any]
) -> None:
    encoded = encode(11, validation=3 if "stopping" in ways else 0)
    ways = EVERY_STATE | ways
    runs = []
    for name in ("waited for", "in a thread"):
        progress = None
        with pytest.MonkeyPatch.context() as patch:
            if name == "in a thread":
                request.getfixturevalue("in_background")
                progress = request.getfixturevalue("slow_disk")
            written = Written(patch)
            result = train(
                encoded,
                base,
                tmp_path / name,
                on_snapshot=written.receive,
                progress=progress,
                **ways,
            )
        runs.append((written.states, written.snapshots, result.log, digests(result.final.folder)))
        disk = progress
    assert runs[0] == runs[1]
    assert disk.here.count(True) == 1
    assert disk.here.count(False) == len(runs[0][0]) - 1 > 0


def test_run_that_is_killed_while_a_thread_writes_ends_in_the_same_weights(
    base: Path, encode: Encode, workspace: Workspace, tmp_path: Path
) -> None:
    encoded = encode(11)
    undisturbed = train(encoded, base, tmp_path / "undisturbed")
    # States after steps 2, 4, 6 and 8; the snapshot of epoch 2 is the third write, before the
    # state of step 6. Step 7 begins with the 13th pass.
    cases = {
        "thread at the snapshot": ({"write": 3}, 0, TOTAL_STEPS - 4, [2, 3]),
        "thread at the snapshot's state": ({"write": 4}, 0, TOTAL_STEPS - 4, [2, 3]),
        "step beside the snapshot": ({"microstep": 14}, 3, TOTAL_STEPS - 4, [2, 3]),
        "step beside the snapshot's state": ({"microstep": 16}, 4, TOTAL_STEPS - 4, [2, 3]),
        "receiver": ({"snapshot": 1}, 0, TOTAL_STEPS - 6, [2, 3]),
        "thread at a state": ({"write": 5}, 0, TOTAL_STEPS - 6, [3]),
        "step beside a state": ({"microstep": 17}, 5, TOTAL_STEPS - 6, [3]),
    }
    orders = [
        {"die_at": die_at, "hold": hold, "background": True, "scratch": str(tmp_path / case)}
        for case, (die_at, hold, _, _) in cases.items()
    ]
    task = {"encoded": str(workspace.folder), "base": str(base), "orders": orders}
    process = subprocess.run(
        [sys.executable, "-m", "styledag_tests.training.training", json.dumps(task)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert process.stdout.split() == [str(-signal.SIGKILL)] * len(cases), process.stderr
    for case, (_, _, steps_left, epochs) in cases.items():
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
        assert received == epochs, case
        assert weights(resumed) == weights(undisturbed), case
        assert resumed.log == undisturbed.log


@pytest.mark.usefixtures("in_background")
def test_error_of_a_thread_ends_the_training_and_no_state_follows_it(
    base: Path, encoded: EncodedDataset, tmp_path: Path, slow_disk: SlowDisk
) -> None:
    undisturbed = train(encoded, base, tmp_path / "undisturbed", progress=slow_disk)
    slow_disk.events.clear()
    received: list[int] = []
    ways: dict[str, Any] = {
        "progress": slow_disk,
        "on_snapshot": lambda snapshot: received.append(snapshot.epoch),
        **EVERY_STATE,
    }
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.MonkeyPatch.context() as patch:
        writes = iter(range(1, 10))
        write = state.write_tensors

        def fails_third(*args: Any, **kwargs: Any) -> None:
            write(*args, **kwargs)
            if next(writes) == 3:
                raise full

        patch.setattr(state, "write_tensors", fails_third)
        with pytest.raises(StorageError, match=r"no space left .*step-00000006"):
            train(encoded, base, tmp_path / "full", **ways)
    assert "step 7" in slow_disk.events
    assert not received
    assert [each.name for each in (tmp_path / "full" / "state").iterdir()] == ["step-00000004"]
    work: Counter[str] = Counter()
    resumed = train(encoded, base, tmp_path / "full", work=work, **ways)
    assert work == {"steps": TOTAL_STEPS - 4}
    assert received == [2, 3]
    assert weights(resumed) == weights(undisturbed)


@pytest.mark.usefixtures("in_background")
def test_interrupt_lets_the_write_end_and_the_next_run_hands_over(
    base: Path, encoded: EncodedDataset, tmp_path: Path, slow_disk: SlowDisk
) -> None:
    undisturbed = train(encoded, base, tmp_path / "undisturbed", progress=slow_disk)
    received: list[int] = []
    ways: dict[str, Any] = {
        "progress": slow_disk,
        "on_snapshot": lambda snapshot: received.append(snapshot.epoch),
        **FEW_STATES,
    }

    def interrupt(step: int) -> None:
        if step == 7:
            raise KeyboardInterrupt

    slow_disk.at_step = interrupt
    with pytest.raises(KeyboardInterrupt):
        train(encoded, base, tmp_path / "cut", **ways)
    slow_disk.at_step = lambda _: None
    assert not [each for each in threading.enumerate() if each.name.startswith("snapshots")]
    assert [each.name for each in (tmp_path / "cut" / "state").iterdir()] == ["step-00000006"]
    assert not received
    work: Counter[str] = Counter()
    resumed = train(encoded, base, tmp_path / "cut", work=work, **ways)
    assert work == {"steps": TOTAL_STEPS - 6}
    assert received == [2, 3]
    assert weights(resumed) == weights(undisturbed)


@pytest.mark.usefixtures("in_background")
def test_training_that_fails_beside_a_write_has_handed_over_what_came_before(
    base: Path, encoded: EncodedDataset, tmp_path: Path, slow_disk: SlowDisk
) -> None:
    received: list[int] = []

    def diverge(step: int) -> None:
        if step == 7:
            raise TrainingError("diverged")

    slow_disk.at_step = diverge
    with pytest.raises(TrainingError, match="diverged"):
        train(
            encoded,
            base,
            tmp_path,
            progress=slow_disk,
            on_snapshot=lambda snapshot: received.append(snapshot.epoch),
            **FEW_STATES,
        )
    assert received == [2]
    (record,) = (tmp_path / "state").glob("*/state.json")
    assert json.loads(record.read_text())["handed_over"]


@pytest.mark.usefixtures("in_background")
def test_without_room_for_copies_the_training_waits_for_each_write(
    base: Path,
    encoded: EncodedDataset,
    tmp_path: Path,
    slow_disk: SlowDisk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = host_copies._LEFT_BYTES
    # The last but one has room until the snapshot's own copies are there.
    free = iter([left, left, left + (1 << 30), left, left])
    monkeypatch.setattr(host_copies, "free_bytes", lambda _: next(free))
    received: list[int] = []
    train(
        encoded,
        base,
        tmp_path,
        progress=slow_disk,
        on_snapshot=lambda snapshot: received.append(snapshot.epoch),
        **EVERY_STATE,
    )
    assert slow_disk.here == [True] * 5
    assert not list(free)
    assert received == [2, 3]


@pytest.mark.usefixtures("in_background")
def test_a_tracker_receives_steps_and_samples_in_order_while_a_thread_writes(
    base: Path,
    encoded: EncodedDataset,
    tmp_path: Path,
    slow_disk: SlowDisk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tracker = Tracker("wandb")
    monkeypatch.setitem(sys.modules, "wandb", tracker)
    ways = {"loggers": ("wandb",), "on_snapshot": draw(tmp_path), **FEW_STATES}
    result = train(encoded, base, tmp_path / "run", progress=slow_disk, **ways)
    steps = [step for step, _ in tracker.logged]
    assert steps == sorted(steps)
    assert sum("train/loss" in each for _, each in tracker.logged) == TOTAL_STEPS
    tables = [step for step, each in tracker.logged if "samples" in each]
    assert tables == [each.step for each in result.snapshots] == [6, 9]
