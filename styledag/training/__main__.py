"""Train without a graph: ``python -m styledag.training RECIPE.json --encoded ... --base ...``.

Needs torch, diffusers and safetensors only. On several devices or machines::

    torchrun --nproc-per-node 2 -m styledag.training RECIPE.json --encoded ... --base ... --out ...

A microstep's images are then shared out over the processes; ``batch_size`` stays what all of
them see together, so the result is that of one process but for float error.
"""

import argparse
import json
import shutil
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from styledag.bases.find import find_base
from styledag.errors import StyledagError, TrainingError
from styledag.models.compute import ComputeSettings, resolve_compute
from styledag.progress import LineProgress, Progress, SilentProgress
from styledag.store.digest import folder_digest
from styledag.store.files import replaced_folder
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.processes import joined_processes
from styledag.training.recipe import recipe_from_json
from styledag.training.records import Snapshot
from styledag.training.train import train_unet

SCRATCH = "scratch"
RESULT_FILE = "training.json"


def main(arguments: list[str] | None = None) -> int:
    """Train as the command line says; return the exit code.

    Each snapshot appears as ``OUT/e001/unet``, or as the base names its denoiser, while training
    runs; ``OUT/training.json`` is there at the end, when the states to resume from are removed.
    """
    options = _options(arguments)
    try:
        recipe = recipe_from_json(options.recipe.read_text(encoding="utf-8"), str(options.recipe))
        if recipe.decoder is not None:
            raise TrainingError(
                f"{options.recipe} tunes the VAE's decoder too, which only the graph does: remove "
                "decoder from it"
            )
        parts = find_base(options.base).parts
        with joined_processes(options.device) as processes:
            progress: Progress = LineProgress(_write) if processes.is_first else SilentProgress()
            result = train_unet(
                EncodedDataset.open(options.encoded),
                options.base,
                recipe,
                inputs={
                    **{part: folder_digest(options.base / part) for part in parts.training},
                    "encoded_dataset": folder_digest(options.encoded),
                },
                compute=resolve_compute(
                    ComputeSettings(device=options.device, dtype=options.dtype)
                ),
                scratch=options.out / SCRATCH,
                on_snapshot=lambda snapshot: _keep(snapshot, options.out),
                progress=progress,
                work=Counter(),
                processes=processes,
            )
    except (StyledagError, OSError, ValueError) as exc:
        said = str(exc)
        if isinstance(exc, OSError) and exc.filename is not None:
            said = f"cannot use {exc.filename}: {exc.strerror}"
        sys.stderr.write(f"error: {said}\n")
        return 1
    if processes.is_first:
        _finish(result.snapshots, options.out, log=[asdict(each) for each in result.log])
    return 0


def _write(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _keep(snapshot: Snapshot, out: Path) -> None:
    kept = out / snapshot.folder.parent.name
    with replaced_folder(kept) as partial:
        shutil.copytree(snapshot.folder.parent, partial, dirs_exist_ok=True)


def _finish(snapshots: tuple[Snapshot, ...], out: Path, *, log: list[dict[str, Any]]) -> None:
    shown = [
        each.figures() | {"folder": f"{each.folder.parent.name}/{each.folder.name}"}
        for each in snapshots
    ]
    text = json.dumps({"snapshots": shown, "log": log}, indent=1) + "\n"
    (out / RESULT_FILE).write_text(text, encoding="utf-8")
    shutil.rmtree(out / SCRATCH, ignore_errors=True)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m styledag.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", type=Path, help="JSON object with a recipe's keys")
    parser.add_argument("--encoded", type=Path, required=True, help="folder of an encoded_dataset")
    parser.add_argument("--base", type=Path, required=True, help="base in diffusers' layout")
    parser.add_argument("--out", type=Path, required=True, help="where snapshots and states go")
    parser.add_argument("--device", default="auto", choices=("auto", "cuda", "mps", "cpu"))
    parser.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
