"""Blends of text encoders, whose files differ by the release of transformers that wrote them."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from styledag.errors import ModelError
from styledag.merging.blend import blend_unet
from styledag.tensors.layout import CONFIG_FILE, TRANSFORMERS_WEIGHTS_FILE

PARENTS = {"base": "b" * 64, "tuned": "t" * 64}
TRANSFORMERS_4 = {"transformers_version": "4.22.0", "torch_dtype": "float16", "eos_token_id": 2}


def write_encoder(folder: Path, seed: int) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=64,
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=16,
            )
        )
    model.save_pretrained(folder)
    return folder


def as_transformers_4(folder: Path) -> Path:
    """Rewrite a text encoder's folder as releases before transformers 5 wrote it."""
    path, config = folder / TRANSFORMERS_WEIGHTS_FILE, folder / CONFIG_FILE
    tensors = {f"text_model.{_plain(name)}": each for name, each in load_file(path).items()}
    tensors["text_model.embeddings.position_ids"] = torch.arange(16)[None]
    save_file(tensors, path, {"format": "pt"})
    config.write_text(json.dumps(json.loads(config.read_text()) | TRANSFORMERS_4))
    return folder


def _plain(name: str) -> str:
    return name.removeprefix("text_model.")


@pytest.mark.parametrize("older", ["base", "tuned", "both", "none"])
def test_files_of_both_namings_are_blended_and_transformers_loads_the_blend(
    tmp_path: Path, older: str
) -> None:
    folders = {name: write_encoder(tmp_path / name, at) for at, name in enumerate(PARENTS)}
    loaded = {name: CLIPTextModel.from_pretrained(folders[name]) for name in PARENTS}
    for name in PARENTS:
        if older in (name, "both"):
            as_transformers_4(folders[name])
    blend_unet(
        folders["base"], folders["tuned"], 0.25, tmp_path / "out", parents=PARENTS, base_share=0.0
    )
    found, info = CLIPTextModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    base, tuned = (loaded[name].state_dict() for name in PARENTS)
    for name, tensor in found.state_dict().items():
        torch.testing.assert_close(tensor, torch.lerp(base[name], tuned[name], 0.25))


def test_encoders_that_compute_otherwise_are_refused_by_name(tmp_path: Path) -> None:
    base, tuned = write_encoder(tmp_path / "base", 0), write_encoder(tmp_path / "tuned", 1)
    config = tuned / CONFIG_FILE
    config.write_text(json.dumps(json.loads(config.read_text()) | {"hidden_act": "gelu"}))
    with pytest.raises(ModelError, match="'hidden_act' is 'quick_gelu' in"):
        blend_unet(base, tuned, 0.5, tmp_path / "out", parents=PARENTS, base_share=0.0)
