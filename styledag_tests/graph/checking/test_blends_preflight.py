"""What would fail in a blend after the training is refused before it, with its line in the file."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from styledag.errors import StyledagError
from styledag.graph.catalogue import Catalogue
from styledag.graph.checking.preflight import check_style, require_ready
from styledag.tensors.layout import TRANSFORMERS_WEIGHTS_FILE, WEIGHTS_FILE
from styledag_tests.bases.tiny_parts import change
from styledag_tests.graph.checking.conftest import CPU, edit
from styledag_tests.whole.small_project import MODEL, STYLE

Tensors = dict[str, torch.Tensor]


def changed(file: str, spoil: Callable[[Tensors], object]) -> Callable[[Path], None]:
    def change_tensors(folder: Path) -> None:
        tensors = load_file(folder / file)
        spoil(tensors)
        save_file(tensors, folder / file, {"format": "pt"})

    return change_tensors


def with_added_token(folder: Path) -> None:
    def grow(tensors: Tensors) -> None:
        name = next(name for name in tensors if name.endswith("token_embedding.weight"))
        tensors[name] = torch.cat([tensors[name], tensors[name][:1]])

    changed(f"text_encoder/{TRANSFORMERS_WEIGHTS_FILE}", grow)(folder)
    config = folder / "text_encoder" / "config.json"
    change(config, vocab_size=json.loads(config.read_text())["vocab_size"] + 1)


UNET = f"unet/{WEIGHTS_FILE}"
BAD: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "nan": (changed(UNET, lambda each: each["conv_in.bias"].fill_(torch.nan)), "", "holds NaN"),
    "a tensor more": (
        changed(UNET, lambda each: each.update({"motion.weight": torch.zeros(2)})),
        "",
        "'motion.weight' is only in",
    ),
    "inpainting": (
        changed(UNET, lambda each: each.update({"conv_in.weight": torch.zeros(16, 9, 3, 3)})),
        "",
        r"'conv_in.weight' is \[16, 4, 3, 3\] in .* but \[16, 9, 3, 3\]",
    ),
    "a token more": (with_added_token, ", parts: {text_encoder: 1}", "'vocab_size' is"),
    "another scale": (
        lambda folder: change(folder / "vae" / "config.json", scaling_factor=0.3),
        ", parts: {vae: 0.5}",
        "'scaling_factor' is 0.5 in .* but 0.3",
    ),
}


def blend_with(catalogue: Catalogue, spoil: Callable[[Path], None], parts: str = "") -> None:
    """Name a changed copy of the base among the models of a blend."""
    root = catalogue.project.root
    shutil.copytree(root / "base", root / "photo")
    spoil(root / "photo")
    mixed = f"foreign: {{photo: {{model: photo}}}}, mixed: {{both: {{{MODEL}: 0.5, photo: 0.5}}}}"
    edit(root, "(?m)^blends: .*$", f"blends: {{{mixed}{parts}}}")


@pytest.mark.parametrize("case", BAD)
def test_a_model_that_cannot_be_blended_is_refused_before_the_training(
    catalogue: Catalogue, case: str
) -> None:
    spoil, parts, why = BAD[case]
    blend_with(catalogue, spoil, parts)
    with pytest.raises(StyledagError, match=rf"yaml:\d+: blends\.foreign\.photo .*{why}"):
        require_ready(catalogue, STYLE, [], CPU)
    findings = check_style(catalogue, STYLE, [], CPU)
    assert [each for each in findings if re.search(why, each.detail)]


def test_a_model_that_was_damaged_since_the_last_run_is_refused(catalogue: Catalogue) -> None:
    blend_with(catalogue, lambda _: None)
    require_ready(catalogue, STYLE, [], CPU)
    BAD["nan"][0](catalogue.project.root / "photo")
    with pytest.raises(StyledagError, match="holds NaN"):
        require_ready(catalogue, STYLE, [], CPU)


def test_a_configuration_that_says_the_same_otherwise_is_none_of_another_model(
    catalogue: Catalogue,
) -> None:
    def written_otherwise(folder: Path) -> None:
        change(folder / "unet" / "config.json", upcast_attention=None, sample_size=96)
        change(folder / "unet" / "config.json", attention_head_dim=[4, 4])
        change(folder / "vae" / "config.json", force_upcast=False)

    blend_with(catalogue, written_otherwise, ", parts: {vae: 0.5}")
    require_ready(catalogue, STYLE, [], CPU)


def test_layers_that_match_no_tensor_are_refused_before_the_training(
    catalogue: Catalogue,
) -> None:
    method = "{type: layer_swap, layers: ['*.attn9.*']}"
    edit(catalogue.project.root, "(?m)^blends: .*$", f"blends: {{method: {method}}}")
    with pytest.raises(StyledagError, match=r"yaml:\d+: .*layers has '\*\.attn9\.\*', which no"):
        require_ready(catalogue, STYLE, [], CPU)
