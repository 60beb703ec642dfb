"""Transformers as single files: the original names, read back by diffusers bit for bit."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from styledag.bases.find import find_base
from styledag.bases.flux2_klein import Flux2Klein
from styledag.bases.stable_diffusion_3 import StableDiffusion3
from styledag.bases.z_image import ZImage
from styledag.errors import ModelError
from styledag.publishing.model_file import ModelDescription
from styledag.publishing.single_file.export import export_single_file
from styledag_tests.bases.families import tiny_families

DESCRIPTION = ModelDescription(title="A style")
WEIGHTS = "diffusion_pytorch_model.safetensors"
FAMILIES = tiny_families()
EXPORTED = [name for name, each in FAMILIES.items() if each.original]


@pytest.fixture(scope="module")
def folder_of(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("families")

    @cache
    def written(name: str) -> Path:
        folder = FAMILIES[name].write(root / name, starter / "stable-diffusion" / "tokenizer")
        # Norms and biases begin as ones and zeros, which would hide an exchange of two names.
        path = folder / "transformer" / WEIGHTS
        generator = torch.Generator().manual_seed(0)
        tensors = {
            name: torch.randn(each.shape, generator=generator)
            for name, each in load_file(path).items()
        }
        save_file(tensors, path, metadata={"format": "pt"})
        return folder

    return written


@pytest.fixture(params=EXPORTED)
def name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_diffusers_reads_the_same_weights(
    folder_of: Callable[[str], Path], name: str, tmp_path: Path, dtype: str
) -> None:
    folder, path = folder_of(name), tmp_path / "model.safetensors"
    facts = export_single_file(folder, path, DESCRIPTION, dtype=dtype)
    own = folder / "transformer"
    kind = getattr(diffusers, json.loads((own / "config.json").read_text())["_class_name"])
    number = getattr(torch, dtype)
    read = kind.from_single_file(
        str(path),
        config=str(folder),
        subfolder="transformer",
        local_files_only=True,
        torch_dtype=number,
    ).state_dict()
    expected = kind.from_pretrained(own).state_dict()
    assert read.keys() == expected.keys()
    for tensor, value in expected.items():
        assert torch.equal(read[tensor], value.to(number)), tensor
    assert facts["parameters"] == sum(each.numel() for each in expected.values())


def test_names_are_those_of_the_original_code(
    folder_of: Callable[[str], Path], name: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    export_single_file(folder_of(name), path, DESCRIPTION)
    with safe_open(path, "pt") as file:
        names, header = set(file.keys()), file.metadata()
    assert names >= set(FAMILIES[name].original)
    assert not any(each.split(".")[-2:-1] == ["to_q"] for each in names)
    assert header["modelspec.title"] == "A style"
    config = json.loads((folder_of(name) / "transformer" / "config.json").read_text())
    spelled = find_base(folder_of(name)).elsewhere.tensors
    assert spelled is not None
    assert header["modelspec.architecture"] == spelled.architecture(config)
    assert header["modelspec.resolution"] == "1024x1024"


@pytest.mark.parametrize(
    ("kind", "config", "architecture"),
    [
        (StableDiffusion3, {"num_layers": 24}, "stable-diffusion-v3-medium"),
        (
            StableDiffusion3,
            {"num_layers": 24, "dual_attention_layers": [*range(13)], "qk_norm": "rms_norm"},
            "stable-diffusion-v3.5-medium",
        ),
        (
            StableDiffusion3,
            {"num_layers": 38, "dual_attention_layers": [], "qk_norm": "rms_norm"},
            "stable-diffusion-v3.5-large",
        ),
        (Flux2Klein, {"num_attention_heads": 24}, "flux.2-klein-4b"),
        (Flux2Klein, {"num_attention_heads": 32}, "flux.2-klein-9b"),
        (ZImage, {"dim": 3840}, "z-image"),
    ],
)
def test_each_size_has_the_name_by_which_swarmui_loads_it(
    kind: Any, config: dict[str, object], architecture: str
) -> None:
    """Their published configurations, and the IDs of its T2IModelClassSorter.cs (August 2026)."""
    assert kind.elsewhere.tensors.architecture(config) == architecture


def test_a_replaced_transformer_is_written(
    folder_of: Callable[[str], Path], name: str, tmp_path: Path
) -> None:
    own = folder_of(name) / "transformer"
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_bytes((own / "config.json").read_bytes())
    tensors = {name: each + 1 for name, each in load_file(own / WEIGHTS).items()}
    save_file(tensors, other / WEIGHTS)
    files = [tmp_path / each for each in ("own.safetensors", "other.safetensors")]
    for path, denoiser in zip(files, (None, other), strict=True):
        export_single_file(folder_of(name), path, DESCRIPTION, denoiser=denoiser, dtype="float32")
    before, after = map(load_file, files)
    assert all(torch.equal(after[each], before[each] + 1) for each in before)


def test_what_no_web_ui_reads_is_refused_by_name(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"SanaTransformer2DModel.*diffusers' format"):
        export_single_file(folder_of("sana"), tmp_path / "a.safetensors", DESCRIPTION)
    folder = folder_of("z_image")
    with pytest.raises(ModelError, match="decoder"):
        export_single_file(folder, tmp_path / "a.safetensors", DESCRIPTION, vae=folder / "vae")
    assert not list(tmp_path.iterdir())


def test_a_tensor_that_would_not_come_back_is_refused(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    own = folder_of("flux2_klein") / "transformer"
    (tmp_path / "config.json").write_bytes((own / "config.json").read_bytes())
    extra = "transformer_blocks.0.img_mlp.0.weight"
    save_file({**load_file(own / WEIGHTS), extra: torch.zeros(2, 2)}, tmp_path / WEIGHTS)
    to = tmp_path / "a.safetensors"
    with pytest.raises(ModelError, match=r"come back|cannot read"):
        export_single_file(folder_of("flux2_klein"), to, DESCRIPTION, denoiser=tmp_path)
