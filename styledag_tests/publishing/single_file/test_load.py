from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from styledag.errors import ModelError
from styledag.publishing.model_file import ModelDescription
from styledag.publishing.single_file.export import export_single_file
from styledag.publishing.single_file.load import import_single_file
from styledag_tests.publishing.pipelines import state_of, without_weights


def exported(pipeline: Path, path: Path) -> Path:
    export_single_file(pipeline, path, ModelDescription(title="t"), dtype="float32")
    return path


def test_a_single_file_comes_back_as_the_same_pipeline(pipeline: Path, tmp_path: Path) -> None:
    path = exported(pipeline, tmp_path / "model.safetensors")
    config = without_weights(pipeline, tmp_path / "config")

    facts = import_single_file(path, config, tmp_path / "imported")

    expected = state_of(StableDiffusionPipeline.from_pretrained(pipeline))
    imported = StableDiffusionPipeline.from_pretrained(tmp_path / "imported")
    read = state_of(imported)
    assert read.keys() == expected.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in expected.items())
    first = StableDiffusionPipeline.from_pretrained(pipeline)
    assert imported.scheduler.config.prediction_type == first.scheduler.config.prediction_type
    assert imported.tokenizer("a cat").input_ids == first.tokenizer("a cat").input_ids
    assert facts["unet"] == sum(p.numel() for p in imported.unet.parameters())


def test_pickled_and_partial_files_are_refused(first_pipeline: Path, tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes(b"\x80\x02")
    with pytest.raises(ModelError, match="can run code"):
        import_single_file(tmp_path / "model.ckpt", first_pipeline, tmp_path / "to")

    path = exported(first_pipeline, tmp_path / "model.safetensors")
    tensors = load_file(path)
    save_file({k: v for k, v in tensors.items() if not k.startswith("first_stage_model")}, path)
    with pytest.raises(ModelError, match="contains no vae"):
        import_single_file(path, first_pipeline, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_configurations_that_do_not_fit_are_refused(
    first_pipeline: Path, base: Path, tmp_path: Path
) -> None:
    path = exported(first_pipeline, tmp_path / "model.safetensors")

    with pytest.raises(ModelError, match="lacks unet"):
        import_single_file(path, tmp_path, tmp_path / "to")
    other = without_weights(first_pipeline, tmp_path / "other")
    config = other / "unet" / "config.json"
    config.write_text(
        config.read_text().replace('"cross_attention_dim": 32', '"cross_attention_dim": 64')
    )
    with pytest.raises(ModelError, match="cannot be loaded"):
        import_single_file(path, other, tmp_path / "to")
    assert not (tmp_path / "to").exists()
