"""Whole Stable Diffusion 3.x as single files: original names, read back by diffusers."""

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusion3Pipeline
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from styledag.errors import ModelError
from styledag.publishing.model_file import ModelDescription
from styledag.publishing.single_file.export import export_single_file
from styledag_tests.bases.tiny_parts import change
from styledag_tests.publishing.pipelines import state_of, without_weights

DESCRIPTION = ModelDescription(title="A style")
DENOISER = (
    "pos_embed",
    "x_embedder.proj.bias",
    "y_embedder.mlp.2.weight",
    "context_embedder.weight",
    "joint_blocks.0.x_block.attn.qkv.bias",
    "joint_blocks.0.x_block.attn2.ln_q.weight",
    "joint_blocks.0.context_block.mlp.fc1.weight",
    "joint_blocks.1.context_block.adaLN_modulation.1.weight",
    "final_layer.adaLN_modulation.1.weight",
)
ABSENT = {"text_encoder_3": None, "tokenizer_3": None}


@pytest.fixture(scope="module")
def exported(sd3_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "model.safetensors"
    export_single_file(sd3_pipeline, path, DESCRIPTION, dtype="float32")
    return path


@pytest.mark.parametrize("with_t5", [True, False])
def test_diffusers_reads_the_same_pipeline(
    sd3_pipeline: Path, sd3_without_t5: Path, exported: Path, tmp_path: Path, with_t5: bool
) -> None:
    pipeline, path, absent = sd3_pipeline, exported, {}
    if not with_t5:
        pipeline, path, absent = sd3_without_t5, tmp_path / "model.safetensors", ABSENT
        export_single_file(pipeline, path, DESCRIPTION, dtype="float32")

    config = str(without_weights(pipeline, tmp_path / "config"))
    read = StableDiffusion3Pipeline.from_single_file(
        str(path), config=config, local_files_only=True, torch_dtype=torch.float32, **absent
    )

    first = StableDiffusion3Pipeline.from_pretrained(pipeline, **absent)
    expected, found = state_of(first), state_of(read)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    if with_t5:
        read.text_encoder_3.eval()  # its loader leaves dropout on
    asked = {"prompt_2": None, "prompt_3": None, "device": "cpu"}
    states = (each.encode_prompt("a cat", **asked) for each in (first, read))
    for one, other in zip(*states, strict=True):
        torch.testing.assert_close(other, one)


def test_names_are_those_of_the_published_files(exported: Path, sd3_without_t5: Path) -> None:
    """As ``sd3_medium_incl_clips_t5xxlfp16.safetensors`` lists them."""
    with safe_open(exported, "pt") as file:
        names, header = set(file.keys()), file.metadata()
        shape = file.get_slice("first_stage_model.decoder.mid.attn_1.q.weight").get_shape()
    clips = [f"text_encoders.clip_{each}.transformer.text_model" for each in "lg"]
    t5 = "text_encoders.t5xxl.transformer"
    assert names >= {
        *(f"model.diffusion_model.{each}" for each in DENOISER),
        "first_stage_model.decoder.up.1.upsample.conv.weight",
        *(f"{each}.embeddings.position_embedding.weight" for each in clips),
        *(f"{each}.encoder.layers.1.self_attn.q_proj.weight" for each in clips),
        "text_encoders.clip_g.transformer.text_projection.weight",
        # By the former diffusers and ComfyUI know T5, by the latter A1111.
        f"{t5}.shared.weight",
        f"{t5}.encoder.embed_tokens.weight",
        f"{t5}.encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        f"{t5}.encoder.final_layer_norm.weight",
    }
    assert len(shape) == 4
    assert "text_encoders.clip_l.transformer.text_projection.weight" not in names
    starts = ("model.diffusion_model.", "first_stage_model.", "text_encoders.")
    assert all(name.startswith(starts) for name in names)
    assert header["modelspec.architecture"] == "stable-diffusion-v3.5-medium"


def test_t5s_embedding_may_have_the_name_of_its_encoders_alone(
    sd3_pipeline: Path, exported: Path, tmp_path: Path
) -> None:
    """As in T5s that were saved as an encoder, which transformers reads as well."""
    renamed = shutil.copytree(sd3_pipeline, tmp_path / "renamed")
    weights = renamed / "text_encoder_3" / "model.safetensors"
    tensors = load_file(weights)
    assert "encoder.embed_tokens.weight" not in tensors
    tensors["encoder.embed_tokens.weight"] = tensors.pop("shared.weight")
    save_file(tensors, weights, {"format": "pt"})
    path = tmp_path / "model.safetensors"
    export_single_file(renamed, path, DESCRIPTION, dtype="float32")
    assert path.read_bytes() == exported.read_bytes()


def test_stacked_and_swapped_tensors_are_worked_out_by_hand(
    sd3_pipeline: Path, exported: Path
) -> None:
    own = load_file(sd3_pipeline / "transformer" / "diffusion_pytorch_model.safetensors")
    written = {
        name.removeprefix("model.diffusion_model."): each
        for name, each in load_file(exported).items()
    }
    block = "transformer_blocks.0.attn"
    query, key, value = (own[f"{block}.to_{each}.weight"] for each in "qkv")
    stacked = written["joint_blocks.0.x_block.attn.qkv.weight"]
    assert torch.equal(stacked, torch.cat([query, key, value]))
    scale, shift = own["norm_out.linear.bias"].chunk(2)
    assert torch.equal(written["final_layer.adaLN_modulation.1.bias"], torch.cat([shift, scale]))
    first = "joint_blocks.0.context_block.adaLN_modulation.1.weight"
    assert torch.equal(written[first], own["transformer_blocks.0.norm1_context.linear.weight"])


def test_a_replaced_transformer_and_vae_are_written(
    sd3_without_t5: Path, exported: Path, sd3_pipeline: Path, tmp_path: Path
) -> None:
    folders = {}
    for part in ("transformer", "vae"):
        folders[part] = shutil.copytree(sd3_pipeline / part, tmp_path / part)
        weights = folders[part] / "diffusion_pytorch_model.safetensors"
        save_file({name: each + 1 for name, each in load_file(weights).items()}, weights)
    path = tmp_path / "model.safetensors"

    export_single_file(
        sd3_pipeline,
        path,
        DESCRIPTION,
        denoiser=folders["transformer"],
        vae=folders["vae"],
        dtype="float32",
    )

    before = load_file(exported)
    for name, tensor in load_file(path).items():
        is_other = not name.startswith("text_encoders.")
        assert torch.equal(tensor, before[name] + is_other), name


def test_what_programs_would_read_otherwise_is_refused(
    sd3_without_t5: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    projected = shutil.copytree(sd3_without_t5, tmp_path / "projected")
    weights = projected / "text_encoder" / "model.safetensors"
    tensors = load_file(weights)
    save_file(tensors | {"text_projection.weight": tensors["text_projection.weight"] * 2}, weights)
    with pytest.raises(ModelError, match=r"has a projection \('text_projection\.weight'\)"):
        export_single_file(projected, path, DESCRIPTION)
    short = shutil.copytree(sd3_without_t5, tmp_path / "short")
    change(short / "text_encoder" / "config.json", hidden_size=768, num_hidden_layers=11)
    with pytest.raises(ModelError, match=r"has 11 layers .*single files 12"):
        export_single_file(short, path, DESCRIPTION)
    assert not path.exists()


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("text_encoder", "text_projection.weight"),
        ("text_encoder_2", "text_projection.weight"),
        ("text_encoder_3", "shared.weight"),
    ],
)
def test_a_tensor_that_a_text_encoder_lacks_is_named(
    sd3_pipeline: Path, tmp_path: Path, part: str, name: str
) -> None:
    pipeline = shutil.copytree(sd3_pipeline, tmp_path / "pipeline")
    weights = pipeline / part / "model.safetensors"
    tensors = load_file(weights)
    del tensors[name]
    save_file(tensors, weights)
    with pytest.raises(ModelError, match=rf"pipeline/{part} lacks '{name}'"):
        export_single_file(pipeline, tmp_path / "all.safetensors", DESCRIPTION)
