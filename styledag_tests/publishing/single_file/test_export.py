import hashlib
import json
import shutil
from pathlib import Path

import diffusers
import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline, UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from styledag.bases.find import find_base
from styledag.errors import ModelError
from styledag.models.single_file.load import single_file_folder
from styledag.publishing.model_file import ModelDescription
from styledag.publishing.single_file.export import export_single_file
from styledag_tests.bases.tiny_parts import change
from styledag_tests.publishing.pipelines import state_of, without_weights, write_pipeline

DESCRIPTION = ModelDescription(title="A style", tags=("style", "emoji"))


def export(pipeline: Path, to: Path, **options) -> dict:
    return dict(export_single_file(pipeline, to, DESCRIPTION, **options))


def read_by_diffusers(path: Path, config: Path, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    kind = getattr(diffusers, DiffusionPipeline.load_config(config)["_class_name"])
    loaded = kind.from_single_file(
        str(path), config=str(config), local_files_only=True, dtype=dtype
    )
    return state_of(loaded)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_diffusers_reads_the_same_weights(pipeline: Path, tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "model.safetensors"

    facts = export(pipeline, path, dtype=dtype)

    number = getattr(torch, dtype)
    config = without_weights(pipeline, tmp_path / "config")
    read = read_by_diffusers(path, config, number)
    expected = state_of(DiffusionPipeline.from_pretrained(pipeline))
    assert read.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(read[name], tensor.to(number)), name
    assert facts["parameters"] == sum(tensor.numel() for tensor in expected.values())
    assert path.stat().st_size == facts["bytes"]


def test_names_and_shapes_are_those_of_the_original_code(first_pipeline: Path, tmp_path) -> None:
    """Names as the published ``v1-5-pruned-emaonly.safetensors`` lists them."""
    path = tmp_path / "model.safetensors"
    export(first_pipeline, path)

    tensors = load_file(path)

    blocks = "model.diffusion_model"
    for name in (
        f"{blocks}.time_embed.2.weight",
        f"{blocks}.input_blocks.0.0.weight",
        f"{blocks}.input_blocks.1.1.transformer_blocks.0.attn2.to_out.0.bias",
        f"{blocks}.input_blocks.3.0.op.weight",
        f"{blocks}.input_blocks.11.0.out_layers.3.bias",
        f"{blocks}.middle_block.1.proj_in.weight",
        f"{blocks}.middle_block.2.emb_layers.1.weight",
        f"{blocks}.output_blocks.2.1.conv.weight",
        f"{blocks}.output_blocks.5.2.conv.bias",
        f"{blocks}.output_blocks.11.0.skip_connection.weight",
        f"{blocks}.out.2.weight",
        "first_stage_model.encoder.down.1.block.0.nin_shortcut.weight",
        "first_stage_model.decoder.up.1.upsample.conv.weight",
        "first_stage_model.decoder.mid.block_2.norm1.weight",
        "first_stage_model.post_quant_conv.weight",
        "cond_stage_model.transformer.text_model.encoder.layers.10.self_attn.k_proj.bias",
        "cond_stage_model.transformer.text_model.final_layer_norm.weight",
    ):
        assert name in tensors, name
    # Convolutions over single pixels, which the original code does not read as matrices.
    assert tensors["first_stage_model.encoder.mid.attn_1.q.weight"].shape == (16, 16, 1, 1)
    assert tensors[f"{blocks}.middle_block.1.proj_in.weight"].shape == (16, 16, 1, 1)


def test_names_of_xl_are_those_of_the_original_code(xl_pipeline: Path, tmp_path) -> None:
    """Names as the published ``sd_xl_base_1.0.safetensors`` lists them."""
    path = tmp_path / "model.safetensors"
    export(xl_pipeline, path)

    tensors = load_file(path)

    first, second = (
        "conditioner.embedders.0.transformer.text_model",
        "conditioner.embedders.1.model",
    )
    for name in (
        "model.diffusion_model.label_emb.0.0.weight",
        "model.diffusion_model.label_emb.0.2.bias",
        "model.diffusion_model.input_blocks.8.1.transformer_blocks.1.attn2.to_v.weight",
        "model.diffusion_model.output_blocks.5.2.conv.weight",
        "model.diffusion_model.output_blocks.8.0.skip_connection.weight",
        "first_stage_model.decoder.mid.attn_1.q.weight",
        f"{first}.embeddings.token_embedding.weight",
        f"{first}.encoder.layers.1.self_attn.q_proj.weight",
        f"{second}.transformer.resblocks.9.attn.in_proj_weight",
        f"{second}.transformer.resblocks.9.mlp.c_proj.bias",
        f"{second}.positional_embedding",
        f"{second}.ln_final.bias",
    ):
        assert name in tensors, name
    # OpenCLIP multiplies by its projection from the right.
    own = load_file(xl_pipeline / "text_encoder_2" / "model.safetensors")
    projection = tensors[f"{second}.text_projection"]
    assert projection.shape == (48, 24)
    assert torch.equal(projection, own["text_projection.weight"].T.half())


def test_the_header_follows_modelspec(pipeline: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    export(pipeline, path, provenance={"styledag.dataset": "abc"})

    with safe_open(path, "pt") as file:
        header = file.metadata()
    content = path.read_bytes()
    body = content[8 + int.from_bytes(content[:8], "little") :]
    second = json.loads((pipeline / "text_encoder/config.json").read_text())["hidden_act"] == "gelu"
    xl = (pipeline / "text_encoder_2").is_dir()
    # diffusers' autoencoders state that they overflow in float16, unless they are made not to.
    assert header.pop("modelspec.vae_dtype", None) == ("bf16,fp32" if xl else None)
    assert header == {
        "format": "pt",
        "styledag.dataset": "abc",
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": (
            "stable-diffusion-xl-v1-base"
            if xl
            else "stable-diffusion-v2-768-v"
            if second
            else "stable-diffusion-v1"
        ),
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.title": "A style",
        "modelspec.tags": "style,emoji",
        "modelspec.resolution": "16x16",
        "modelspec.prediction_type": "v" if second else "epsilon",
        "modelspec.hash_sha256": "0x" + hashlib.sha256(body).hexdigest(),
    }


def test_a_file_states_how_its_unet_was_trained(
    xl_pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ComfyUI, Forge and A1111 go by empty tensors, without which they draw noise."""
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    pipeline = tmp_path / "pipeline"
    shutil.copytree(xl_pipeline, pipeline)
    change(
        pipeline / "scheduler" / "scheduler_config.json",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
    )

    export(pipeline, tmp_path / "v.safetensors")
    export(xl_pipeline, tmp_path / "noise.safetensors")

    tensors, usual = (load_file(tmp_path / f"{each}.safetensors") for each in ("v", "noise"))
    assert {name: tensor.numel() for name, tensor in tensors.items() if name not in usual} == {
        "v_pred": 0,
        "ztsnr": 0,
    }
    folder = single_file_folder(tmp_path / "v.safetensors", config=str(pipeline), project=tmp_path)
    assert find_base(folder).objective().prediction_type == "v_prediction"


def test_a_replaced_unet_and_vae_are_written(
    first_pipeline: Path, starter: Path, tmp_path: Path
) -> None:
    other = write_pipeline(tmp_path / "other", starter, version=1, seed=1)
    path = tmp_path / "model.safetensors"

    export(first_pipeline, path, denoiser=other / "unet", vae=other / "vae", dtype="float32")

    read = read_by_diffusers(path, first_pipeline, torch.float32)
    base = state_of(StableDiffusionPipeline.from_pretrained(first_pipeline))
    tuned = state_of(StableDiffusionPipeline.from_pretrained(other))
    for name, tensor in read.items():
        assert torch.equal(tensor, (base if name.startswith("text") else tuned)[name]), name


def test_the_same_model_is_the_same_file(first_pipeline: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "deep" / "b.safetensors"

    export(first_pipeline, first)
    export(first_pipeline, second)

    assert first.read_bytes() == second.read_bytes()


def test_older_names_in_the_files_are_read(first_pipeline: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(first_pipeline, old)
    vae = old / "vae" / "diffusion_pytorch_model.safetensors"
    renamed = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = {}
    for name, tensor in load_file(vae).items():
        for new, before in renamed.items():
            name = name.replace(f".{new}.", f".{before}.")
        tensors[name] = tensor
    save_file(tensors, vae)
    text = old / "text_encoder" / "model.safetensors"
    tensors = {
        "text_model." + name.removeprefix("text_model."): tensor
        for name, tensor in load_file(text).items()
    }
    tensors["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(tensors, text)

    export(old, tmp_path / "old.safetensors")
    export(first_pipeline, tmp_path / "new.safetensors")

    old_file, new_file = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    assert old_file.read_bytes() == new_file.read_bytes()


def test_sharded_weights_are_read(first_pipeline: Path, tmp_path: Path) -> None:
    sharded = tmp_path / "unet"
    UNet2DConditionModel.from_pretrained(first_pipeline / "unet").save_pretrained(
        sharded, max_shard_size="50KB"
    )
    assert len(list(sharded.glob("*.safetensors"))) > 1

    export(first_pipeline, tmp_path / "sharded.safetensors", denoiser=sharded)
    export(first_pipeline, tmp_path / "whole.safetensors")

    whole = (tmp_path / "whole.safetensors").read_bytes()
    assert (tmp_path / "sharded.safetensors").read_bytes() == whole


def test_weights_that_the_dtype_cannot_represent_are_refused(
    first_pipeline: Path, tmp_path: Path
) -> None:
    unet = tmp_path / "unet"
    shutil.copytree(first_pipeline / "unet", unet)
    weights = unet / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors["conv_in.bias"][0] = 70_000.0
    save_file(tensors, weights)
    path = tmp_path / "model.safetensors"

    with pytest.raises(ModelError, match=r"conv_in.bias.*too large for torch.float16"):
        export(first_pipeline, path, denoiser=unet)
    assert not list(tmp_path.glob("model*"))
    assert export(first_pipeline, path, denoiser=unet, dtype="float32")["dtype"] == "float32"


def test_a_text_encoder_without_its_last_layer_is_refused(
    first_pipeline: Path, tmp_path: Path
) -> None:
    """Saved so to skip it, as diffusers' maintainers advise; web UIs make one of 12 layers."""
    base = shutil.copytree(first_pipeline, tmp_path / "base")
    change(base / "text_encoder" / "config.json", hidden_size=768, num_hidden_layers=11)
    with pytest.raises(ModelError, match=r"has 11 layers .*single files 12: export in diffusers'"):
        export(base, tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()


def test_a_tensor_without_an_original_name_is_refused(first_pipeline: Path, tmp_path: Path) -> None:
    unet = tmp_path / "unet"
    shutil.copytree(first_pipeline / "unet", unet)
    weights = unet / "diffusion_pytorch_model.safetensors"
    save_file({**load_file(weights), "time_embedding.cond_proj.weight": torch.ones(2)}, weights)

    with pytest.raises(ModelError, match=r"no place for tensor 'time_embedding.cond_proj.weight'"):
        export(first_pipeline, tmp_path / "model.safetensors", denoiser=unet)


@pytest.mark.parametrize("stated", [None, True, False])
def test_an_autoencoder_that_states_nothing_overflows_in_float16(
    xl_pipeline: Path, tmp_path: Path, stated: bool | None
) -> None:
    """As diffusers takes it, and as that of a base that came as a single file."""
    base = shutil.copytree(xl_pipeline, tmp_path / "base")
    path = base / "vae" / "config.json"
    config = json.loads(path.read_text()) | {"force_upcast": stated}
    path.write_text(json.dumps({key: it for key, it in config.items() if it is not None}))
    export(base, tmp_path / "model.safetensors")
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        has = file.metadata().get("modelspec.vae_dtype")
    assert has == (None if stated is False else "bf16,fp32")


@pytest.mark.parametrize("embeds", ["text_time", "text_image"])
def test_another_family_is_refused(first_pipeline: Path, tmp_path: Path, embeds: str) -> None:
    unet = tmp_path / "unet"
    shutil.copytree(first_pipeline / "unet", unet)
    config = json.loads((unet / "config.json").read_text())
    (unet / "config.json").write_text(json.dumps({**config, "addition_embed_type": embeds}))

    with pytest.raises(ModelError, match=r"no Stable Diffusion 1.x, 2.x or XL"):
        export(first_pipeline, tmp_path / "model.safetensors", denoiser=unet)


def test_a_name_of_another_format_is_refused(first_pipeline: Path, tmp_path) -> None:
    with pytest.raises(ModelError, match=r"must end in .safetensors"):
        export(first_pipeline, tmp_path / "model.ckpt")
