"""The peer in a fresh process: diffusers' script as it is, watched from outside."""

import json
import runpy
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.measured import Stamps, peak_memory, report_figures

TAG = "v0.40.0"
SCRIPT = "examples/text_to_image/train_text_to_image.py"


def readme_flags(*, device: str, size_px: int) -> tuple[list[str], int]:
    """Return the flags of the script's README, and how many images a step sees.

    float16 is left out on a CPU, which has none that is fast.
    """
    flags = ["--train_batch_size=1", "--gradient_accumulation_steps=4", "--gradient_checkpointing"]
    precision = "fp16" if device == "cuda" else "no"
    return [*_common(size_px), *flags, f"--mixed_precision={precision}"], 4


def tuned_flags(
    *, device: str, size_px: int, batch_size: int, precision: str
) -> tuple[list[str], int]:
    """Return the flags that make the script fastest, and how many images a step sees."""
    flags = ["--foreach_ema", f"--train_batch_size={batch_size}", f"--mixed_precision={precision}"]
    if device == "cuda":
        flags += ["--allow_tf32", "--dataloader_num_workers=8"]
    return [*_common(size_px), *flags], batch_size


def _common(size_px: int) -> list[str]:
    return [
        "--use_ema", f"--resolution={size_px}", "--center_crop", "--random_flip",
        "--learning_rate=1e-05", "--max_grad_norm=1", "--lr_scheduler=constant",
        "--lr_warmup_steps=0", "--seed=0", "--checkpointing_steps=1000000",
    ]  # fmt: skip


def main(task: dict[str, Any]) -> None:
    """Run the script to its end; every optimiser step is noted where it logs its loss."""
    from accelerate import Accelerator

    stamps = Stamps()
    losses: list[float] = []
    log = Accelerator.log

    def noted(self: Any, values: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        if "train_loss" in values:
            stamps.stamp()
            losses.append(values["train_loss"])
        return log(self, values, *args, **kwargs)

    Accelerator.log = noted
    began = time.perf_counter()
    _run(Path(task["script"]), task["arguments"])
    report_figures(
        stamps.figures(task["images_per_step"], task["warm_up_steps"])
        | peak_memory()
        | {"seconds": time.perf_counter() - began, "losses": losses}
    )


def _run(script: Path, arguments: Sequence[str]) -> None:
    sys.argv = [str(script), *arguments]
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
