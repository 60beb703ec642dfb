"""Two processes with gloo, as torchrun starts them, against one."""

import json
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import distributed, nn

from styledag.errors import DeviceError
from styledag.store.workspace import Workspace
from styledag.training.__main__ import RESULT_FILE, SCRATCH, main
from styledag.training.optimising.optimisation import Optimisation
from styledag.training.processes import Processes, joined_processes
from styledag_tests.training.conftest import Encode
from styledag_tests.training.snapshots import in_background
from styledag_tests.training.training import RECIPE

UNET = "e002/unet/diffusion_pytorch_model.safetensors"
STEPS = 6
"""Two epochs of 4 + 4 + 3 images, which 2 processes cannot share out evenly."""


def run(
    processes: int,
    encoded: Path,
    base: Path,
    out: Path,
    recipe: dict[str, Any],
    *,
    dtype: str = "float32",
    module: str = "styledag.training",
) -> str:
    """Train as a user would; return what was said on standard error."""
    out.mkdir()
    (out / "recipe.json").write_text(json.dumps(recipe))
    launcher = [sys.executable, "-m"]
    if processes > 1:
        launcher += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    done = subprocess.run(
        [
            *launcher,
            module,
            str(out / "recipe.json"),
            f"--encoded={encoded}",
            f"--base={base}",
            f"--out={out}",
            "--device=cpu",
            f"--dtype={dtype}",
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
        assert said.count(f"training: {STEPS} in ") == 1  # Only the first process reports.
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


@pytest.mark.slow
def test_processes_train_on_while_the_first_writes(
    base: Path, encode: Encode, workspace: Workspace, tmp_path: Path
) -> None:
    encode(7)
    recipe = RECIPE | {"epochs": 3, "snapshot_every_epochs": 1, "save_state_every_steps": 1}
    modules = ("styledag.training", in_background.__name__)
    written = []
    for module in modules:
        out = tmp_path / module
        run(2, workspace.folder, base, out, recipe, module=module)
        files = sorted(each for each in out.rglob("*") if each.is_file())
        written.append({each.relative_to(out): each.read_bytes() for each in files})
    assert written[0] == written[1]
    assert sum(path.name == Path(UNET).name for path in written[0]) == 3


@pytest.mark.slow
def test_two_processes_train_in_bfloat16_what_one_trains(
    base: Path, encode: Encode, workspace: Workspace, tmp_path: Path
) -> None:
    encode(13)
    recipe = RECIPE | {"epochs": 1, "snapshot_every_epochs": 1, "lr_warmup_steps": 0}
    for count, name in ((1, "one"), (2, "two")):
        run(count, workspace.folder, base, tmp_path / name, recipe, dtype="bfloat16")
    unet = "e001/unet/diffusion_pytorch_model.safetensors"
    one, two = (load_file(tmp_path / name / unet) for name in ("one", "two"))
    started = load_file(base / "unet" / "diffusion_pytorch_model.safetensors")
    moved = sum(float((one[name].float() - started[name]).square().sum()) for name in one)
    apart = sum(float((one[name].float() - two[name].float()).square().sum()) for name in one)
    assert 0 < apart < 0.1 * moved


def arguments(encoded: Path, base: Path, out: Path) -> list[str]:
    return [
        str(out / "recipe.json"),
        f"--encoded={encoded}",
        f"--base={base}",
        f"--out={out}",
        "--device=cpu",
    ]


class Connection:
    """torch.distributed and CUDA as a machine with some GPUs has them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, local_rank: int, devices: int) -> None:
        self.calls: list[object] = []
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("LOCAL_RANK", str(local_rank))
        monkeypatch.setattr(torch.cuda, "is_available", lambda: devices > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)
        monkeypatch.setattr(torch.cuda, "set_device", self.calls.append)
        self.timeouts: list[timedelta] = []
        monkeypatch.setattr(torch.distributed, "init_process_group", self.connect)
        monkeypatch.setattr(torch.distributed, "get_rank", lambda: local_rank)
        monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
        monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)

    def connect(self, name: str, *, timeout: timedelta, **_: object) -> None:
        """Record a call of ``init_process_group``."""
        self.calls.append(name)
        self.timeouts.append(timeout)


@pytest.mark.parametrize(
    ("device", "devices", "calls"),
    [
        ("auto", 2, [1, "nccl"]),
        ("cuda", 2, [1, "nccl"]),
        ("cpu", 2, ["gloo"]),
        ("auto", 0, ["gloo"]),
    ],
)
def test_processes_are_connected_by_the_device_that_they_train_on(
    monkeypatch: pytest.MonkeyPatch, device: str, devices: int, calls: list[object]
) -> None:
    connection = Connection(monkeypatch, local_rank=1, devices=devices)
    with joined_processes(device) as processes:
        assert (processes.rank, processes.size) == (1, 2)
    assert connection.calls == calls


@pytest.mark.parametrize("devices", [2, 0])
def test_others_wait_while_the_first_writes_a_large_state_to_a_slow_disk(
    monkeypatch: pytest.MonkeyPatch, devices: int
) -> None:
    connection = Connection(monkeypatch, local_rank=1, devices=devices)
    with joined_processes("auto"):
        pass
    state_bytes = 16 * 9e9  # weights, average and AdamW's moments of FLUX.2-klein-base-9B, float32
    slow_bytes_per_s = 20e6
    assert min(connection.timeouts).total_seconds() > state_bytes / slow_bytes_per_s


def test_more_processes_than_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    Connection(monkeypatch, local_rank=1, devices=1)
    with (
        pytest.raises(DeviceError, match=r"process 1 .* there are 1, so start at most 1"),
        joined_processes("cuda"),
    ):
        pytest.fail("joined")


def test_a_decoder_that_only_the_graph_tunes_is_refused(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.json").write_text('{"decoder": {"epochs": 1}}')
    assert main(arguments(tmp_path, base, tmp_path)) == 1
    assert "which only the graph does: remove decoder" in capsys.readouterr().err


def test_wrong_recipe_is_one_sentence(base: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"trained": "everything"}')
    assert main(arguments(tmp_path, base, tmp_path)) == 1


def test_a_recipe_that_is_not_there_is_one_sentence(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(tmp_path, base, tmp_path)) == 1
    missing = f"cannot use {tmp_path / 'recipe.json'}: No such file or directory"
    assert capsys.readouterr().err == f"error: {missing}\n"


@pytest.mark.parametrize("changed", ["unet", "scheduler", "encoded"])
def test_run_that_was_cut_off_is_not_resumed_with_other_inputs(
    base: Path,
    encode: Encode,
    workspace: Workspace,
    tmp_path: Path,
    changed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encode(4)
    shutil.copytree(base, tmp_path / "base")
    shutil.copytree(workspace.folder, tmp_path / "encoded")
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE | {"lr_warmup_steps": 0}))
    steps: list[int] = []
    step = Optimisation.step

    def cut_off(*args: Any, **kwargs: Any) -> Any:
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return step(*args, **kwargs)

    monkeypatch.setattr(Optimisation, "step", cut_off)
    command = arguments(tmp_path / "encoded", tmp_path / "base", tmp_path)
    with pytest.raises(KeyboardInterrupt):
        main(command)
    folder = tmp_path / changed if changed == "encoded" else tmp_path / "base" / changed
    (folder / "one more.txt").write_text("other content")
    assert main(command) == 0
    assert len(steps) == 3 + 3


def test_no_pass_sends_buffers_to_other_processes() -> None:
    module = nn.Linear(2, 2)
    module.register_buffer("weight_in_few_bits", torch.zeros(8, dtype=torch.uint8))
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        wrapped: Any = Processes(rank=0, size=2).wrapped(module)
        assert not wrapped.will_sync_module_buffers()
    finally:
        distributed.destroy_process_group()


def test_several_processes_on_mps_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(DeviceError, match="on MPS: start one"), joined_processes("auto"):
        pass
