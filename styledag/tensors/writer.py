"""A safetensors file written piece by piece, in flat memory whatever its size.

``safetensors`` writes all tensors at once (``save_file``), which a blend of two models that are
larger than the memory at hand does not allow; so the writing, and it alone, is done here.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.ahead import made_ahead
from styledag.store.files import storage_errors
from styledag.tensors.header import header_bytes
from styledag.tensors.reader import TensorSpec

if TYPE_CHECKING:
    import torch

PIECE_ELEMENTS = 1 << 20
"""Elements of one piece: a few megabytes, which stay in a processor's cache between two steps."""
_AHEAD = 4
_MAKERS = 2
_WRITEBACK_BYTES = 1 << 25

MakePiece = Callable[[TensorSpec, int, int], "torch.Tensor"]
"""Makes rows ``start`` to ``stop`` of a tensor."""


class PartialFile:
    """A file that is written from its beginning to its end; made by :func:`writing`."""

    def __init__(self, path: Path, file: FileIO) -> None:
        self._path = path
        self._file = file
        self._begun_bytes = 0

    def write(self, content: "bytes | memoryview | torch.Tensor") -> None:
        """Write bytes, or the elements of a tensor, after what was written before.

        Raises:
            StorageError: If the disk is full or cannot be written.
        """
        if not isinstance(content, bytes | memoryview):
            import torch

            content = content.contiguous().flatten().view(torch.uint8).numpy().data
        left = memoryview(content)
        with storage_errors(str(self._path)):
            while left:
                left = left[self._file.write(left) :]
            self._begin_writeback()

    def _begin_writeback(self) -> None:
        """Have the disk write what is new while the next pieces are made, without waiting for it.

        By itself the kernel begins when a tenth of the memory waits to be written. Linux's advice
        begins it at once, and keeps the pages in memory, since they are not on the disk yet.
        """
        size = self._file.tell() - self._begun_bytes
        if size >= _WRITEBACK_BYTES and sys.platform == "linux":
            number = self._file.fileno()
            os.posix_fadvise(number, self._begun_bytes, size, os.POSIX_FADV_DONTNEED)
            self._begun_bytes += size


@contextmanager
def writing(path: Path) -> Iterator[PartialFile]:
    """Yield a file to write; it appears when the block ends without an error, and else not at all.

    Raises:
        StorageError: If the disk is full or cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    with storage_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not buffered, so that closing writes nothing that could fail outside of storage_errors.
        file = partial.open("wb", buffering=0)
    try:
        with file:
            yield PartialFile(path, file)
        with storage_errors(str(path)):
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_tensors(
    path: Path,
    specs: Sequence[TensorSpec],
    metadata: Mapping[str, str],
    make: MakePiece,
    *,
    whole_tensors: bool = False,
) -> None:
    """Write tensors that are made in pieces, two threads making them while another writes.

    Args:
        path: The file; it appears at once, or not at all.
        specs: All tensors, in the order of the file.
        metadata: Strings for the header.
        make: Makes each piece; called by two threads at once unless tensors are made whole.
        whole_tensors: Whether each tensor is made whole, rather than in pieces of rows.

    Raises:
        StorageError: If the disk is full or cannot be written.
    """
    pieces = (
        (spec, start, stop)
        for spec in specs
        for start, stop in spec.pieces(spec.numel if whole_tensors else PIECE_ELEMENTS)
    )
    ahead, workers = (1, 1) if whole_tensors else (_AHEAD, _MAKERS)
    made = made_ahead(lambda piece: make(*piece), pieces, ahead=ahead, workers=workers)
    with writing(path) as file, closing(made):
        file.write(header_bytes(specs, metadata))
        for tensor in made:
            file.write(tensor)


def in_file_order(specs: Iterable[TensorSpec]) -> list[TensorSpec]:
    """Return tensors as safetensors orders them: widest dtype first, then by name.

    So each tensor begins at a multiple of the bytes of its elements.
    """
    return sorted(specs, key=lambda spec: (-spec.dtype.itemsize, spec.name))
