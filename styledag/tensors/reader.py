"""Tensors of a safetensors file or of a folder's shards, read whole or in slices of rows."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from styledag.errors import ModelError
from styledag.tensors.layout import choose_weights, shards_by_tensor

if TYPE_CHECKING:
    import torch

MAPPED_BYTES = 1 << 25
"""How much is read from a file before its mapping is renewed, which frees the pages read so far."""

_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
_EIGHT_BITS = {"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
"""Read where a caller allows it, who must widen them."""


def torch_dtype(name: str) -> "torch.dtype":
    """Return the dtype that safetensors calls ``name``, such as ``F16``.

    Raises:
        ValueError: If it is one that styledag does not read, such as float8.
    """
    _check_dtype(name)
    return _dtype(name)


def _dtype(name: str) -> "torch.dtype":
    import torch

    dtype: torch.dtype = getattr(torch, (_DTYPES | _EIGHT_BITS)[name])
    return dtype


def _check_dtype(name: str) -> None:
    if name not in _DTYPES:
        raise ValueError(f"its dtype is {name}, but styledag reads {', '.join(_DTYPES)}")


def dtype_name(dtype: "torch.dtype") -> str:
    """Return safetensors' name of a dtype, the inverse of :func:`torch_dtype`."""
    names = {torch_name: name for name, torch_name in _DTYPES.items()}
    return names[str(dtype).removeprefix("torch.")]


@dataclass(frozen=True)
class TensorSpec:
    """What a tensor is, without its elements.

    Attributes:
        name: Name in the state dict.
        shape: Length of each dimension.
    """

    name: str
    dtype: "torch.dtype"
    shape: tuple[int, ...]

    @property
    def numel(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """How many bytes it takes."""
        return self.numel * self.dtype.itemsize

    @property
    def rows(self) -> int:
        """Length of its first dimension; 1 for a scalar."""
        return self.shape[0] if self.shape else 1

    def pieces(self, most_elements: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of rows, each of at most so many elements and of at least one row."""
        step = max(1, most_elements * self.rows // max(1, self.numel))
        for start in range(0, self.rows, step):
            yield start, min(start + step, self.rows)


class TensorReader:
    """The tensors of one file, or of all shards of a folder.

    Made by :func:`open_tensors`, and closed by its ``with``. Several threads may read at once.
    What is read may be a view of a mapped file and must not be changed in place.

    Attributes:
        path: The file, or the folder.
        metadata: Strings in the header; of the first shard, where there are several.
    """

    def __init__(
        self,
        path: Path,
        files: Mapping[str, Path],
        mapped_bytes: int,
        eight_bits: Callable[[str], bool],
    ) -> None:
        self.path = path
        self._files = {
            file: _MappedFile(file, mapped_bytes) for file in sorted(set(files.values()))
        }
        self._of = {name: self._files[file] for name, file in files.items()}
        self._headers = {
            name: header
            for file in self._files.values()
            for name, header in file.header.tensors.items()
            if files.get(name) == file.path
        }
        missing = files.keys() - self._headers.keys()
        if missing:
            raise ModelError(
                f"{files[min(missing)]} lacks tensor {min(missing)!r}, which the index of "
                f"{path} places there: fetch or copy it again"
            )
        for name, (dtype, _) in self._headers.items():
            if dtype in _EIGHT_BITS and eight_bits(name):
                continue
            try:
                _check_dtype(dtype)
            except ValueError as exc:
                raise ModelError(
                    f"{files[name]}: tensor {name!r} cannot be read: {exc}: name the same model in "
                    "float32, bfloat16 or float16"
                ) from exc
        self.metadata: Mapping[str, str] = next(iter(self._files.values())).header.metadata

    @cached_property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Tensors by name."""
        return {
            name: TensorSpec(name, _dtype(dtype), shape)
            for name, (dtype, shape) in self._headers.items()
        }

    def read(self, name: str, start: int = 0, stop: int | None = None) -> "torch.Tensor":
        """Return a tensor, or its rows ``start`` to ``stop``.

        Raises:
            ModelError: If the file is damaged.
        """
        return self._of[name].read(self.specs[name], start, stop)

    def __enter__(self) -> "TensorReader":
        return self

    def __exit__(self, *_exception: object) -> None:
        for file in self._files.values():
            file.close()


def open_tensors(
    path: Path,
    variant: str | None = None,
    *,
    mapped_bytes: int = MAPPED_BYTES,
    choose: Callable[[Collection[str]], Collection[str]] | None = None,
    eight_bits: Callable[[str], bool] = lambda _: False,
) -> TensorReader:
    """Return the tensors of a safetensors file, or of the weights in a model's folder.

    Args:
        path: The file or the folder.
        variant: Of the weights in a folder, such as ``fp16``.
        mapped_bytes: How much is read from a file before the memory that it takes is freed.
        choose: Returns those of a file's names that are read; the others may be of any dtype.
        eight_bits: Returns whether a tensor of a file may be float8, by its name.

    Raises:
        ModelError: If weights are missing, damaged, in another format, or of another variant.
    """
    if not path.is_dir():
        names: Collection[str] = _MappedFile(path, mapped_bytes).header.tensors
        chosen_names = names if choose is None else choose(names)
        files = dict.fromkeys(chosen_names, path)
        return TensorReader(path, files, mapped_bytes, eight_bits)
    found = [each.name for each in path.iterdir()]
    chosen = choose_weights(
        found, str(path), read_index=lambda name: (path / name).read_bytes(), variant=variant
    )
    if chosen.index is None:
        return open_tensors(path / chosen.files[0], mapped_bytes=mapped_bytes)
    index = path / chosen.index
    by_tensor = shards_by_tensor(index.read_bytes(), str(index))
    files = {name: path / shard for name, shard in by_tensor.items()}
    return TensorReader(path, files, mapped_bytes, eight_bits)


@dataclass(frozen=True)
class _Header:
    """Dtype, as safetensors names it, and shape of tensors by name, and a file's strings."""

    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    metadata: Mapping[str, str]


class _MappedFile:
    """One safetensors file whose mapping is renewed now and then, so that memory stays flat."""

    def __init__(self, path: Path, mapped_bytes: int) -> None:
        self.path = path
        self._mapped_bytes = mapped_bytes
        self._opened: Any = None
        self._read_bytes = 0
        self._renewing = Lock()

    @cached_property
    def header(self) -> _Header:
        """What the file states of its tensors, in its order, and the strings beside them."""
        opened = self._open("np")
        tensors = {}
        for name in opened.offset_keys():
            entry = opened.get_slice(name)
            tensors[name] = entry.get_dtype(), tuple(entry.get_shape())
        return _Header(tensors, opened.metadata() or {})

    def read(self, spec: TensorSpec, start: int, stop: int | None) -> "torch.Tensor":
        """Return rows of a tensor; see :meth:`TensorReader.read`."""
        stop = spec.rows if stop is None else stop
        with self._renewing:
            if self._read_bytes > self._mapped_bytes:
                self.close()
            self._read_bytes += spec.nbytes * (stop - start) // max(1, spec.rows)
            if self._opened is None:
                self._opened = self._open("pt")
            opened = self._opened
        if (start, stop) == (0, spec.rows):
            tensor: torch.Tensor = opened.get_tensor(spec.name)
        else:
            tensor = opened.get_slice(spec.name)[start:stop]
        return tensor

    def close(self) -> None:
        """Unmap the file, unless a view of it is still in use."""
        self._opened, self._read_bytes = None, 0

    def _open(self, framework: str) -> Any:
        from safetensors import SafetensorError, safe_open

        try:
            return safe_open(self.path, framework=framework)
        except SafetensorError as exc:
            raise ModelError(
                f"{self.path} is no whole safetensors file ({exc}): {_remedy(self.path)}"
            ) from exc
        except OSError as exc:
            reason = exc.strerror or str(exc).partition(":")[0]
            raise ModelError(f"{self.path} cannot be read: {reason}") from exc


_OTHERS = {
    b"version https://git-lfs": "it is a pointer of Git LFS: run `git lfs pull` in its folder",
    b"<": "it is a web page, which a site sends in place of it: log in there and download it again",
    b"PK": "it is a pickle under that name: convert it to safetensors, or name another file",
    b"\x80": "it is a pickle under that name: convert it to safetensors, or name another file",
    b"GGUF": "it is a GGUF under that name: name the model that it was made from",
}
"""What to do about a file, by the first bytes of what people have in place of safetensors."""


def _remedy(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(64)
    return next(
        (remedy for first, remedy in _OTHERS.items() if start.startswith(first)),
        "fetch or copy it again",
    )
