import json
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from styledag.captions.blip import BlipCaptioner
from styledag.captions.chat import ChatCaptioner
from styledag.captions.endpoint import EndpointCaptioner
from styledag.captions.find import check_captioner, find_captioner, missing_packages_of
from styledag.captions.florence import FlorenceCaptioner
from styledag.captions.settings import CaptionSettings, EndpointSettings
from styledag.errors import ModelError
from styledag.models.compute import Compute
from styledag.models.reference import ModelReference, ResolvedModel

TITLES = CaptionSettings(sources=("title",))


def found(settings: CaptionSettings, folder: Path | None = None):
    reference = ModelReference(model="x")
    model = None if folder is None else ResolvedModel(reference, folder, "v1")
    return find_captioner(
        settings, model, lambda: Compute(torch.device("cpu"), torch.float32), Counter()
    )


@pytest.mark.parametrize(
    ("model_type", "captioner"),
    [("blip", BlipCaptioner), ("florence2", FlorenceCaptioner), ("qwen3_vl", ChatCaptioner)],
)
def test_the_models_configuration_decides(tmp_path: Path, model_type: str, captioner: type) -> None:
    (tmp_path / "config.json").write_text(f'{{"model_type": "{model_type}"}}')
    assert type(found(TITLES, tmp_path)) is captioner


def test_none_and_an_endpoint() -> None:
    assert found(TITLES) is None
    endpoint = EndpointSettings(url="http://localhost:8000/v1", model="m")
    assert isinstance(found(CaptionSettings(endpoint=endpoint)), EndpointCaptioner)


@pytest.mark.parametrize("content", ["", "{}", "[]", "{half"])
def test_a_folder_that_is_no_model_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError, match="names its model_type"):
        found(TITLES, tmp_path)


@pytest.mark.parametrize("model_type", ["blip", "florence2"])
def test_a_captioner_passes(tmp_path: Path, model_type: str) -> None:
    (tmp_path / "config.json").write_text(f'{{"model_type": "{model_type}"}}')
    assert check_captioner(tmp_path) == model_type


@pytest.mark.parametrize("model_type", ["qwen3_vl", "llava", "smolvlm", "idefics3", "internvl"])
@pytest.mark.parametrize(
    "file",
    [
        "chat_template.jinja",
        "chat_template.json",
        "processor_config.json",
        "tokenizer_config.json",
    ],
)
def test_a_chat_model_that_sees_images_passes_with_its_template(
    tmp_path: Path, model_type: str, file: str
) -> None:
    (tmp_path / "config.json").write_text(f'{{"model_type": "{model_type}"}}')
    with pytest.raises(ModelError, match=f"is a {model_type} without a chat template"):
        check_captioner(tmp_path)
    (tmp_path / file).write_text('{"chat_template": "{{ messages }}"}')
    assert check_captioner(tmp_path) == model_type


@pytest.mark.parametrize("model_type", ["blip-2", "git", "vision-encoder-decoder", "paligemma"])
def test_a_captioner_that_cannot_be_asked_is_refused(tmp_path: Path, model_type: str) -> None:
    (tmp_path / "config.json").write_text(f'{{"model_type": "{model_type}"}}')
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(ModelError, match="without a chat template"):
        check_captioner(tmp_path)


@pytest.mark.parametrize(
    ("config", "advice"),
    [
        ({"model_type": "internvl_chat", "auto_map": {"AutoModel": "m.M"}}, "ends in -hf"),
        ({"model_type": "minicpmv", "auto_map": {"AutoModel": "m.M"}}, "captions.endpoint"),
        (
            {"model_type": "florence2", "text_config": {"model_type": "florence2_language"}},
            "florence-community",
        ),
    ],
)
def test_a_model_with_code_of_its_own_is_named(tmp_path: Path, config: dict, advice: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=rf"runs code of its own repository.*{advice}"):
        check_captioner(tmp_path)


@pytest.mark.parametrize("model_type", ["clip", "llama", "bert", "unheard_of"])
def test_a_model_that_describes_no_images_is_refused(tmp_path: Path, model_type: str) -> None:
    (tmp_path / "config.json").write_text(f'{{"model_type": "{model_type}"}}')
    with pytest.raises(ModelError, match=f"is a {model_type}, which describes no images"):
        check_captioner(tmp_path)


@pytest.mark.parametrize(
    ("stated", "package"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
        ({"quant_method": "gptq", "bits": 4}, "optimum"),
        ({"quant_method": "awq", "bits": 4}, "gptqmodel"),
        ({"quant_method": "torchao", "quant_type": "int4_weight_only"}, "torchao"),
        ({"quant_method": "another"}, "another"),
    ],
)
def test_a_quantised_captioner_is_refused_at_the_start_where_it_cannot_be_loaded(
    tmp_path: Path, stated: dict, package: str
) -> None:
    if find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    config = {"model_type": "qwen3_vl", "quantization_config": stated}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    with pytest.raises(ModelError, match=rf"is quantised .*{package}.*or name the model that it"):
        check_captioner(tmp_path)


def test_weights_of_eight_bits_that_need_no_package_pass(tmp_path: Path) -> None:
    stated = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    config = {"model_type": "qwen3_vl", "quantization_config": stated}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    assert check_captioner(tmp_path) == "qwen3_vl"


def test_two_captioners_are_refused() -> None:
    with pytest.raises(ValueError, match="both set"):
        CaptionSettings(
            captioner=ModelReference(model="x"),
            endpoint=EndpointSettings(url="http://localhost:8000/v1", model="m"),
        )


@pytest.mark.parametrize("model_type", ["blip", "florence2"])
def test_what_a_blip_is_loaded_with_is_known_without_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_type: str
) -> None:
    """Each run asks, and one without news imports neither transformers nor torch."""
    monkeypatch.setitem(sys.modules, "transformers", None)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    (tmp_path / "tokenizer_config.json").write_text('{"processor_class": "BlipProcessor"}')
    assert not missing_packages_of(tmp_path)
