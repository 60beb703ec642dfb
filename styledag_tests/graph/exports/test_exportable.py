"""What a card states of a model's bases."""

from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import save_file

from styledag.graph.exports.exportable import Exportable
from styledag.publishing.cards.records import CardBase


def test_the_licence_of_a_single_file_is_in_its_header(tmp_path: Path) -> None:
    """Whatever else the file holds: T5 in Stable Diffusion 3.5's is often 8-bit."""
    save_file(
        {"text_encoders.t5xxl.transformer.shared.weight": torch.ones(2).to(torch.float8_e4m3fn)},
        tmp_path / "community.safetensors",
        metadata={"modelspec.license": "stabilityai-ai-community"},
    )
    read = SimpleNamespace(
        build=None, name="base", partition="community.safetensors", version="abc"
    )
    build = SimpleNamespace(inputs=[read])
    source = SimpleNamespace(model=SimpleNamespace(build=build), root=tmp_path)

    assert Exportable.bases.func(source) == (
        CardBase(name="community.safetensors", revision="abc", licence="stabilityai-ai-community"),
    )
