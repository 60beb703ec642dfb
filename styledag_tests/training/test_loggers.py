import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from styledag.errors import TrainingError
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.run_record import LOG_FOLDER, RUN_FILE
from styledag_tests.training.conftest import Encode
from styledag_tests.training.test_resume import Interrupting
from styledag_tests.training.training import RECIPE, train


@pytest.fixture
def encoded(encode: Encode) -> EncodedDataset:
    return encode(7, validation=2)


def logged(folder: Path, name: str) -> Sequence[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / LOG_FOLDER / "tensorboard"))
    events.Reload()
    return [(each.step, each.value) for each in events.Scalars(name)]


def test_tensorboard_has_every_step_once_even_after_a_cut(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(encoded, base, tmp_path, progress=Interrupting(3), loggers=("tensorboard",))
    result = train(encoded, base, tmp_path, loggers=("tensorboard",))
    losses = logged(tmp_path, "train/loss")
    assert [step for step, _ in losses] == [each.step for each in result.log]
    assert [loss for _, loss in losses] == pytest.approx([each.loss for each in result.log])
    assert len(logged(tmp_path, "validation/loss")) == len(result.snapshots)
    assert len(logged(tmp_path, "validation/band_3")) == len(result.snapshots)


def test_logger_that_is_not_installed_is_named_before_anything_runs(
    base: Path, encoded: EncodedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(TrainingError, match=r"pip install 'styledag\[wandb\]'"):
        train(encoded, base, tmp_path, loggers=("wandb",))


def test_what_a_run_was_begun_with_is_written_before_its_first_step(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(encoded, base, tmp_path, progress=Interrupting(1))
    record = json.loads((tmp_path / LOG_FOLDER / RUN_FILE).read_text())
    assert record["recipe"]["seed"] == RECIPE["seed"]
    assert record["recipe"]["weight_decay"] == 1e-2  # A default, written out.
    assert record["environment"]["device"] == "cpu"
    assert {"python", "torch", "diffusers"} <= record["environment"].keys()
