"""Single files as converters, trainers and merge tools have named and filled them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file

from styledag.errors import ModelError
from styledag.models.single_file.denoiser import check_denoiser
from styledag.models.single_file.load import single_file_folder
from styledag.publishing.model_file import ModelDescription
from styledag.publishing.single_file.export import export_single_file
from styledag_tests.publishing.pipelines import state_of

Tensors = dict[str, torch.Tensor]
XL = "conditioner.embedders.1.model"
CLIP = "cond_stage_model.transformer.text_model"


@pytest.fixture(scope="module")
def exported(
    first_pipeline: Path,
    second_pipeline: Path,
    xl_pipeline: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[Path, Tensors]]:
    """Each generation's pipeline, and its file."""
    found = {}
    path = tmp_path_factory.mktemp("exported") / "model.safetensors"
    pipelines = {"first": first_pipeline, "second": second_pipeline, "xl": xl_pipeline}
    for name, pipeline in pipelines.items():
        export_single_file(pipeline, path, ModelDescription(title="t"), dtype="float32")
        # Not mapped, since the file is written again.
        found[name] = (pipeline, {key: each.clone() for key, each in load_file(path).items()})
    return found


def folder_of(tensors: Tensors, config: Path, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file({name: each.contiguous() for name, each in tensors.items()}, path)
    return single_file_folder(path, config=str(config), project=tmp_path)


def linear(tensors: Tensors) -> Tensors:
    """As diffusers' script of 2023, whose projection is transformers' linear layer."""
    projection = tensors.pop(f"{XL}.text_projection")
    return {**tensors, f"{XL}.text_projection.weight": projection.T}


def by_comfyui(tensors: Tensors) -> Tensors:
    """What ComfyUI adds when it saves."""
    text = f"{XL}.transformer.text_model.embeddings.position_ids"
    first = "conditioner.embedders.0.transformer.text_model.embeddings.position_ids"
    ids = torch.arange(77)[None]
    return {**tensors, f"{XL}.logit_scale": torch.tensor(4.6055), text: ids, first: ids.clone()}


def with_another_clip(tensors: Tensors) -> Tensors:
    """A merge of unlike models, whose tool kept what only one of them has."""
    name = "conditioner.embedders.0.transformer."
    further = {
        each.replace(name, "cond_stage_model.transformer."): torch.ones_like(tensor)
        for each, tensor in tensors.items()
        if each.startswith(name)
    }
    return tensors | further


def by_later_code(tensors: Tensors) -> Tensors:
    """2.x of Stability-AI/generative-models, whose code of XL names it."""
    return {
        name.replace("cond_stage_model.model.", "conditioner.embedders.0.model."): each
        for name, each in tensors.items()
    }


def with_all_layers(tensors: Tensors) -> Tensors:
    """The layer, projection and scale of OpenCLIP that 2.x does not use; sd-scripts makes them."""
    layers = "cond_stage_model.model.transformer.resblocks"
    further = {
        name.replace(f"{layers}.10.", f"{layers}.11."): torch.full_like(each, torch.nan)
        for name, each in tensors.items()
        if name.startswith(f"{layers}.10.")
    }
    scale = {"cond_stage_model.model.logit_scale": torch.tensor(1)}
    return {
        **tensors,
        **further,
        **scale,
        "cond_stage_model.model.text_projection": torch.ones(32, 32),
    }


def position_ids(dtype: torch.dtype) -> Callable[[Tensors], Tensors]:
    """Merged as if they were weights: halves, rounded down, some twice and some not at all."""
    ids = (torch.arange(77) * 0.9995).to(dtype)[None]
    return lambda tensors: {**tensors, f"{CLIP}.embeddings.position_ids": ids}


def averaged(tensors: Tensors) -> Tensors:
    """The average that training kept beside, and sizes that ComfyUI adds to a CLIP."""
    ema = {
        "model_ema." + name.removeprefix("model.").replace(".", ""): torch.zeros_like(each)
        for name, each in tensors.items()
        if name.startswith("model.diffusion_model.")
    }
    further = {
        "cond_stage_model.logit_scale": torch.tensor(4.6055),
        "cond_stage_model.transformer.text_projection.weight": torch.ones(32, 32),
    }
    return tensors | ema | further


@pytest.mark.parametrize(
    ("of", "written"),
    [
        ("xl", linear),
        ("xl", by_comfyui),
        ("xl", with_another_clip),
        ("second", by_later_code),
        ("second", with_all_layers),
        ("first", position_ids(torch.float16)),
        ("first", position_ids(torch.int64)),
        ("first", averaged),
    ],
)
def test_each_spelling_comes_out_as_the_same_pipeline(
    exported: dict[str, tuple[Path, Tensors]],
    tmp_path: Path,
    of: str,
    written: Callable[[Tensors], Tensors],
) -> None:
    pipeline, tensors = exported[of]

    folder = folder_of(written(dict(tensors)), pipeline, tmp_path)

    first, found = (DiffusionPipeline.from_pretrained(each) for each in (pipeline, folder))
    expected, weights = state_of(first), state_of(found)
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize(
    ("of", "name", "again"),
    [
        ("xl", f"{XL}.text_projection", f"{XL}.text_projection.weight"),
        ("first", f"{CLIP}.final_layer_norm.bias", f"{CLIP[:-11]}.final_layer_norm.bias"),
    ],
)
def test_one_tensor_by_two_names_is_refused(
    exported: dict[str, tuple[Path, Tensors]], tmp_path: Path, of: str, name: str, again: str
) -> None:
    """ComfyUI of today reads the first of XL's, its predecessors and Fooocus the second."""
    pipeline, tensors = exported[of]
    with pytest.raises(ModelError, match=f"one tensor by two names, '({name}|{again})'"):
        folder_of({**tensors, again: tensors[name] + 1}, pipeline, tmp_path)


def test_integers_are_no_weights(exported: dict[str, tuple[Path, Tensors]], tmp_path: Path) -> None:
    """Of int8 with a scale beside it, weights have the names and shapes of any model's."""
    name = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    pipeline, tensors = exported["first"]
    small = {**tensors, name: (tensors[name] * 100).to(torch.int8)}
    with pytest.raises(ModelError, match=rf"'{name}' is quantised \(int8\)"):
        folder_of(small, pipeline, tmp_path)
    with pytest.raises(ModelError, match=rf"'{name}' is quantised \(int8\)"):
        check_denoiser(tmp_path / "model.safetensors", pipeline / "unet")
