"""Train on what the fixtures encode; as a program, train until it kills itself."""

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

ABSENT = ("dagster", "pydantic", "pyarrow", "datasets")
"""What a bare training machine does not have."""

RECIPE: dict[str, Any] = {
    "batch_size": 2,
    "gradient_accumulation": 2,
    "epochs": 3,
    "learning_rate": 2e-3,
    "lr_schedule": "cosine",
    "lr_warmup_steps": 2,
    "snapshot_every_epochs": 2,
    "save_state_every_steps": 2,
    "seed": 3,
}


class RecordingProgress:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.totals: list[int | None] = []
        self.done_before = 0
        self.done = 0
        self.figures: dict[str, float] = {}

    def task(
        self, description: str, total: int | None, *, done: int = 0
    ) -> AbstractContextManager[Any]:
        del description
        self.totals.append(total)
        self.done_before += done
        self.done += done

        @contextmanager
        def opened() -> Any:
            def advance(done: int = 1, /, **figures: float) -> None:
                self.done += done
                self.figures |= figures

            yield advance

        return opened()


def train(
    encoded: Any,
    base: Path,
    scratch: Path,
    *,
    on_snapshot: Callable[[Any], None] = lambda _: None,
    progress: Any = None,
    work: Counter[str] | None = None,
    compute: Any = None,
    inputs: Any = None,
    kept: Any = None,
    threads: int = 1,
    **recipe: Any,
) -> Any:
    """Train with :data:`RECIPE` changed by ``recipe``, on one thread unless told otherwise."""
    import torch

    from styledag.models.compute import Compute
    from styledag.progress import SilentProgress
    from styledag.training.recipe import Recipe
    from styledag.training.train import train_unet

    torch.set_num_threads(threads)
    return train_unet(
        encoded,
        base,
        Recipe(**(RECIPE | recipe)),
        inputs={"base_unet": "1", "encoded_dataset": "1"} if inputs is None else inputs,
        compute=compute or Compute(torch.device("cpu"), torch.float32),
        scratch=scratch,
        on_snapshot=on_snapshot,
        progress=progress or SilentProgress(),
        work=Counter() if work is None else work,
        kept=kept,
    )


def dying(
    function: Callable[..., Any], at: int, calls: Counter[str] | None = None
) -> Callable[..., Any]:
    """Return the function, which kills its process instead of being called the n-th time.

    Functions that are given the same ``calls`` count together.
    """
    calls = Counter() if calls is None else calls

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        calls["so far"] += 1
        if calls["so far"] == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return wrapped


def holding(function: Callable[..., Any], at: int, calls: Counter[str]) -> Callable[..., Any]:
    """Return the function, which does not return when it is called the n-th time."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if calls["so far"] + 1 == at:
            threading.Event().wait()
        return function(*args, **kwargs)

    return wrapped


def main() -> None:
    """Train once for each order, on a bare machine, in a process that kills itself."""
    for name in ABSENT:
        sys.modules[name] = None  # type: ignore[assignment]
    task = json.loads(sys.argv[1])

    import safetensors.torch
    import torch
    from diffusers import UNet2DConditionModel

    from styledag.models.compute import Compute
    from styledag.training.encoding.dataset import EncodedDataset
    from styledag.training.estimating.estimate import PlannedTraining
    from styledag.training.estimating.memory_check import check_memory
    from styledag.training.recipe import Recipe
    from styledag.training.snapshots import saving
    from styledag.training.states import state

    import styledag.training.unet_run  # isort: skip  # noqa: F401 - loaded once, before the forks

    # Training's prediction of itself, a pass too, is remembered and counts for none of them.
    check_memory(
        PlannedTraining.of(
            EncodedDataset.open(Path(task["encoded"])),
            Path(task["base"]),
            Recipe(**RECIPE),
            compute=Compute(torch.device("cpu"), torch.float32),
        )
    )

    for order in task["orders"]:
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
            sys.stdout.flush()
            continue
        die_at = {"microstep": 0, "write": 0, "snapshot": 0} | order["die_at"]
        UNet2DConditionModel.forward = dying(UNet2DConditionModel.forward, die_at["microstep"])
        writes: Counter[str] = Counter()
        for owner, name in ((safetensors.torch, "save_file"), (state, "write_tensors")):
            write = dying(getattr(owner, name), die_at["write"], writes)
            setattr(owner, name, holding(write, order.get("hold", 0), writes))
        if order.get("background"):
            saving.trains_meanwhile = lambda _: True
        train(
            EncodedDataset.open(Path(task["encoded"])),
            Path(task["base"]),
            Path(order["scratch"]),
            on_snapshot=dying(lambda _: None, die_at["snapshot"]),
        )
        os._exit(0)


if __name__ == "__main__":
    main()
