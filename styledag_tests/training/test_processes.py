"""Two processes with gloo, as torchrun starts them, against one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from styledag.store.workspace import Workspace
from styledag.training.__main__ import RESULT_FILE, SCRATCH
from styledag_tests.training.conftest import Encode
from styledag_tests.training.training import RECIPE

UNET = "e002/unet/diffusion_pytorch_model.safetensors"
STEPS = 6
"""Two epochs of 4 + 4 + 3 images, which 2 processes cannot share out evenly."""


def run(processes: int, encoded: Path, base: Path, out: Path, recipe: dict[str, Any]) -> str:
    """Train as a user would; return what was said on standard error."""
    out.mkdir()
    (out / "recipe.json").write_text(json.dumps(recipe))
    launcher = [sys.executable, "-m"]
    if processes > 1:
        launcher += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    done = subprocess.run(
        [
            *launcher,
            "styledag.training",
            str(out / "recipe.json"),
            f"--encoded={encoded}",
            f"--base={base}",
            f"--out={out}",
            "--device=cpu",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("ema", [{"mode": "base", "base_share": 0.2}])
def test_two_processes_give_what_one_gives_but_for_float_error(
    base: Path, encode: Encode, workspace: Workspace, tmp_path: Path, ema: dict[str, Any]
) -> None:
    encode(13, validation=2)
    recipe = RECIPE | {"epochs": 2, "snapshot_every_epochs": 1, "ema": ema}
    for count, name in ((1, "one"), (2, "two")):
        said = run(count, workspace.folder, base, tmp_path / name, recipe)
        assert said.count("training ") == STEPS  # Only the first process speaks.
    one, two = (load_file(tmp_path / name / UNET) for name in ("one", "two"))
    started = load_file(base / "unet" / "diffusion_pytorch_model.safetensors")
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=2e-4, rtol=2e-3)
    moved = max(float((one[name].float() - started[name]).abs().max()) for name in one)
    assert moved > 1e-3
    records = [json.loads((tmp_path / name / RESULT_FILE).read_text()) for name in ("one", "two")]
    for ours, theirs in zip(*(record["log"] for record in records), strict=True):
        assert ours["samples"] == theirs["samples"]
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
        assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-3)
    losses = [[each["validation_loss"] for each in record["snapshots"]] for record in records]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert not (tmp_path / "two" / SCRATCH).exists()
    assert sorted(path.name for path in (tmp_path / "two").glob("e*")) == ["e001", "e002"]


def test_wrong_recipe_is_one_sentence(base: Path, tmp_path: Path) -> None:
    from styledag.training.__main__ import main

    (tmp_path / "recipe.json").write_text('{"trained": "everything"}')
    arguments = [
        str(tmp_path / "recipe.json"),
        f"--encoded={tmp_path}",
        f"--base={base}",
        f"--out={tmp_path / 'out'}",
    ]
    assert main(arguments) == 1
