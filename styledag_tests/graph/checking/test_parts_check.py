"""Every model of a base is held against its configuration, as the libraries themselves load it."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from styledag.bases.find import find_base
from styledag.errors import ModelError
from styledag.graph.checking.parts_check import check_parts
from styledag_tests.bases.families import tiny_families

FAMILIES = tiny_families()


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest, base: Path, tmp_path: Path) -> Path:
    return FAMILIES[request.param].write(tmp_path / "whole", base / "tokenizer")


def test_each_model_of_each_family_is_whole_or_refused_by_its_tensor(folder: Path) -> None:
    base = find_base(folder)
    checks = check_parts(base, folder)
    assert set(checks) == {base.parts.denoiser, *base.parts.beside_denoiser}
    for part, check in checks.items():
        assert check().endswith("as its configuration has them")
        path = next((folder / part).glob("*.safetensors"))
        whole = load_file(path)
        name = max(each for each in whole if each.endswith(".weight"))
        save_file({key: each for key, each in whole.items() if key != name}, path)
        with pytest.raises(ModelError, match=rf"{part} does not fit .*is missing.* in all\)"):
            check()
        save_file(whole | {name: torch.zeros(1, 2, 3)}, path)
        with pytest.raises(ModelError, match=r"has the shape \[1, 2, 3\] in place of \["):
            check()
        save_file(whole | {name: whole[name].to(torch.int8)}, path)
        with pytest.raises(ModelError, match=r"stored as torch\.int8, which is no floating dtype"):
            check()
        if not part.startswith("text_encoder"):
            save_file(whole | {"further.weight": torch.zeros(1)}, path)
            with pytest.raises(ModelError, match=r"'further\.weight' is none of its model's"):
                check()


def test_a_variant_is_looked_up_where_a_part_has_it(base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "base")
    unet = folder / "unet" / "diffusion_pytorch_model.safetensors"
    unet.rename(unet.with_name("diffusion_pytorch_model.fp16.safetensors"))
    checks = check_parts(find_base(folder), folder, variant="fp16")
    assert {part: check() for part, check in checks.items()}.keys() == {
        "unet",
        "vae",
        "text_encoder",
    }


def test_older_names_of_attention_are_whole(base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "base")
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    old = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    renamed = {}
    for name, tensor in load_file(path).items():
        former = next((name.replace(new, old[new]) for new in old if new in name), name)
        renamed[former] = tensor
    assert any(".query." in name for name in renamed)
    save_file(renamed, path)
    assert check_parts(find_base(folder), folder)["vae"]()
