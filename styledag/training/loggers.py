"""The training log in TensorBoard or Weights & Biases, where the recipe names them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from styledag.errors import TrainingError
from styledag.training.records import Snapshot, StepLog


class Logger(Protocol):
    """Receives figures by optimiser step."""

    def log(self, step: int, figures: dict[str, float]) -> None:
        """Log the figures of one step."""

    def close(self) -> None:
        """Write what is left."""


class Loggers:
    """All loggers of a run.

    Args:
        loggers: Each receives everything.
    """

    def __init__(self, loggers: Sequence[Logger]) -> None:
        self._loggers = loggers

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
        """Log a snapshot."""
        figures = {"snapshot/loss": snapshot.loss, "snapshot/base_share": snapshot.base_share}
        if snapshot.validation_loss is not None:
            figures["validation/loss"] = snapshot.validation_loss
        for band, loss in enumerate(snapshot.validation_bands):
            figures[f"validation/band_{band}"] = loss
        self._log(snapshot.step, figures)

    def _log(self, step: int, figures: dict[str, float]) -> None:
        for each in self._loggers:
            each.log(step, figures)


@contextmanager
def open_loggers(
    names: Sequence[str],
    folder: Path,
    *,
    settings: Mapping[str, Any],
    run_id: str,
    done_steps: int,
) -> Iterator[Loggers]:
    """Open loggers for as long as the block runs.

    Args:
        names: ``tensorboard`` or ``wandb``, each at most once.
        folder: Where their files go.
        settings: The run's settings, which they show.
        run_id: By which a resumed run finds what it has logged.
        done_steps: Steps that an earlier try had logged; what it logged after them is removed.

    Raises:
        TrainingError: If one is not installed.
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
        self._writer = SummaryWriter(str(folder), purge_step=done_steps + 1)

    def log(self, step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _WeightsAndBiases:
    def __init__(
        self, settings: Mapping[str, Any], folder: Path, run_id: str, done_steps: int
    ) -> None:
        del done_steps
        try:
            import wandb
        except ImportError as exc:
            raise _missing("wandb") from exc
        folder.mkdir(parents=True, exist_ok=True)
        self._run: Any = wandb.init(
            project="styledag",
            id=run_id,
            dir=folder,
            config=dict(settings),
            resume="allow",
        )

    def log(self, step: int, figures: dict[str, float]) -> None:
        self._run.log(figures, step=step)

    def close(self) -> None:
        self._run.finish()


_KINDS: Mapping[str, Callable[[Mapping[str, Any], Path, str, int], Logger]] = {
    "tensorboard": _TensorBoard,
    "wandb": _WeightsAndBiases,
}


def _missing(name: str) -> TrainingError:
    return TrainingError(
        f"the recipe's loggers name {name!r}, which is not installed: "
        f"pip install 'styledag[{name}]', or remove it from loggers"
    )
