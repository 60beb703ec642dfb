"""The training log in TensorBoard, trackio or Weights & Biases, where the recipe names them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from styledag.errors import TrainingError
from styledag.store.files import replaced
from styledag.training.records import Drawn, Snapshot, StepLog


class Logger(Protocol):
    """Receives figures and images by optimiser step."""

    def log(self, step: int, figures: dict[str, float]) -> None:
        """Log the figures of one step."""

    def table(self, step: int, epoch: int, drawn: Drawn) -> None:
        """Log the images that a checkpoint draws."""

    def close(self) -> None:
        """Write what is left."""


def check_login(name: str) -> str:
    """Return that a logger can start without a question, for a person.

    Weights & Biases asks for a key in a terminal, where a training would wait for the answer, and
    fails elsewhere.

    Args:
        name: ``tensorboard``, ``trackio`` or ``wandb``, installed.

    Raises:
        TrainingError: If it needs an account, and this machine has no key of one.
    """
    if name != "wandb":
        return "needs no account"
    wandb = import_module(name)
    if wandb.setup().settings.mode == "online" and not wandb.login(prompt=False, verify=False):
        raise TrainingError(
            "the recipe's loggers name 'wandb', and this machine is not logged in: run `wandb "
            "login`, set WANDB_API_KEY, or set WANDB_MODE to offline; or remove it from loggers"
        )
    return "is logged in, or offline"


class Loggers:
    """All loggers of a run."""

    def __init__(self, loggers: Sequence[Logger]) -> None:
        self._loggers = loggers
        self._waiting: list[tuple[int, dict[str, float]]] | None = None

    def step(self, logged: StepLog, *, images_per_s: float) -> None:
        """Log an optimiser step."""
        figures = {
            "train/loss": logged.loss,
            "train/learning_rate": logged.learning_rate,
            "train/grad_norm": logged.grad_norm,
            "train/images_per_s": images_per_s,
        }
        self._log(logged.step, figures)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Log a snapshot; what is logged next waits for its samples.

        Weights & Biases ignores what belongs to an earlier step than what it has received.
        """
        figures = {"snapshot/loss": snapshot.loss, "snapshot/base_share": snapshot.base_share}
        if snapshot.validation_loss is not None:
            figures["validation/loss"] = snapshot.validation_loss
        for band, loss in enumerate(snapshot.validation_bands):
            figures[f"validation/band_{band}"] = loss
        self._log(snapshot.step, figures)
        self._waiting = [] if self._loggers else None

    def samples(self, snapshot: Snapshot, drawn: Drawn) -> None:
        """Log the images that were drawn of a snapshot, if there are any."""
        for each in self._loggers if drawn else ():
            each.table(snapshot.step, snapshot.epoch, drawn)
        waiting, self._waiting = self._waiting or (), None
        for step, figures in waiting:
            self._log(step, figures)

    def _log(self, step: int, figures: dict[str, float]) -> None:
        if self._waiting is not None:
            self._waiting.append((step, figures))
            return
        for each in self._loggers:
            each.log(step, figures)


@contextmanager
def open_loggers(
    names: Sequence[str], folder: Path, *, settings: Mapping[str, Any], run_id: str, done_steps: int
) -> Iterator[Loggers]:
    """Open loggers for as long as the block runs.

    Args:
        names: ``tensorboard``, ``trackio`` or ``wandb``, each at most once.
        folder: Where their files go.
        settings: The run's settings, which they show.
        run_id: By which a resumed run finds what it has logged.
        done_steps: Steps that an earlier try had logged; what it logged after them is removed.

    Raises:
        TrainingError: If one is not installed, or cannot start.
    """
    loggers: list[Logger] = []
    try:
        # One by one, so that those opened are closed if the next is not installed.
        loggers.extend(_KINDS[name](settings, folder / name, run_id, done_steps) for name in names)
        yield Loggers(loggers)
    finally:
        for each in loggers:
            each.close()


class _TensorBoard:
    def __init__(
        self, settings: Mapping[str, Any], folder: Path, run_id: str, done_steps: int
    ) -> None:
        del settings, run_id
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError as exc:
            raise _missing("tensorboard") from exc
        # SummaryWriter declares its file_writer as None.
        self._writer: Any = SummaryWriter(str(folder), purge_step=done_steps + 1)

    def log(self, step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def table(self, step: int, epoch: int, drawn: Drawn) -> None:
        from PIL import Image
        from tensorboard.compat.proto.summary_pb2 import Summary

        del epoch
        for (prompt, seed), path in drawn.items():
            # The file as it is, and not its pixels: so it keeps what it states of its origin.
            with Image.open(path) as image:
                shown = Summary.Image(
                    width=image.width, height=image.height, encoded_image_string=path.read_bytes()
                )
            value = Summary.Value(tag=f"{prompt}/seed {seed}", image=shown)
            self._writer.file_writer.add_summary(Summary(value=[value]), step)

    def close(self) -> None:
        self._writer.close()


class _Tracker:
    """Weights & Biases, or trackio, which has the same calls.

    trackio would log a step again that an earlier try of the run had logged, so neither is asked.
    """

    def __init__(
        self, name: str, settings: Mapping[str, Any], folder: Path, run_id: str, done_steps: int
    ) -> None:
        del done_steps
        try:
            self._module: Any = import_module(name)
        except ImportError as exc:
            raise _missing(name) from exc
        check_login(name)
        folder.mkdir(parents=True, exist_ok=True)
        self._newest = folder / "newest_step.txt"
        self._before = int(self._newest.read_text()) if self._newest.is_file() else 0
        known_as = {"id": run_id, "dir": folder} if name == "wandb" else {"name": run_id}
        errors = (self._module.errors.Error,) if name == "wandb" else (ValueError, RuntimeError)
        try:
            self._run: Any = self._module.init(
                project="styledag", config=dict(settings), resume="allow", **known_as
            )
        except (OSError, *errors) as exc:
            reason = " ".join(str(exc).split())
            raise TrainingError(
                f"the recipe's logger {name!r} cannot start ({reason}): run again once that is "
                "mended, or remove it from loggers"
            ) from exc

    def log(self, step: int, figures: Mapping[str, Any]) -> None:
        if step > self._before:
            self._run.log(dict(figures), step=step)
            with replaced(self._newest) as partial:
                partial.write_text(str(step))

    def table(self, step: int, epoch: int, drawn: Drawn) -> None:
        rows = [
            [epoch, prompt, seed, self._module.Image(str(path))]
            for (prompt, seed), path in drawn.items()
        ]
        columns = ["epoch", "prompt", "seed", "image"]
        self.log(step, {"samples": self._module.Table(columns=columns, data=rows)})

    def close(self) -> None:
        self._run.finish()


_KINDS: Mapping[str, Callable[[Mapping[str, Any], Path, str, int], Logger]] = {
    "tensorboard": _TensorBoard,
    "trackio": partial(_Tracker, "trackio"),
    "wandb": partial(_Tracker, "wandb"),
}


def _missing(name: str) -> TrainingError:
    return TrainingError(
        f"the recipe's loggers name {name!r}, which is not installed: "
        f"pip install 'styledag[{name}]', or remove it from loggers"
    )
