"""The first bytes of a safetensors file: written before its tensors, and kept with a delta.

A little-endian u64 length, and a JSON object of that length with the dtype, shape and byte range
of each tensor: https://github.com/huggingface/safetensors#format. Reading a file's tensors goes
through ``safetensors`` itself, which checks it; only what ``safetensors`` has no function for is
here.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from styledag.errors import ModelError
from styledag.tensors.reader import TensorSpec, dtype_name, torch_dtype

_LENGTH_BYTES = 8


def header_bytes(specs: Iterable[TensorSpec], metadata: Mapping[str, str] | None) -> bytes:
    """Return the header of a file with these tensors in this order."""
    header: dict[str, Any] = {}
    if metadata is not None:
        header["__metadata__"] = dict(sorted(metadata.items()))
    offset = 0
    for spec in specs:
        end = offset + spec.nbytes
        header[spec.name] = {
            "dtype": dtype_name(spec.dtype),
            "shape": list(spec.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    content = json.dumps(header, separators=(",", ":")).encode()
    return header_from_json(content + b" " * (-len(content) % _LENGTH_BYTES))


def header_from_json(content: bytes) -> bytes:
    """Return the header whose JSON is ``content``, the inverse of :func:`header_json`."""
    return len(content).to_bytes(_LENGTH_BYTES, "little") + content


def header_json(path: Path) -> bytes:
    """Return the JSON in the header of a file, byte for byte.

    Raises:
        ModelError: If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(int.from_bytes(file.read(_LENGTH_BYTES), "little"))
    except OSError as exc:
        raise ModelError(f"{path} cannot be read: {exc.strerror}") from exc


def specs_in_json(content: bytes) -> list[TensorSpec]:
    """Return the tensors that a header's JSON lists, in the order of their bytes.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: If it is no such header.
    """
    header: dict[str, Any] = json.loads(content)
    header.pop("__metadata__", None)
    return [
        TensorSpec(name, torch_dtype(entry["dtype"]), tuple(entry["shape"]))
        for name, entry in sorted(header.items(), key=lambda each: each[1]["data_offsets"])
    ]
