"""Blends made in memory: the same values as those that are written."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from styledag.errors import ModelError
from styledag.merging.blend import Blending, FineTune, blend_models
from styledag.merging.method import MergeSettings
from styledag.merging.methods.add_difference import AddDifference
from styledag.merging.methods.dare import Dare
from styledag.merging.methods.layer_swap import LayerSwap
from styledag.merging.methods.lerp import Lerp
from styledag.merging.methods.slerp import Slerp
from styledag.merging.methods.ties import Ties
from styledag.merging.sweep import blend_into
from styledag.models.compute import resolve_device
from styledag.models.reference import ModelReference
from styledag.tensors.layout import CONFIG_FILE, WEIGHTS_FILE
from styledag_tests.merging.test_blend import BLOCKS, write_unet

FOLDERS = ("base", "tuned", "onto")


@pytest.fixture(scope="module", params=[torch.float32, torch.float16], ids=["fp32", "fp16"])
def folders(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("unets")
    return {name: write_unet(root / name, seed, request.param) for seed, name in enumerate(FOLDERS)}


def loaded(folder: Path) -> Any:
    return UNet2DConditionModel.from_pretrained(folder, torch_dtype=torch.float32)


@pytest.mark.parametrize(
    "method",
    [Lerp(), Ties(density=0.4), AddDifference(onto=ModelReference(model="onto"))],
    ids=lambda method: method.type,
)
def test_each_blend_of_a_sweep_has_the_values_of_the_stored_one(
    folders: dict[str, Path], method: MergeSettings, tmp_path: Path
) -> None:
    merged: dict[str, Any] = {
        "method": method,
        "block_weights": {"mid": 0.5},
        "blocks": BLOCKS,
        "others": dict.fromkeys(method.models(), folders["onto"]),
    }
    model = loaded(folders["base"])
    with Blending(folders["base"], [folders["tuned"]], **merged) as blending:
        for weight in (0.3, 1.0, 0.0, 0.65):
            blend_into(model, blending, weight)
            fine_tune = FineTune(folder=folders["tuned"], weight=weight)
            written = tmp_path / str(weight)
            blend_models(folders["base"], [fine_tune], written, parents={}, **merged)
            stored = loaded(written).state_dict()
            in_memory = model.state_dict()
            assert all(torch.equal(in_memory[name], each) for name, each in stored.items())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["0.0", "0.3", "0.65", "1.0"]


@pytest.mark.gpu
@pytest.mark.parametrize(
    "method",
    [
        Lerp(), Slerp(), Ties(density=0.4), Dare(density=0.4), LayerSwap(layers=("down_blocks.*",)),
        AddDifference(onto=ModelReference(model="onto")),
    ],
    ids=lambda method: method.type,
)  # fmt: skip
def test_a_sweep_on_the_gpu_has_the_values_of_the_stored_one(
    folders: dict[str, Path], method: MergeSettings, tmp_path: Path
) -> None:
    device = resolve_device("cuda")
    merged: dict[str, Any] = {
        "method": method,
        "block_weights": {"mid": 0.5},
        "blocks": BLOCKS,
        "others": dict.fromkeys(method.models(), folders["onto"]),
    }
    model = loaded(folders["base"]).to(device)
    fine_tune = FineTune(folder=folders["tuned"], weight=0.3)
    blend_models(folders["base"], [fine_tune], tmp_path / "stored", parents={}, **merged)
    with Blending(folders["base"], [folders["tuned"]], device=device, **merged) as blending:
        blend_into(model, blending, 0.3)
    for name, each in loaded(tmp_path / "stored").state_dict().items():
        torch.testing.assert_close(model.state_dict()[name].cpu(), each, rtol=1e-3, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_nan_is_named_on_the_gpu_too(
    folders: dict[str, Path], tmp_path: Path, weight: float
) -> None:
    tuned = shutil.copytree(folders["tuned"], tmp_path / "tuned")
    tensors = load_file(tuned / WEIGHTS_FILE)
    tensors["conv_in.bias"][3] = float("nan")
    save_file(tensors, tuned / WEIGHTS_FILE)
    device = resolve_device("cuda")
    model = loaded(folders["base"]).to(device)
    with (
        Blending(
            folders["base"],
            [tuned],
            method=Lerp(),
            block_weights={},
            blocks=BLOCKS,
            others={},
            device=device,
        ) as blending,
        pytest.raises(ModelError, match=r"'conv_in\.bias' holds NaN"),
    ):
        blend_into(model, blending, weight)  # fmt: skip


def test_parents_of_another_architecture_are_refused_by_name(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    tensors = load_file(folders["base"] / WEIGHTS_FILE)
    del tensors["conv_out.bias"]
    other = tmp_path / "other"
    other.mkdir()
    save_file(tensors, other / WEIGHTS_FILE)
    (other / CONFIG_FILE).write_text((folders["base"] / CONFIG_FILE).read_text())
    merged: dict[str, Any] = {"method": Lerp(), "block_weights": {}, "blocks": {}, "others": {}}
    with (
        Blending(other, [other], **merged) as blending,
        pytest.raises(ModelError, match=r"'conv_out\.bias'"),
    ):
        blend_into(loaded(folders["base"]), blending, 0.5)
