"""Weights that cannot be used are named before a model is loaded, with what to do."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from styledag.errors import ModelError
from styledag.models.soundness import check_weights
from styledag.tensors.layout import WEIGHTS_FILE
from styledag_tests.bases.loading import load_unet

PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "copy"))


def test_a_sound_base_is_sound(base: Path, starter: Path) -> None:
    check_weights(base, PARTS, values=True)
    check_weights(starter / "stable-diffusion")
    check_weights(starter / "clip")


def test_every_fault_is_a_line_of_its_own(copy: Path) -> None:
    path = copy / "unet" / WEIGHTS_FILE
    path.rename(path.with_suffix(".bin"))
    (copy / "vae" / WEIGHTS_FILE).write_bytes((copy / "vae" / WEIGHTS_FILE).read_bytes()[:-1])
    (copy / "text_encoder" / "model.safetensors").rename(
        copy / "text_encoder" / "model.fp16.safetensors"
    )
    with pytest.raises(ModelError) as raised:
        check_weights(copy, (*PARTS, "safety_checker"))
    unet, vae, text_encoder, checker = str(raised.value).splitlines()
    assert "pickles are not read" in unet
    assert "save_pretrained" in unet
    assert f"vae/{WEIGHTS_FILE} is no whole safetensors file" in vae
    assert "text_encoder has its weights as variant fp16 only" in text_encoder
    assert text_encoder.endswith("set variant: fp16")
    assert "has no folder 'safety_checker'" in checker


def test_a_variant_is_read_where_it_is(copy: Path) -> None:
    path = copy / "unet" / WEIGHTS_FILE
    path.rename(path.with_name("diffusion_pytorch_model.fp16.safetensors"))
    check_weights(copy, PARTS, variant="fp16")


def test_a_missing_shard_is_named(copy: Path) -> None:
    unet = load_unet(copy)
    shutil.rmtree(copy / "unet")
    unet.save_pretrained(copy / "unet", max_shard_size="100KB")
    check_weights(copy, PARTS)
    gone = max((copy / "unet").glob("*.safetensors"))
    gone.unlink()
    with pytest.raises(ModelError, match=rf"{gone.name} is missing, but .*index\.json names it"):
        check_weights(copy, PARTS)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_is_named_when_it_is_searched_for(copy: Path, bad: float) -> None:
    path = copy / "unet" / WEIGHTS_FILE
    tensors = load_file(path)
    tensors["conv_out.weight"][0, 0, 0, 0] = bad
    save_file(tensors, path)
    check_weights(copy, PARTS)
    with pytest.raises(ModelError, match=r"unet.*: tensor 'conv_out\.weight' holds NaN .*\(1 such"):
        check_weights(copy, PARTS, values=True)


def test_an_empty_folder_and_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere is no folder"):
        check_weights(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="holds no model"):
        check_weights(tmp_path / "empty")


def test_a_damaged_index_is_a_fault(copy: Path) -> None:
    index = copy / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": 3}))
    with pytest.raises(ModelError, match=r"index\.json is no index of shards"):
        check_weights(copy, PARTS)


def test_headers_are_checked_without_torch(copy: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from styledag.models.soundness import check_weights\n"
        f"check_weights(Path({str(copy)!r}))\n"
        "print('torch' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "False"
