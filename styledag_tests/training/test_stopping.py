from collections import Counter
from pathlib import Path

import pytest

from styledag.errors import DataError
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.recipe import Recipe, StoppingSettings
from styledag.training.records import Snapshot
from styledag.training.stopping import best_snapshot, has_turned
from styledag_tests.training.conftest import Encode
from styledag_tests.training.test_resume import Interrupting, sha256, weights
from styledag_tests.training.training import train

FOREVER = {"epochs": 12, "snapshot_every_epochs": 1, "learning_rate": 5e-2, "lr_warmup_steps": 0}
"""So fast that the validation loss soon rises."""


def snapshots(*losses: float | None) -> list[Snapshot]:
    return [
        Snapshot(
            recipe=Recipe(),
            epoch=epoch,
            step=epoch,
            folder=Path(),
            loss=0,
            validation_loss=loss,
            base_share=0,
        )
        for epoch, loss in enumerate(losses, 1)
    ]


def test_loss_turns_once_patience_is_over() -> None:
    falling_then_rising = snapshots(3.0, 2.0, 1.0, 1.5, 1.0)
    assert best_snapshot(falling_then_rising) == falling_then_rising[2]
    assert has_turned(falling_then_rising, 2)
    assert not has_turned(falling_then_rising, 3)
    assert not has_turned(falling_then_rising[:3], 1)
    assert best_snapshot(snapshots(None, None)) is None
    assert not has_turned(snapshots(None, None), 1)


@pytest.fixture
def encoded(encode: Encode) -> EncodedDataset:
    return encode(7, validation=3)


def test_stopped_run_gives_its_best_snapshot_as_the_model(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    handed: dict[int, str] = {}

    def receive(snapshot: Snapshot) -> None:
        handed[snapshot.epoch] = sha256(snapshot.folder)

    stopping = StoppingSettings(patience=2, action="stop")
    result = train(encoded, base, tmp_path, on_snapshot=receive, stopping=stopping, **FOREVER)
    losses = {each.epoch: each.validation_loss for each in result.snapshots}
    best = min(losses, key=lambda epoch: (losses[epoch], epoch))
    assert result.stopped_early
    assert max(losses) == best + 2
    assert result.best_epoch == result.final.epoch == best
    assert weights(result) == handed[best]

    work: Counter[str] = Counter()
    again = train(encoded, base, tmp_path, work=work, stopping=stopping, **FOREVER)
    assert not work
    assert again.stopped_early
    assert weights(again) == handed[best]


def test_marked_run_goes_on_and_names_the_best(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    result = train(
        encoded,
        base,
        tmp_path,
        stopping=StoppingSettings(patience=1, action="mark"),
        **(FOREVER | {"epochs": 5}),
    )
    assert not result.stopped_early
    assert result.final.epoch == 5
    assert result.best_epoch is not None


def test_killed_run_stops_where_the_undisturbed_one_did(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    settings = FOREVER | {"stopping": StoppingSettings(patience=2)}
    undisturbed = train(encoded, base, tmp_path / "undisturbed", **settings)
    for cut in (undisturbed.best_epoch, undisturbed.best_epoch + 1):
        scratch = tmp_path / f"cut-{cut}"
        with pytest.raises(KeyboardInterrupt):
            train(encoded, base, scratch, progress=Interrupting(cut), **settings)
        resumed = train(encoded, base, scratch, **settings)
        assert weights(resumed) == weights(undisturbed)
        assert resumed.log == undisturbed.log


def test_run_that_is_cut_while_a_snapshot_is_received_keeps_its_best(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    settings = FOREVER | {"stopping": StoppingSettings(patience=2)}
    undisturbed = train(encoded, base, tmp_path / "undisturbed", **settings)

    def receive(snapshot: Snapshot) -> None:
        if snapshot.epoch == undisturbed.best_epoch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(encoded, base, tmp_path / "cut", on_snapshot=receive, **settings)
    work: Counter[str] = Counter()
    resumed = train(encoded, base, tmp_path / "cut", work=work, **settings)
    assert work["steps"] < len(undisturbed.log)
    assert weights(resumed) == weights(undisturbed)
    assert resumed.log == undisturbed.log


def test_stopping_without_held_out_images_is_refused(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="validation_share"):
        train(encode(4), base, tmp_path, stopping=StoppingSettings())


def test_validation_loss_is_measured_in_the_middle_of_eight_bands(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    snapshot = train(encoded, base, tmp_path, epochs=1, lr_warmup_steps=0).final
    assert len(snapshot.validation_bands) == 8
    assert snapshot.validation_loss == pytest.approx(sum(snapshot.validation_bands) / 8)
