"""By headers alone: names and shapes of the published files, without their weights."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from styledag.errors import ModelError
from styledag.models.single_file.configurations import V1, V2, V2_V, XL, write_configuration
from styledag.models.single_file.names import IN_PROJECTIONS, model_name, original_name
from styledag.models.single_file.recognise import Recognised, recognise, stated_training
from styledag.publishing.single_file.parts import read_configs


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, dict[str, tuple[int, ...]]]:
    """The tensors of whole files of each architecture."""
    found = {}
    for architecture in (V1, V2, XL):
        folder = tmp_path_factory.mktemp("configuration")
        write_configuration(architecture, folder)
        configs = read_configs(folder)
        with torch.device("meta"):
            models = {
                "unet": UNet2DConditionModel.from_config(configs["unet"]),
                "vae": AutoencoderKL.from_config(configs["vae"]),
                "text_encoder": CLIPTextModel(CLIPTextConfig(**configs["text_encoder"])),
            }
            if architecture == XL:
                config = CLIPTextConfig(**configs["text_encoder_2"])
                models["text_encoder_2"] = CLIPTextModelWithProjection(config)
        found[architecture] = {
            original_name(part, name, configs): tuple(tensor.shape)
            for part, model in models.items()
            for file_name, tensor in model.state_dict().items()
            if (name := model_name(part, file_name)) and IN_PROJECTIONS[0] not in name
        }
    return found


def reader(tensors: Mapping[str, tuple[int, ...]], **metadata: str) -> SimpleNamespace:
    return SimpleNamespace(
        path=Path("some.safetensors"),
        specs={name: SimpleNamespace(shape=shape) for name, shape in tensors.items()},
        metadata={f"modelspec.{key}": value for key, value in metadata.items()},
    )


V_PREDICTION = {"prediction_type": "v_prediction"}
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


@pytest.mark.parametrize(
    ("of", "further", "metadata", "expected"),
    [
        (V1, (), {}, Recognised(V1)),
        (V1, (), {"prediction_type": "v"}, Recognised(V1, V_PREDICTION)),
        (V2, (), {"architecture": V2}, Recognised(V2)),
        (V2, (), {"architecture": V2_V}, Recognised(V2_V)),
        (V2, (), {"prediction_type": "epsilon"}, Recognised(V2)),
        (V2, (), {"prediction_type": "v"}, Recognised(V2_V)),
        (V2, (), {"predict_key": "epsilon"}, Recognised(V2)),  # as ComfyUI saves merges
        (V2, (), {"predict_key": "v"}, Recognised(V2_V)),
        (V2, ("v_pred",), {}, Recognised(V2_V)),
        (XL, (), {}, Recognised(XL)),
        (
            XL,
            ("v_pred", "ztsnr"),
            {},
            Recognised(XL, {**V_PREDICTION, **ZERO_SNR}),
        ),
    ],
)
def test_each_architecture_is_known_by_its_tensors(
    shapes, of: str, further: tuple[str, ...], metadata: dict[str, str], expected: Recognised
) -> None:
    tensors = {**shapes[of], **dict.fromkeys(further, ())}
    assert recognise(reader(tensors, **metadata)) == expected


def test_an_architecture_that_is_named_keeps_what_the_file_states(shapes) -> None:
    marked = reader({**shapes[XL], "v_pred": (), "ztsnr": ()})
    assert stated_training(marked, XL) == {**V_PREDICTION, **ZERO_SNR}
    assert stated_training(marked, V2) == ZERO_SNR  # its name decides what it predicts
    assert stated_training(reader(shapes[V1], prediction_type="v"), V1) == V_PREDICTION


def test_a_second_generation_that_states_nothing_is_asked_about(shapes) -> None:
    with pytest.raises(ModelError, match=f"set config to {V2} or {V2_V}"):
        recognise(reader(shapes[V2]))


def test_another_size_is_asked_about(shapes) -> None:
    context = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    with pytest.raises(ModelError, match="folder with its configurations under config"):
        recognise(reader({**shapes[V1], context: (320, 32)}))


@pytest.mark.parametrize(
    ("tensors", "kind"),
    [
        ({"model.diffusion_model.input_blocks.0.0.weight": (320, 9, 3, 3)}, "inpainting"),
        ({"double_blocks.0.img_attn.norm.key_norm.scale": (128,)}, "flux-schnell"),
        ({"single_stream_modulation.lin.weight": (9216, 3072)}, "flux-2-dev"),
        ({"layers.0.adaLN_modulation.0.weight": (15360, 256)}, "z-image-turbo"),
        (
            {"conditioner.embedders.0.model.transformer.resblocks.9.mlp.c_proj.bias": (1280,)},
            "xl_refiner",
        ),
    ],
)
def test_other_kinds_are_refused_by_name_with_the_remedy(
    tensors: dict[str, tuple[int, ...]], kind: str
) -> None:
    with pytest.raises(
        ModelError, match=rf"some\.safetensors is of kind '{kind}'.*folder in diffusers' layout"
    ):
        recognise(reader(tensors))


def test_a_transformer_alone_is_refused_with_the_remedy() -> None:
    """As ``sd3.5_large.safetensors``, which has neither autoencoder nor text encoders."""
    name = "joint_blocks.37.x_block.mlp.fc1.weight"
    for prefix in ("", "model.diffusion_model."):
        with pytest.raises(ModelError, match=r"no .*text_encoder, text_encoder_2 .*denoiser: file"):
            recognise(reader({prefix + name: (9728, 2432)}))


def test_one_part_alone_is_refused() -> None:
    with pytest.raises(ModelError, match="contains no unet, vae, text_encoder"):
        recognise(reader({"conv_in.weight": (320, 4, 3, 3)}))
