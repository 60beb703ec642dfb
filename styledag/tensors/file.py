"""safetensors files read and written piece by piece, in flat memory whatever their size.

The format is a little-endian u64 length, a JSON header of that length with each tensor's dtype,
shape and byte range, and then the bytes: https://github.com/huggingface/safetensors#format.
``safetensors`` itself maps a file into memory or wants all tensors at once; a blend of two models
larger than the memory at hand allows neither.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from styledag.errors import ModelError

_DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES: Mapping[torch.dtype, str] = {dtype: name for name, dtype in _DTYPES.items()}
_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000


@dataclass(frozen=True)
class TensorSpec:
    """What a tensor is, without its numbers.

    Attributes:
        name: Name in the state dict.
        dtype: Dtype.
        shape: Length of each dimension.
    """

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def numel(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """How many bytes it takes."""
        return self.numel * self.dtype.itemsize


def specs_in_header(content: bytes) -> list[TensorSpec]:
    """Return the tensors that the first bytes of a safetensors file tell of, in file order.

    Args:
        content: As :attr:`TensorReader.header` gives it.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: If it is no such header.
    """
    header: dict[str, Any] = json.loads(content[_LENGTH_BYTES:])
    header.pop("__metadata__", None)
    specs = _specs(header)
    return [specs[name] for name in sorted(header, key=lambda each: header[each]["data_offsets"])]


def _specs(header: Mapping[str, Any]) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(name, _DTYPES[entry["dtype"]], tuple(entry["shape"]))
        for name, entry in header.items()
    }


class TensorReader:
    """The tensors of one safetensors file, read in pieces.

    Attributes:
        path: The file.
        header: The file's first bytes, up to where the tensors' numbers begin.
        specs: Tensors by name.
        metadata: Strings in the header.

    Raises:
        ModelError: If the file is missing, truncated or not in the format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as exc:
            raise ModelError(f"{path} cannot be read: {exc.strerror}") from exc
        try:
            self._read_header()
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            self._file.close()
            raise ModelError(f"{path} is no whole safetensors file: {exc}") from exc

    def _read_header(self) -> None:
        length = int.from_bytes(self._file.read(_LENGTH_BYTES), "little")
        if not 2 <= length <= _MAX_HEADER_BYTES:
            raise ValueError(f"its header claims {length} bytes")
        content = self._file.read(length)
        self.header = length.to_bytes(_LENGTH_BYTES, "little") + content
        header: dict[str, Any] = json.loads(content)
        self.metadata: Mapping[str, str] = header.pop("__metadata__", {})
        self.specs: Mapping[str, TensorSpec] = _specs(header)
        data = _LENGTH_BYTES + length
        size = self.path.stat().st_size
        self._offsets: dict[str, int] = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            if end - begin != self.specs[name].nbytes or begin < 0 or data + end > size:
                raise ValueError(f"tensor {name!r} has bytes {begin} to {end} of {size - data}")
            self._offsets[name] = data + begin

    def read(self, name: str, start: int, count: int) -> torch.Tensor:
        """Return numbers ``start`` to ``start + count`` of a tensor, flattened."""
        dtype = self.specs[name].dtype
        piece = bytearray(count * dtype.itemsize)
        self._file.seek(self._offsets[name] + start * dtype.itemsize)
        if self._file.readinto(piece) != len(piece):  # type: ignore[attr-defined]
            raise ModelError(f"{self.path} ends within tensor {name!r}")
        return torch.frombuffer(piece, dtype=dtype) if piece else torch.empty(0, dtype=dtype)

    def __enter__(self) -> "TensorReader":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._file.close()


class TensorWriter:
    """A safetensors file whose tensors are handed over in order, piece by piece.

    Args:
        file: Open for writing in binary.
        specs: All tensors, in the order in which their numbers follow.
        metadata: Strings for the header.
    """

    def __init__(
        self, file: BinaryIO, specs: Iterable[TensorSpec], metadata: Mapping[str, str]
    ) -> None:
        header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
        offset = 0
        for spec in specs:
            end = offset + spec.nbytes
            header[spec.name] = {
                "dtype": _NAMES[spec.dtype],
                "shape": list(spec.shape),
                "data_offsets": [offset, end],
            }
            offset = end
        content = json.dumps(header, separators=(",", ":")).encode()
        content += b" " * (-len(content) % _LENGTH_BYTES)
        self._file = file
        self._file.write(len(content).to_bytes(_LENGTH_BYTES, "little") + content)

    def write(self, piece: torch.Tensor) -> None:
        """Write the next numbers."""
        numbers = piece.contiguous().flatten().view(torch.uint8).numpy()
        self._file.write(numbers.data)


def in_file_order(specs: Iterable[TensorSpec]) -> list[TensorSpec]:
    """Return tensors as safetensors orders them: widest format first, then by name.

    So each tensor begins at a multiple of its number's bytes.
    """
    return sorted(specs, key=lambda spec: (-spec.dtype.itemsize, spec.name))
