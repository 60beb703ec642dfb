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

    facts = import_single_file(path, tmp_path / "imported", config=config)

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
        import_single_file(tmp_path / "model.ckpt", tmp_path / "to", config=first_pipeline)

    path = exported(first_pipeline, tmp_path / "model.safetensors")
    tensors = load_file(path)
    save_file({k: v for k, v in tensors.items() if not k.startswith("first_stage_model")}, path)
    with pytest.raises(ModelError, match="contains no vae"):
        import_single_file(path, tmp_path / "to", config=first_pipeline)
    assert not (tmp_path / "to").exists()


def test_configurations_that_do_not_fit_are_refused(
    first_pipeline: Path, base: Path, tmp_path: Path
) -> None:
    path = exported(first_pipeline, tmp_path / "model.safetensors")

    with pytest.raises(ModelError, match="lacks unet"):
        import_single_file(path, tmp_path / "to", config=tmp_path)
    other = without_weights(first_pipeline, tmp_path / "other")
    config = other / "unet" / "config.json"
    config.write_text(
        config.read_text().replace('"cross_attention_dim": 32', '"cross_attention_dim": 64')
    )
    with pytest.raises(ModelError, match="cannot be loaded"):
        import_single_file(path, tmp_path / "to", config=other)
    assert not (tmp_path / "to").exists()


def test_what_community_files_contain_besides_is_ignored(
    first_pipeline: Path, tmp_path: Path
) -> None:
    path = exported(first_pipeline, tmp_path / "model.safetensors")
    tensors = load_file(path)
    unet = "model.diffusion_model.input_blocks.0.0.bias"
    save_file(
        tensors
        | {
            "alphas_cumprod": torch.ones(1000),
            "model_ema.decay": torch.tensor(0.9999),
            "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[
                None
            ],
            unet: tensors[unet].half(),
        },
        path,
    )

    import_single_file(path, tmp_path / "imported", config=first_pipeline)

    read = state_of(StableDiffusionPipeline.from_pretrained(tmp_path / "imported"))
    expected = state_of(StableDiffusionPipeline.from_pretrained(first_pipeline))
    expected["unet.conv_in.bias"] = expected["unet.conv_in.bias"].half().float()
    assert read.keys() == expected.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in expected.items())


def test_an_architecture_that_is_not_known_is_refused(first_pipeline: Path, tmp_path: Path) -> None:
    path = exported(first_pipeline, tmp_path / "model.safetensors")

    # The header states 1.x, but the tensors are not as wide as those of 1.x.
    with pytest.raises(ModelError, match="cannot be loaded"):
        import_single_file(path, tmp_path / "to")
    with pytest.raises(ModelError, match="must be one of stable-diffusion-v1"):
        import_single_file(path, tmp_path / "to", architecture="flux")
    save_file(load_file(path), path)  # without the header's strings
    with pytest.raises(ModelError, match="does not show which Stable Diffusion it is"):
        import_single_file(path, tmp_path / "to")
    assert {each.name for each in tmp_path.iterdir()} == {"model.safetensors"}
