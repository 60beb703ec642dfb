import shutil
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from styledag.errors import ModelError
from styledag.publishing.pipeline_folder import export_pipeline
from styledag_tests.publishing.pipelines import state_of, write_pipeline


def test_diffusers_loads_base_and_tuned_parts(
    first_pipeline: Path, starter: Path, tmp_path: Path
) -> None:
    other = write_pipeline(tmp_path / "other", starter, version=1, seed=1)
    base = tmp_path / "base"
    shutil.copytree(first_pipeline, base)
    # What folders of the Hub contain besides.
    (base / "v1-5-pruned.ckpt").write_bytes(b"pickled")
    (base / "vae" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"x")
    (base / "vae" / "diffusion_pytorch_model.bin").write_bytes(b"x")

    facts = export_pipeline(
        base, tmp_path / "to", replaced={"unet": other / "unet"}, dtype="float16"
    )

    loaded = StableDiffusionPipeline.from_pretrained(tmp_path / "to", dtype=torch.float16)
    ours = state_of(StableDiffusionPipeline.from_pretrained(first_pipeline))
    tuned = state_of(StableDiffusionPipeline.from_pretrained(other))
    for name, tensor in state_of(loaded).items():
        expected = (tuned if name.startswith("unet") else ours)[name]
        assert torch.equal(tensor, expected.half()), name
    assert loaded.tokenizer("a cat").input_ids[0] == loaded.tokenizer.bos_token_id
    names = {path.name for path in (tmp_path / "to").rglob("*")}
    assert (
        not {
            "v1-5-pruned.ckpt",
            "diffusion_pytorch_model.fp16.safetensors",
            "diffusion_pytorch_model.bin",
        }
        & names
    )
    assert facts["parameters"] == sum(tensor.numel() for tensor in ours.values())


def test_weights_stay_as_they_are_without_a_dtype(first_pipeline: Path, tmp_path: Path) -> None:
    export_pipeline(first_pipeline, tmp_path / "to", replaced={})

    for path in first_pipeline.rglob("*.safetensors"):
        written = load_file(tmp_path / "to" / path.relative_to(first_pipeline))
        expected = load_file(path)
        assert written.keys() == expected.keys()
        assert all(torch.equal(written[name], tensor) for name, tensor in expected.items())


def test_shards_are_written(first_pipeline: Path, tmp_path: Path) -> None:
    unet = UNet2DConditionModel.from_pretrained(first_pipeline / "unet")
    unet.save_pretrained(tmp_path / "unet", max_shard_size="50KB")

    export_pipeline(first_pipeline, tmp_path / "to", replaced={"unet": tmp_path / "unet"})

    loaded = UNet2DConditionModel.from_pretrained(tmp_path / "to" / "unet")
    expected = unet.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())


def test_only_the_weights_that_are_read_are_written(first_pipeline: Path, tmp_path: Path) -> None:
    """A folder of the Hub has them in several dtypes, and an older version beside its shards."""
    base = shutil.copytree(first_pipeline, tmp_path / "base")
    (vae,) = (base / "vae").glob("*.safetensors")
    tensors = load_file(vae)
    for name, dtype in {"fp32": torch.float32, "fp8": torch.float8_e4m3fn}.items():
        beside = vae.with_name(f"diffusion_pytorch_model.{name}.safetensors")
        save_file({each: it.to(dtype) for each, it in tensors.items()}, beside)
    shutil.copy(vae, base / "vae" / "older.safetensors")
    unet = UNet2DConditionModel.from_pretrained(base / "unet")
    unet.save_pretrained(base / "unet", max_shard_size="50KB")
    (first,) = (first_pipeline / "unet").glob("*.safetensors")
    stale = {name: torch.zeros_like(it) for name, it in load_file(first).items()}
    save_file(stale, base / "unet" / first.name)

    facts = export_pipeline(base, tmp_path / "to", replaced={})

    assert [path.name for path in (tmp_path / "to" / "vae").glob("*.safetensors")] == [vae.name]
    assert not (tmp_path / "to" / "unet" / first.name).exists()
    loaded = state_of(StableDiffusionPipeline.from_pretrained(tmp_path / "to"))
    expected = state_of(StableDiffusionPipeline.from_pretrained(first_pipeline))
    assert all(torch.equal(loaded[name], it) for name, it in expected.items())
    assert facts["parameters"] == sum(it.numel() for it in expected.values())


def test_what_cannot_be_exported_is_refused(first_pipeline: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="names no part 'transformer'"):
        export_pipeline(first_pipeline, tmp_path / "to", replaced={"transformer": tmp_path})
    with pytest.raises(ModelError, match=r"model_index.json cannot be read"):
        export_pipeline(tmp_path, tmp_path / "to", replaced={})
    unet = tmp_path / "unet"
    shutil.copytree(first_pipeline / "unet", unet)
    weights = unet / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors["conv_in.bias"][0] = 70_000.0
    save_file(tensors, weights)
    with pytest.raises(ModelError, match=r"conv_in.bias.*too large for torch.float16"):
        export_pipeline(first_pipeline, tmp_path / "to", replaced={"unet": unet}, dtype="float16")
    assert not (tmp_path / "to").exists()
