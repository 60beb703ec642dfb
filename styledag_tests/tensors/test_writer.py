"""Files that are written in pieces are files that safetensors reads."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from styledag.errors import StorageError
from styledag.tensors.reader import TensorSpec
from styledag.tensors.writer import in_file_order, write_tensors
from styledag_tests.tensors.test_reader import TENSORS

SPECS = in_file_order(
    TensorSpec(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in TENSORS.items()
)


@pytest.mark.parametrize("whole_tensors", [False, True])
def test_safetensors_reads_what_was_written_in_pieces(tmp_path: Path, whole_tensors: bool) -> None:
    path = tmp_path / "folder" / "x.safetensors"

    def make(spec: TensorSpec, start: int, stop: int) -> torch.Tensor:
        tensor = TENSORS[spec.name]
        return tensor[start:stop] if tensor.ndim else tensor

    metadata = {"format": "pt", "styledag.base": "v"}
    write_tensors(path, SPECS, metadata, make, whole_tensors=whole_tensors)
    loaded = load_file(path)
    assert loaded.keys() == TENSORS.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in TENSORS.items())
    with safe_open(path, "pt") as opened:
        assert opened.metadata() == metadata


def test_an_error_leaves_no_file_and_is_not_changed(tmp_path: Path) -> None:
    def make(spec: TensorSpec, _start: int, _stop: int) -> torch.Tensor:
        if spec.name == "ids":
            raise OSError("the reader's own")
        return TENSORS[spec.name]

    with pytest.raises(OSError, match="the reader's own"):
        write_tensors(tmp_path / "x.safetensors", SPECS, {}, make, whole_tensors=True)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_ends_in_one_sentence() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    from styledag.tensors.writer import PartialFile

    with Path("/dev/full").open("wb", buffering=0) as file:
        partial = PartialFile(Path("/dev/full"), file)
        with pytest.raises(StorageError, match="no space left on the disk that holds /dev/full"):
            partial.write(torch.ones(3))
