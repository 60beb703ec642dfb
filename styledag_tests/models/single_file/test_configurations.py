"""Against the published figures of Stable Diffusion, which need no weights."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from styledag.models.single_file.configurations import XL, write_configuration
from styledag.models.single_file.names import model_name
from styledag.publishing.single_file.parts import PipelineParts, architecture_of, read_configs

# Parameters of UNet, autoencoder and text encoders, and the tensors of the original files' parts.
PUBLISHED = {
    "stable-diffusion-v1": ((859_520_964, 83_653_863, 123_060_480), (686, 248, 196)),
    "stable-diffusion-v2-512": ((865_910_724, 83_653_863, 340_387_840), (686, 248, 280)),
    "stable-diffusion-v2-768-v": ((865_910_724, 83_653_863, 340_387_840), (686, 248, 280)),
    "stable-diffusion-xl-v1-base": (
        (2_567_463_684, 83_653_863, 123_060_480, 694_659_840),
        (1680, 248, 196, 389),
    ),
}


@pytest.fixture(scope="module", params=PUBLISHED)
def configuration(request, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("configuration")
    write_configuration(request.param, folder)
    return request.param, folder


def models(folder: Path) -> dict[str, torch.nn.Module]:
    """The models of a configuration, without memory for their weights."""
    with torch.device("meta"):
        parts = {
            "unet": UNet2DConditionModel.from_config(
                UNet2DConditionModel.load_config(folder / "unet")
            ),
            "vae": AutoencoderKL.from_config(AutoencoderKL.load_config(folder / "vae")),
            "text_encoder": CLIPTextModel(CLIPTextConfig.from_pretrained(folder / "text_encoder")),
        }
        if (folder / "text_encoder_2").is_dir():
            config = CLIPTextConfig.from_pretrained(folder / "text_encoder_2")
            parts["text_encoder_2"] = CLIPTextModelWithProjection(config)
        return parts


def test_models_have_the_published_number_of_parameters(configuration) -> None:
    architecture, folder = configuration

    counts = [sum(p.numel() for p in model.parameters()) for model in models(folder).values()]

    assert tuple(counts) == PUBLISHED[architecture][0]


def test_every_tensor_has_an_original_name(configuration) -> None:
    architecture, folder = configuration
    readers = {}
    for part, model in models(folder).items():
        for file_name, tensor in model.state_dict().items():
            name = model_name(part, file_name)
            if name is not None:
                spec = SimpleNamespace(shape=tuple(tensor.shape), numel=tensor.numel())
                readers[part, name] = (SimpleNamespace(specs={file_name: spec}), file_name)

    configs = read_configs(folder)
    names = [tensor.name for tensor in PipelineParts(configs, readers).tensors()]

    texts = ("cond_stage_model.",)
    if architecture == XL:
        texts = ("conditioner.embedders.0.", "conditioner.embedders.1.")
    prefixes = ("model.diffusion_model.", "first_stage_model.", *texts)
    counts = tuple(sum(name.startswith(prefix) for name in names) for prefix in prefixes)
    assert counts == PUBLISHED[architecture][1]
    assert architecture_of(configs) == architecture
    # Names of the published files, by which diffusers recognises them.
    if architecture == XL:
        assert "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias" in names
        return
    assert "model.diffusion_model.output_blocks.11.0.skip_connection.weight" in names
    if architecture != "stable-diffusion-v1":
        assert "cond_stage_model.model.transformer.resblocks.22.attn.in_proj_weight" in names
        assert "cond_stage_model.model.positional_embedding" in names


def test_the_pipelines_parts_are_named(configuration) -> None:
    architecture, folder = configuration

    index = StableDiffusionPipeline.load_config(folder)
    scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())

    assert index["unet"] == ["diffusers", "UNet2DConditionModel"]
    assert scheduler["prediction_type"] == (
        "v_prediction" if architecture.endswith("-v") else "epsilon"
    )


def test_the_tokenizer_is_clips(configuration) -> None:
    """Ids as OpenAI's repository and its documentation print them."""
    architecture, folder = configuration

    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")

    if architecture == XL:
        second = CLIPTokenizer.from_pretrained(folder / "tokenizer_2")
        assert second("cat", padding="max_length").input_ids[-1] == 0
    assert len(tokenizer) == 49408
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert tokenizer("Hello World.").input_ids == [49406, 3306, 1002, 269, 49407]
    padded = tokenizer("cat", padding="max_length", max_length=77).input_ids
    assert len(padded) == 77
    assert padded[-1] == (0 if architecture.startswith("stable-diffusion-v2") else 49407)
    assert tokenizer.model_max_length == 77
    assert tokenizer.decode(tokenizer("größe 🦊").input_ids, skip_special_tokens=True) == "größe 🦊"
