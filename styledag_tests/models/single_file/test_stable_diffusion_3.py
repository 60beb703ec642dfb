"""Whole Stable Diffusion 3.x in one file, as Stability, ComfyUI and merge tools write them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusion3Pipeline
from safetensors.torch import load_file, save_file

from styledag.bases.find import find_base
from styledag.errors import ModelError
from styledag.models.single_file.load import single_file_folder
from styledag.publishing.model_file import ModelDescription
from styledag.publishing.single_file.export import export_single_file
from styledag_tests.publishing.pipelines import state_of

CLIP_L, CLIP_G = ("text_encoders.clip_l.", "text_encoders.clip_g.")
T5 = "text_encoders.t5xxl.transformer."
QUERY = f"{T5}encoder.block.0.layer.0.SelfAttention.q"
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def exported(sd3_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Tensors:
    path = tmp_path_factory.mktemp("exported") / "model.safetensors"
    export_single_file(sd3_pipeline, path, ModelDescription(title="t"), dtype="float32")
    return load_file(path)


def folder_of(tensors: Tensors, tmp_path: Path, config: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file(tensors, path)
    return single_file_folder(path, config=str(config), project=tmp_path)


def assert_same(folder: Path, expected: Tensors) -> None:
    found = state_of(StableDiffusion3Pipeline.from_pretrained(folder))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_it_comes_back_as_the_same_pipeline(
    sd3_pipeline: Path, exported: Tensors, tmp_path: Path
) -> None:
    folder = folder_of(exported, tmp_path, sd3_pipeline)

    assert_same(folder, state_of(StableDiffusion3Pipeline.from_pretrained(sd3_pipeline)))
    texts = [find_base(each).text_encoder().encode(["a cat"]) for each in (sd3_pipeline, folder)]
    for name, states in texts[0].tensors.items():
        torch.testing.assert_close(texts[1][name], states)


def test_what_comfyui_saves_is_read(sd3_pipeline: Path, exported: Tensors, tmp_path: Path) -> None:
    """Scales of logits, a projection of the first CLIP that it does not use, T5's words once."""
    saved = exported | {
        f"{CLIP_L}transformer.text_projection.weight": torch.randn(24, 24),
        f"{CLIP_L}logit_scale": torch.tensor(4.6055),
        f"{CLIP_G}logit_scale": torch.tensor(4.6055),
        "text_encoders.t5xxl.logit_scale": torch.tensor(4.6055),
        f"{CLIP_L}transformer.text_model.embeddings.position_ids": torch.arange(77.0)[None],
    }
    halves = {name: each.half() for name, each in saved.items() if "logit_scale" not in name}
    del halves[f"{T5}encoder.embed_tokens.weight"]

    folder = folder_of(saved | halves, tmp_path, sd3_pipeline)

    first = state_of(StableDiffusion3Pipeline.from_pretrained(sd3_pipeline))
    assert_same(folder, {name: each.half().float() for name, each in first.items()})
    for weights in folder.glob("*/*.safetensors"):
        assert {each.dtype for each in load_file(weights).values()} == {torch.float16}, weights


def test_t5s_embedding_is_read_by_the_name_that_its_encoder_has_for_it(
    sd3_pipeline: Path, exported: Tensors, tmp_path: Path
) -> None:
    """The only one that Stability's own code and A1111 read."""
    once = {name: each for name, each in exported.items() if name != f"{T5}shared.weight"}
    assert len(once) == len(exported) - 1
    first = StableDiffusion3Pipeline.from_pretrained(sd3_pipeline)
    assert_same(folder_of(once, tmp_path, sd3_pipeline), state_of(first))


def test_clips_of_old_names_are_read(sd3_pipeline: Path, exported: Tensors, tmp_path: Path) -> None:
    renamed = {name.replace(".text_model.", "."): each for name, each in exported.items()}
    assert renamed.keys() != exported.keys()
    first = StableDiffusion3Pipeline.from_pretrained(sd3_pipeline)
    assert_same(folder_of(renamed, tmp_path, sd3_pipeline), state_of(first))


def test_a_file_without_t5_is_a_base_without_it(
    sd3_pipeline: Path, exported: Tensors, tmp_path: Path
) -> None:
    tensors = {name: each for name, each in exported.items() if not name.startswith(T5)}
    folder = folder_of(tensors, tmp_path, sd3_pipeline)
    index = json.loads((folder / "model_index.json").read_text())
    assert index["text_encoder_3"] == index["tokenizer_3"] == [None, None]
    assert not list(folder.glob("*_3"))
    assert "text_encoder_3" not in find_base(folder).parts.encoding


def test_configurations_without_t5_leave_it_out(
    sd3_without_t5: Path, exported: Tensors, tmp_path: Path
) -> None:
    folder = folder_of(exported, tmp_path, sd3_without_t5)
    assert "text_encoder_3" not in find_base(folder).parts.encoding
    assert not list(folder.glob("*_3"))


def eight_bits(tensors: Tensors, scale: str) -> tuple[Tensors, Tensors]:
    """T5 as people quantise it, and its weights by hand."""
    written, expected = dict(tensors), {}
    for name in [name for name in tensors if name.startswith(T5)]:
        by = torch.tensor(0.37) if scale and ".layer." in name and "norm" not in name else None
        small = tensors[name].to(torch.float8_e4m3fn)
        written[name] = small
        expected[name] = small.float()
        if by is not None:
            written[name.replace(".weight", scale)] = by
            expected[name] = (small.float() * by).half().float()
    if scale:
        written[f"{T5}scaled_fp8"] = torch.empty(0, dtype=torch.float8_e4m3fn)
    return written, expected


@pytest.mark.parametrize("scale", ["", ".scale_weight", ".weight_scale"])
def test_t5_in_eight_bits_is_widened_by_its_scales(
    sd3_pipeline: Path, exported: Tensors, tmp_path: Path, scale: str
) -> None:
    """As in ``..._t5xxlfp8`` and ``..._t5xxlfp8scaled``: each layer has one scale, norms none."""
    written, expected = eight_bits(exported, scale)

    folder = folder_of(written, tmp_path, sd3_pipeline)

    found = load_file(folder / "text_encoder_3" / "model.safetensors")
    assert {each.dtype for each in found.values()} == {torch.float16}
    assert found.keys() >= {"shared.weight", "encoder.block.1.layer.1.DenseReluDense.wo.weight"}
    for name, tensor in found.items():
        assert torch.equal(tensor.float(), expected[T5 + name]), name
    others = load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")
    assert {each.dtype for each in others.values()} == {torch.float32}


def without(*starts: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {k: v for k, v in tensors.items() if not k.startswith(starts)}


def changed(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable:
    return lambda tensors: {**tensors, name: change(tensors[name])}


def blocks(tensors: Tensors) -> Tensors:
    return {**eight_bits(tensors, "")[0], f"{QUERY}.weight_scale": torch.ones(4, 4)}


DENOISER = "model.diffusion_model.x_embedder.proj.weight"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without("first_stage_model."), "contains no vae "),
        (without("text_encoders."), "contains no text_encoder, text_encoder_2 .*denoiser: file"),
        (without(CLIP_G), "contains no text_encoder_2"),
        (
            without(f"{T5}shared.", f"{T5}encoder.embed"),
            "lacks tensor '.*shared.weight' of the text_encoder_3",
        ),
        (without(f"{QUERY}.weight"), r"lacks tensor '.*q\.weight' of the text_encoder_3"),
        (without(DENOISER), r"lacks tensor '.*x_embedder\.proj\.weight' of the transformer"),
        (changed(DENOISER, lambda each: each.to(torch.float8_e4m3fn)), "dtype is F8_E4M3"),
        (changed(DENOISER, lambda each: each.to(torch.int8)), r"x_embedder.*quantised \(int8\)"),
        (changed(f"{QUERY}.weight", lambda each: each.to(torch.int8)), r"q\.weight.*\(int8\)"),
        (changed(f"{QUERY}.weight", lambda each: each / 0), r"q\.weight' holds NaN or infinity"),
        (changed(f"{QUERY}.weight", lambda each: each[:8]), "does not fit"),
        (blocks, r"quantised by blocks \('.*q\.weight_scale' has 16 elements\)"),
    ],
)
def test_what_cannot_be_a_base_is_refused_by_file_and_tensor(
    sd3_pipeline: Path,
    exported: Tensors,
    tmp_path: Path,
    assets: Path,
    spoil: Callable[[Tensors], Tensors],
    message: str,
) -> None:
    with pytest.raises(ModelError, match=message) as raised:
        folder_of(spoil(exported), tmp_path, sd3_pipeline)
    assert str(tmp_path / "model.safetensors") in str(raised.value)
    assert not list(assets.rglob("*.safetensors"))
