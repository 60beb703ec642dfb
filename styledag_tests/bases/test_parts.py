import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from styledag.bases.parts import (
    load_scheduler,
    load_text_encoder,
    load_tokenizer,
    load_unet,
    load_vae,
    vae_scaling_factor,
)
from styledag.errors import ModelError

LOADERS = [load_unet, load_vae, load_text_encoder, load_tokenizer, load_scheduler]
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Path:
    return shutil.copytree(base, tmp_path / "copy")


@pytest.mark.parametrize("load", LOADERS, ids=lambda load: load.__name__)
def test_missing_part_is_named(load: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("load", LOADERS, ids=lambda load: load.__name__)
def test_damaged_configuration_is_named(load: Callable[[Path], object], copy: Path) -> None:
    for path in copy.rglob("*.json"):
        path.write_text("{nothing")
    with pytest.raises(ModelError) as caught:
        load(copy)
    assert str(copy) in str(caught.value)


def test_missing_weight_is_refused_and_not_drawn_at_random(copy: Path) -> None:
    path = copy / "unet" / WEIGHTS
    state_dict = load_file(path)
    del state_dict["conv_in.weight"]
    save_file(state_dict, path)
    with pytest.raises(ModelError, match=r"missing keys conv_in\.weight"):
        load_unet(copy)


def test_weight_of_another_shape_is_refused(copy: Path) -> None:
    path = copy / "unet" / WEIGHTS
    state_dict = load_file(path)
    state_dict["conv_in.weight"] = state_dict["conv_in.weight"][:, :3].contiguous()
    save_file(state_dict, path)
    with pytest.raises(ModelError, match=r"conv_in\.weight"):
        load_unet(copy)


def test_cut_off_weights_are_refused(copy: Path) -> None:
    for path in copy.rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:2000])
    for load in (load_unet, load_vae, load_text_encoder):
        with pytest.raises(ModelError):
            load(copy)


def test_scaling_factor_is_stable_diffusion_s_where_none_is_stated(copy: Path) -> None:
    assert vae_scaling_factor(copy) == 0.5
    path = copy / "vae" / "config.json"
    config = json.loads(path.read_text())
    del config["scaling_factor"]
    path.write_text(json.dumps(config))
    assert vae_scaling_factor(copy) == 0.18215


def test_schedule_is_read_from_whichever_sampler_the_base_names(base: Path) -> None:
    scheduler = load_scheduler(base)
    assert scheduler.config.prediction_type == "epsilon"
    assert float(scheduler.alphas_cumprod[-1]) == pytest.approx(0.00466, rel=1e-2)
