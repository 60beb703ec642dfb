"""Files that are written in pieces are files that safetensors reads."""

import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from styledag.errors import StorageError
from styledag.tensors import writer
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


@pytest.mark.skipif(sys.platform != "linux", reason="the advice is Linux's")
def test_the_disk_begins_to_write_each_part_once_while_further_ones_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[int, int]] = []
    advise = os.posix_fadvise

    def recording(number: int, start: int, size: int, advice: int) -> None:
        begun.append((start, size))
        advise(number, start, size, advice)

    monkeypatch.setattr(os, "posix_fadvise", recording)
    monkeypatch.setattr(writer, "_WRITEBACK_BYTES", 1000)
    path, content = tmp_path / "x", torch.arange(30_000, dtype=torch.int16)
    with writer.writing(path) as file:
        for piece in content.split(100):
            file.write(piece)
        assert len(begun) == 60
    assert begun == [(start, 1000) for start in range(0, 60_000, 1000)]
    assert path.read_bytes() == content.numpy().tobytes()


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
