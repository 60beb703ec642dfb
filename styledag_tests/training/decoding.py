"""Train a decoder on what the fixtures encode; as a program, train until it kills itself."""

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from styledag_tests.training.training import ABSENT, RecordingProgress, dying

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


def images(sample: Any) -> Any:
    """Return the pixels of one of the fixtures' images."""
    from styledag.training.encoding.encoders import pixel_values, rgb_pixels
    from styledag_tests.training.conftest import image

    ids = {hashlib.sha256(f"sample {n}".encode()).hexdigest(): n for n in range(64)}
    return pixel_values(rgb_pixels(sample.id, image(ids[sample.id])))


def tune(
    encoded: Any,
    base: Path,
    scratch: Path,
    *,
    work: Counter[str] | None = None,
    progress: Any = None,
    compute: Any = None,
    images_of: Any = images,
    inputs: Any = None,
    recipe: dict[str, Any] | None = None,
    **decoder: Any,
) -> Any:
    """Train with :data:`RECIPE` and :data:`DECODER`, changed, on one thread."""
    import torch

    from styledag.models.compute import Compute
    from styledag.training.decoder.train import train_decoder
    from styledag.training.recipe import DecoderSettings, Recipe

    torch.set_num_threads(1)
    settings = DecoderSettings(**(DECODER | decoder))
    return train_decoder(
        encoded,
        images_of,
        base,
        Recipe(**(RECIPE | (recipe or {})), decoder=settings),
        inputs={"base_vae": "1", "encoded_dataset": "1"} if inputs is None else inputs,
        compute=compute or Compute(torch.device("cpu"), torch.float32),
        scratch=scratch,
        progress=progress or RecordingProgress(),
        work=Counter() if work is None else work,
    )


def main() -> None:
    """Train on a bare machine, in a process that kills itself at a state or a step."""
    task = json.loads(sys.argv[1])

    import safetensors.torch

    from styledag.training.encoding.dataset import EncodedDataset
    from styledag.training.optimising.optimizers import Optimizer
    from styledag.training.states import state

    import styledag_tests.training.conftest  # isort: skip  # noqa: F401 - needs the store

    for name in ABSENT:
        sys.modules[name] = None  # type: ignore[assignment]
    Optimizer.step = dying(Optimizer.step, task["step"])  # type: ignore[method-assign]
    writes: Counter[str] = Counter()
    for owner, name in ((safetensors.torch, "save_file"), (state, "write_tensors")):
        setattr(owner, name, dying(getattr(owner, name), task["write"], writes))
    tune(EncodedDataset.open(Path(task["encoded"])), Path(task["base"]), Path(task["scratch"]))


if __name__ == "__main__":
    main()
