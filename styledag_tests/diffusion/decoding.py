"""Train a decoder on what the fixtures encode; as a program, train until it kills itself."""

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from styledag_tests.diffusion.training import ABSENT, RecordingProgress, dying

RECIPE: dict[str, Any] = {
    "horizontal_flip": True,
    "save_state_every_steps": 2,
    "weight_decay": 0.0,
    "seed": 5,
}
DECODER: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 2,
    "learning_rate": 5e-3,
    "ema_decay": 0.8,
}


def pictures(sample: Any) -> Any:
    """Return the pixels of one of the fixtures' pictures."""
    from styledag.diffusion.encoders import pixel_values
    from styledag_tests.diffusion.conftest import picture

    ids = {hashlib.sha256(f"sample {n}".encode()).hexdigest(): n for n in range(64)}
    return pixel_values(sample.id, picture(ids[sample.id]))


def tune(
    encoded: Any,
    base: Path,
    scratch: Path,
    *,
    work: Counter[str] | None = None,
    progress: Any = None,
    compute: Any = None,
    pictures_of: Any = pictures,
    recipe: dict[str, Any] | None = None,
    **decoder: Any,
) -> Any:
    """Train with :data:`RECIPE` and :data:`DECODER`, changed, on one thread."""
    import torch

    from styledag.diffusion.decoder import train_decoder
    from styledag.diffusion.recipe import DecoderSettings, Recipe
    from styledag.models.compute import Compute

    torch.set_num_threads(1)
    settings = DecoderSettings(**(DECODER | decoder))
    return train_decoder(
        encoded,
        pictures_of,
        base,
        Recipe(**(RECIPE | (recipe or {})), decoder=settings),
        compute=compute or Compute(torch.device("cpu"), torch.float32),
        scratch=scratch,
        progress=progress or RecordingProgress(),
        work=Counter() if work is None else work,
    )


def main() -> None:
    """Train on a bare machine, in a process that kills itself at a state or a step."""
    task = json.loads(sys.argv[1])

    import safetensors.torch

    from styledag.diffusion.encoded import EncodedDataset
    from styledag.diffusion.optimizers import Optimizer

    import styledag_tests.diffusion.conftest  # isort: skip  # noqa: F401 - needs the store

    for name in ABSENT:
        sys.modules[name] = None  # type: ignore[assignment]
    Optimizer.step = dying(Optimizer.step, task["step"])  # type: ignore[method-assign]
    safetensors.torch.save_file = dying(safetensors.torch.save_file, task["write"])
    tune(EncodedDataset.open(Path(task["encoded"])), Path(task["base"]), Path(task["scratch"]))


if __name__ == "__main__":
    main()
