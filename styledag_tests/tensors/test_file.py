from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from styledag.errors import ModelError
from styledag.tensors.file import TensorReader, TensorSpec, TensorWriter, in_file_order

TENSORS = {
    "b.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "a.bias": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "scalar": torch.tensor(3.0, dtype=torch.float64),
    "empty": torch.zeros(0, 4, dtype=torch.float16),
    "ids": torch.arange(3),
}


def test_safetensors_reads_what_was_written_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    specs = in_file_order(
        TensorSpec(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in TENSORS.items()
    )
    with path.open("wb") as file:
        writer = TensorWriter(file, specs, {"format": "pt", "styledag.base": "v"})
        for spec in specs:
            for number in TENSORS[spec.name].flatten():
                writer.write(number.reshape(1))
    loaded = load_file(path)
    assert loaded.keys() == TENSORS.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in TENSORS.items())
    with safe_open(path, "pt") as opened:
        assert opened.metadata() == {"format": "pt", "styledag.base": "v"}


def test_what_safetensors_wrote_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file(TENSORS, path, {"who": "peer"})
    with TensorReader(path) as reader:
        assert reader.metadata == {"who": "peer"}
        assert reader.specs["b.weight"] == TensorSpec("b.weight", torch.float32, (2, 3))
        assert reader.read("b.weight", 2, 3).tolist() == [2.0, 3.0, 4.0]
        assert reader.read("empty", 0, 0).shape == (0,)


@pytest.mark.parametrize("kept_bytes", [0, 4, 30, -1])
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, kept_bytes: int) -> None:
    path = tmp_path / "x.safetensors"
    save_file(TENSORS, path)
    path.write_bytes(path.read_bytes()[:kept_bytes])
    with pytest.raises(ModelError, match=r"x\.safetensors is no whole safetensors file"):
        TensorReader(path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"x\.safetensors cannot be read: No such file"):
        TensorReader(tmp_path / "x.safetensors")
