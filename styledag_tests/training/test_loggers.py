import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from styledag.errors import TrainingError
from styledag.sampling.marking import TRAINED_ALGORITHMIC_MEDIA, marked_png
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.loggers import Loggers, check_login, open_loggers
from styledag.training.records import Snapshot, StepLog
from styledag.training.run_record import LOG_FOLDER, RUN_FILE
from styledag_tests.training.conftest import Encode
from styledag_tests.training.test_resume import Interrupting
from styledag_tests.training.training import RECIPE, train

TRACKIO_RUN = """
import json, sys
from pathlib import Path
from PIL import Image
from styledag.training.loggers import open_loggers
from styledag.training.records import Snapshot, StepLog
import trackio

folder = Path(sys.argv[1])
Image.new("RGB", (8, 8), "red").save(folder / "a.png")
ways = dict(settings={"epochs": 1}, run_id="abc")
with open_loggers(["trackio"], folder, done_steps=0, **ways) as loggers:
    for step in (1, 2):
        logged = StepLog(step=step, epoch=1, samples=1, loss=0.5, learning_rate=1.0, grad_norm=1.0)
        loggers.step(logged, images_per_s=1.0)
    for each in loggers._loggers:
        each.table(2, 1, {("a fox", 7): folder / "a.png"})
with open_loggers(["trackio"], folder, done_steps=0, **ways) as loggers:
    loggers.step(logged, images_per_s=1.0)
from trackio.sqlite_storage import SQLiteStorage
rows = SQLiteStorage.get_logs("styledag", "abc")
found = {
    "steps": [row["step"] for row in rows if "train/loss" in row],
    "tables": sum("samples" in row for row in rows),
}
(folder / "found.json").write_text(json.dumps(found))
"""


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
    assert len(logged(tmp_path, "validation/band_7")) == len(result.snapshots)


def draw(folder: Path) -> Callable[[Snapshot], Mapping[tuple[str, int], Path]]:
    """What draws a snapshot: one image for each of two prompts, in a colour of the epoch's."""

    def drawn(snapshot: Snapshot) -> Mapping[tuple[str, int], Path]:
        paths = {}
        for at, prompt in enumerate(("a fox", "an owl / by night")):
            paths[prompt, 7] = folder / f"{snapshot.epoch}-{at}.png"
            drawn = marked_png(Image.new("RGB", (8, 6), (snapshot.epoch, at, 200)))
            paths[prompt, 7].write_bytes(drawn)
        return paths

    return drawn


def test_tensorboard_shows_the_images_of_each_checkpoint(
    base: Path, encoded: EncodedDataset, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = train(encoded, base, tmp_path, loggers=("tensorboard",), on_snapshot=draw(tmp_path))
    events = EventAccumulator(str(tmp_path / LOG_FOLDER / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["images"]) == {"a fox/seed 7", "an owl / by night/seed 7"}
    shown = events.Images("a fox/seed 7")
    assert [each.step for each in shown] == [each.step for each in result.snapshots]
    with Image.open(io.BytesIO(shown[0].encoded_image_string)) as image:
        assert image.size == (8, 6)
        assert image.getpixel((0, 0)) == (result.snapshots[0].epoch, 0, 200)
        assert TRAINED_ALGORITHMIC_MEDIA in str(image.info["xmp"])


class TrackerError(Exception):
    """As ``wandb.errors.Error``, which is a mere exception."""


class Tracker(ModuleType):
    """What Weights & Biases and trackio have in common, as a module that notes its calls."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.errors = SimpleNamespace(Error=TrackerError)
        self.mode, self.key, self.trouble = "online", "a key", ""
        self.runs: list[dict[str, Any]] = []
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.finished = 0

    def setup(self) -> SimpleNamespace:
        return SimpleNamespace(settings=SimpleNamespace(mode=self.mode))

    def login(self, *, prompt: bool, verify: bool) -> bool:
        assert not prompt
        assert not verify
        return bool(self.key)

    def init(self, **settings: Any) -> "Tracker":
        if self.trouble:
            raise TrackerError(self.trouble)
        self.runs.append(settings)
        return self

    def log(self, figures: dict[str, Any], step: int) -> None:
        self.logged.append((step, figures))

    def finish(self) -> None:
        self.finished += 1

    def Image(self, path: str) -> str:  # noqa: N802
        assert Path(path).is_file()
        return f"image {path}"

    def Table(self, columns: list[str], data: list[list[Any]]) -> dict[str, Any]:  # noqa: N802
        return {"columns": columns, "data": data}


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_tracker_has_every_step_once_and_a_table_for_each_checkpoint(
    base: Path, encoded: EncodedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    tracker = Tracker(name)
    monkeypatch.setitem(sys.modules, name, tracker)
    ways = {"loggers": (name,), "on_snapshot": draw(tmp_path)}
    with pytest.raises(KeyboardInterrupt):
        train(encoded, base, tmp_path, progress=Interrupting(3), **ways)
    result = train(encoded, base, tmp_path, **ways)

    steps = [step for step, figures in tracker.logged if "train/loss" in figures]
    assert steps == [each.step for each in result.log]
    tables = [(step, each["samples"]) for step, each in tracker.logged if "samples" in each]
    assert [step for step, _ in tables] == [each.step for each in result.snapshots]
    assert tables[0][1]["columns"] == ["epoch", "prompt", "seed", "image"]
    epoch = result.snapshots[0].epoch
    assert tables[0][1]["data"][1] == [
        epoch, "an owl / by night", 7, f"image {tmp_path / f'{epoch}-1.png'}"
    ]  # fmt: skip
    assert tracker.finished == 2
    assert [run["resume"] for run in tracker.runs] == ["allow"] * 2
    assert len({run.get("id", run.get("name")) for run in tracker.runs}) == 1


def test_an_account_that_is_not_logged_in_is_named_and_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = Tracker("wandb")
    tracker.key = ""
    monkeypatch.setitem(sys.modules, "wandb", tracker)
    with pytest.raises(TrainingError, match=r"not logged in: run `wandb login`.*WANDB_MODE"):
        check_login("wandb")
    with pytest.raises(TrainingError, match="not logged in"), opened(tmp_path):
        pass
    assert tracker.runs == []
    tracker.mode = "offline"
    with opened(tmp_path):
        assert len(tracker.runs) == 1


def test_a_tracker_that_is_not_reached_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = Tracker("wandb")
    tracker.trouble = "Failed to get resume status:\ncontext deadline exceeded"
    monkeypatch.setitem(sys.modules, "wandb", tracker)
    said = r"logger 'wandb' cannot start \(Failed to get resume status: context deadline exceeded\)"
    with pytest.raises(TrainingError, match=said), opened(tmp_path):
        pass


def test_a_kill_at_any_moment_leaves_the_newest_step_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", Tracker("wandb"))
    logged = StepLog(step=1, epoch=1, samples=1, loss=0.5, learning_rate=1.0, grad_norm=1.0)

    def killed(path: Path, _text: str) -> None:
        path.open("w").close()  # what is there once the file is opened, and not written yet
        raise KeyboardInterrupt

    with opened(tmp_path) as loggers:
        loggers.step(logged, images_per_s=1.0)
        monkeypatch.setattr(Path, "write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            loggers.step(replace(logged, step=2), images_per_s=1.0)
    with opened(tmp_path):
        assert (tmp_path / "wandb" / "newest_step.txt").read_text() == "1"


def opened(folder: Path) -> AbstractContextManager[Loggers]:
    return open_loggers(["wandb"], folder, settings={}, run_id="abc", done_steps=0)


def test_trackio_keeps_a_run_on_this_machine(tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    environment = {**os.environ, "TRACKIO_DIR": str(tmp_path / "tracked"), "HF_HUB_OFFLINE": "1"}
    (tmp_path / "run.py").write_text(TRACKIO_RUN)
    command = [sys.executable, str(tmp_path / "run.py"), str(tmp_path)]
    subprocess.run(command, env=environment, check=True)
    assert json.loads((tmp_path / "found.json").read_text()) == {"steps": [1, 2], "tables": 1}


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
