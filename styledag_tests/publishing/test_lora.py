import hashlib
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from styledag.errors import ModelError
from styledag.publishing.lora import export_lora
from styledag.publishing.model_file import ModelDescription
from styledag.publishing.single_file.export import export_single_file
from styledag.tensors import layout
from styledag_tests.bases.families import tiny_families

DESCRIPTION = ModelDescription(title="A style", license="CC-BY-4.0")


@pytest.fixture
def adapters(first_pipeline: Path, tmp_path: Path) -> Path:
    """Adapters of one layer, named as training names its file."""
    generator = torch.Generator().manual_seed(0)
    width = 8
    down, up = (torch.randn(*shape, generator=generator) for shape in ((2, width), (width, 2)))
    folder = tmp_path / "adapters"
    folder.mkdir()
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    kohya = f"lora_unet_{layer.replace('.', '_')}"
    save_file(
        {
            f"{kohya}.lora_down.weight": down,
            f"{kohya}.lora_up.weight": up,
            f"{kohya}.alpha": torch.tensor(1.0),
        },
        folder / layout.KOHYA_LORA_FILE,
        metadata={"format": "pt"},
    )
    return folder


def test_tensors_are_copied_and_described(
    adapters: Path, first_pipeline: Path, tmp_path: Path
) -> None:
    to = tmp_path / "out" / "style.safetensors"

    export_lora(adapters, to, DESCRIPTION, base=first_pipeline, dtype="float32")

    expected = load_file(adapters / layout.KOHYA_LORA_FILE)
    read = load_file(to)
    assert read.keys() == expected.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in expected.items())
    with safe_open(to, "pt") as file:
        header = file.metadata()
    content = to.read_bytes()
    body = content[8 + int.from_bytes(content[:8], "little") :]
    assert header == {
        "format": "pt",
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": "stable-diffusion-v1/lora",
        "modelspec.implementation": "https://github.com/kohya-ss/sd-scripts",
        "modelspec.title": "A style",
        "modelspec.license": "CC-BY-4.0",
        "modelspec.hash_sha256": "0x" + hashlib.sha256(body).hexdigest(),
        "ss_base_model_version": "sd_v1",
        "ss_v2": "False",
        "ss_network_module": "networks.lora",
        "ss_network_dim": "2",
        "ss_network_alpha": "1.0",
    }


def version_in_a1111(header: dict[str, str]) -> str:
    """As its ``extensions-builtin/Lora/network.py`` goes by a header; it lists no others."""
    if header.get("ss_base_model_version", "").startswith("sdxl_"):
        return "SDXL"
    return "SD2" if header.get("ss_v2") == "True" else "SD1"


@pytest.mark.parametrize(
    ("pipeline", "version"),
    [("first_pipeline", "SD1"), ("second_pipeline", "SD2"), ("xl_pipeline", "SDXL")],
)
def test_a1111_lists_it_beside_checkpoints_of_its_architecture(
    adapters: Path, tmp_path: Path, request: pytest.FixtureRequest, pipeline: str, version: str
) -> None:
    to = tmp_path / "style.safetensors"
    export_lora(adapters, to, DESCRIPTION, base=request.getfixturevalue(pipeline))
    with safe_open(to, "pt") as file:
        assert version_in_a1111(file.metadata()) == version


def test_that_of_a_transformer_has_the_name_of_its_checkpoints(
    starter: Path, tmp_path: Path
) -> None:
    base = tiny_families()["flux2_klein"].write(
        tmp_path / "base", starter / "stable-diffusion" / "tokenizer"
    )
    folder, to = tmp_path / "adapters", tmp_path / "lora.safetensors"
    folder.mkdir()
    name = "transformer.transformer_blocks.0.attn.to_q.lora_A.weight"
    save_file({name: torch.ones(2, 2)}, folder / layout.DIFFUSERS_LORA_FILE)
    export_lora(folder, to, DESCRIPTION, base=base)
    export_single_file(base, tmp_path / "whole.safetensors", DESCRIPTION)
    with safe_open(to, "pt") as file, safe_open(tmp_path / "whole.safetensors", "pt") as checkpoint:
        of_checkpoint = checkpoint.metadata()["modelspec.architecture"]
        assert file.metadata()["modelspec.architecture"] == f"{of_checkpoint}/lora"


def test_diffusers_loads_the_file(adapters: Path, first_pipeline: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    to = tmp_path / "style.safetensors"
    export_lora(adapters, to, DESCRIPTION, base=first_pipeline, dtype="float32")
    pipeline = StableDiffusionPipeline.from_pretrained(first_pipeline)

    pipeline.load_lora_weights(to)

    (loaded,) = pipeline.unet.peft_config.values()
    assert loaded.r == 2
    name = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_B"
    (up,) = (p for key, p in pipeline.unet.named_parameters() if key.startswith(name))
    expected = load_file(adapters / layout.KOHYA_LORA_FILE)
    assert torch.equal(up, next(v for k, v in expected.items() if k.endswith("lora_up.weight")))


def test_a_folder_without_adapters_is_refused(first_pipeline: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="only a recipe with 'lora'"):
        export_lora(tmp_path, tmp_path / "x.safetensors", DESCRIPTION, base=first_pipeline)


def test_a_lower_dtype_halves_the_file(
    adapters: Path, first_pipeline: Path, tmp_path: Path
) -> None:
    to = tmp_path / "style.safetensors"

    export_lora(adapters, to, DESCRIPTION, base=first_pipeline, dtype="float16")

    expected = load_file(adapters / layout.KOHYA_LORA_FILE)
    read = load_file(to)
    assert all(torch.equal(read[name], each.half()) for name, each in expected.items())
