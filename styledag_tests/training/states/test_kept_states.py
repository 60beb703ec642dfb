"""Runs with more epochs than a finished one, against runs of that length from the beginning."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.recipe import EmaSettings, LoraSettings, StoppingSettings
from styledag.training.records import Snapshot
from styledag.training.states.kept_states import KeptStates
from styledag_tests.training.conftest import Encode
from styledag_tests.training.test_resume import Interrupting, sha256, weights
from styledag_tests.training.training import RecordingProgress, train

STEPS_PER_EPOCH = 2
CONTINUED: dict[str, Any] = {"lr_schedule": "constant", "ema": EmaSettings(mode="warmup")}


@pytest.fixture
def encoded(encode: Encode) -> EncodedDataset:
    return encode(8, validation=2)


class Receiver:
    """Keeps the digests of all snapshots, as a store would."""

    def __init__(self, folder: Path) -> None:
        self.digests: dict[int, str] = {}
        self.lost: Collection[int] = ()
        self.kept = KeptStates(folder=folder, has_snapshot=self.has_snapshot)

    def has_snapshot(self, epoch: int) -> bool:
        return epoch in self.digests and epoch not in self.lost

    def __call__(self, snapshot: Snapshot) -> None:
        digest = sha256(snapshot.folder)
        assert self.digests.setdefault(snapshot.epoch, digest) == digest


@pytest.mark.parametrize(
    "ways",
    [
        {},
        {"ema": EmaSettings(mode="none"), "optimizer": "adafactor"},
        {"ema": EmaSettings(mode="base", decay=0.7)},
        {"ema": EmaSettings(mode="power")},
        {"lora": LoraSettings(rank=2)},
    ],
    ids=str,
)
def test_more_epochs_continue_and_end_as_if_never_interrupted(
    base: Path, encoded: EncodedDataset, tmp_path: Path, ways: dict[str, Any]
) -> None:
    recipe = CONTINUED | ways
    undisturbed = train(encoded, base, tmp_path / "undisturbed", epochs=5, **recipe)
    receiver = Receiver(tmp_path / "states")

    def run(epochs: int, work: Counter[str], progress: Any = None) -> Any:
        return train(
            encoded,
            base,
            tmp_path / f"{epochs} epochs",
            epochs=epochs,
            on_snapshot=receiver,
            kept=receiver.kept,
            work=work,
            progress=progress,
            **recipe,
        )

    first = run(3, Counter())
    assert (first.continued_from_step, first.began_anew) == (0, None)
    work: Counter[str] = Counter()
    progress = RecordingProgress()
    continued = run(5, work, progress)
    assert work == {"steps": 2 * STEPS_PER_EPOCH}
    assert (progress.done_before, progress.done) == (3 * STEPS_PER_EPOCH, 5 * STEPS_PER_EPOCH)
    assert (continued.continued_from_step, continued.began_anew) == (3 * STEPS_PER_EPOCH, None)
    assert continued.log == undisturbed.log
    assert weights(continued) == weights(undisturbed)
    # Every second epoch and the last; that of epoch 3 was the shorter run's last.
    assert [each.epoch for each in continued.snapshots] == [2, 4, 5]
    for one, other in zip(continued.snapshots, undisturbed.snapshots, strict=True):
        assert one.figures() == other.figures()
    assert sorted(receiver.digests) == [2, 3, 4, 5]


def test_a_continued_run_that_is_killed_resumes(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    undisturbed = train(encoded, base, tmp_path / "undisturbed", epochs=5, **CONTINUED)
    receiver = Receiver(tmp_path / "states")
    more = {"on_snapshot": receiver, "kept": receiver.kept, **CONTINUED}
    train(encoded, base, tmp_path / "first", epochs=3, **more)
    with pytest.raises(KeyboardInterrupt):
        train(encoded, base, tmp_path / "more", epochs=5, progress=Interrupting(9), **more)
    work: Counter[str] = Counter()
    resumed = train(encoded, base, tmp_path / "more", epochs=5, work=work, **more)
    assert work == {"steps": 2}
    assert weights(resumed) == weights(undisturbed)


@pytest.mark.parametrize(
    ("ways", "why"),
    [
        (
            {"ema": EmaSettings(mode="base", base_share=0.2)},
            "ema.base_share depends on the number of epochs",
        ),
        ({"lr_schedule": "cosine"}, "lr_schedule 'cosine' depends on the number of epochs"),
        ({"stopping": StoppingSettings(patience=9)}, "with stopping the best snapshot's weights"),
    ],
    ids=str,
)
def test_a_run_that_cannot_be_continued_begins_anew_and_the_result_states_why(
    base: Path, encoded: EncodedDataset, tmp_path: Path, ways: dict[str, Any], why: str
) -> None:
    kept = KeptStates(folder=tmp_path / "states", has_snapshot=lambda _: True)
    recipe = CONTINUED | ways
    train(encoded, base, tmp_path / "2", epochs=2, kept=kept, **recipe)
    work: Counter[str] = Counter()
    longer = train(encoded, base, tmp_path / "3", epochs=3, kept=kept, work=work, **recipe)
    assert work == {"steps": 3 * STEPS_PER_EPOCH}
    assert longer.began_anew is not None
    assert longer.began_anew.startswith(f"begins anew, because {why}")
    assert longer.continued_from_step == 0


def test_what_the_earlier_run_did_not_leave_is_trained_again(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    receiver = Receiver(tmp_path / "states")

    def run(name: str, **ways: Any) -> tuple[Any, Counter[str]]:
        work: Counter[str] = Counter()
        result = train(
            encoded,
            base,
            tmp_path / name,
            on_snapshot=receiver,
            kept=receiver.kept,
            work=work,
            **(CONTINUED | ways),
        )
        return result, work

    run("first", epochs=4)
    fewer, work = run("fewer", epochs=2)
    assert work == {"steps": 2 * STEPS_PER_EPOCH}
    assert fewer.began_anew == "begins anew, because the kept state is already past epoch 2"
    run("longer", epochs=4)
    each_epoch, _ = run("each epoch", epochs=5, snapshot_every_epochs=1)
    assert each_epoch.began_anew == (
        "begins anew, because the earlier run left no snapshot of epoch 1"
    )
    receiver.lost = [2]
    lost, _ = run("lost", epochs=6)
    assert lost.began_anew == "begins anew, because the snapshot of epoch 2 is not stored any more"


def test_the_last_snapshot_is_written_again_where_the_caller_lacks_it(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    receiver = Receiver(tmp_path / "states")
    ways = {"epochs": 2, "kept": receiver.kept, "on_snapshot": receiver} | CONTINUED
    first = train(encoded, base, tmp_path / "first", **ways)
    digest = receiver.digests.pop(2)
    work: Counter[str] = Counter()
    again = train(encoded, base, tmp_path / "again", work=work, **ways)
    assert not work
    assert receiver.digests == {2: digest}
    assert weights(again) == weights(first) == digest


@pytest.mark.parametrize("change", [{"seed": 4}, {"inputs": {"base_unet": "2"}}], ids=str)
def test_another_run_continues_from_nothing(
    base: Path, encoded: EncodedDataset, tmp_path: Path, change: dict[str, Any]
) -> None:
    kept = KeptStates(folder=tmp_path / "states", has_snapshot=lambda _: True)
    train(encoded, base, tmp_path / "first", epochs=2, kept=kept, **CONTINUED)
    work: Counter[str] = Counter()
    ways = CONTINUED | change
    other = train(encoded, base, tmp_path / "other", epochs=3, kept=kept, work=work, **ways)
    assert work == {"steps": 3 * STEPS_PER_EPOCH}
    assert (other.continued_from_step, other.began_anew) == (0, None)


def test_without_keep_state_nothing_is_left_behind(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    kept = KeptStates(folder=tmp_path / "states", has_snapshot=lambda _: True)
    train(encoded, base, tmp_path / "run", epochs=2, kept=kept, keep_state=False, **CONTINUED)
    assert not kept.folder.exists()
