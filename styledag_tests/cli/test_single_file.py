from pathlib import Path

import torch
from safetensors.torch import load_file

from styledag.bases.find import find_base
from styledag_tests.cli.conftest import Call
from styledag_tests.cli.made_project import MadeProject, scaled
from styledag_tests.whole.small_project import MODEL


def test_an_exported_file_becomes_a_base(call: Call, made: MadeProject, tmp_path: Path) -> None:
    file, to = tmp_path / "small.safetensors", tmp_path / "imported"
    call("export", "model", MODEL, "--format", "single-file", "--to", file)

    output = call("import", file, "--to", to, "--config", made.base)

    assert f"base: {{model: {to}}}" in output
    find_base(to)
    read = load_file(to / "unet" / "diffusion_pytorch_model.safetensors")
    expected = scaled(made.base, 1.001)
    assert read.keys() == expected.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in expected.items())
