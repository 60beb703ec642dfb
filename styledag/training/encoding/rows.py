"""Rows of equal tensors: cached one by one, and stacked into one safetensors file."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from styledag.progress import Advance
from styledag.store.files import storage_errors
from styledag.store.items import Items
from styledag.tensors.header import header_bytes
from styledag.tensors.reader import TensorSpec

Row = Mapping[str, Tensor]
"""Tensors of one item by name; of the same shapes and dtypes for every item."""

_CHUNK_ROWS = 256
_WRITERS = 4


def cached_rows(
    items: Items,
    namespace: str,
    keys: Sequence[str],
    make: Callable[[Sequence[int]], Iterable[Row]],
    advance: Advance,
) -> Iterator[Row]:
    """Yield the row of each key, making and caching those that are not known.

    Memory stays flat in the number of keys. Rows are cached while the next ones are made.

    Args:
        items: Where rows are cached.
        namespace: What they are called there.
        keys: Keys in the order in which rows are yielded.
        make: Makes the rows of the given positions in ``keys``, in their order.
        advance: Called for each row once it is cached.
    """
    with ThreadPoolExecutor(_WRITERS, thread_name_prefix="items") as pool:
        for start in range(0, len(keys), _CHUNK_ROWS):
            chunk = keys[start : start + _CHUNK_ROWS]
            found = items.get_many(namespace, chunk)
            parsed = {key: _parsed(content) for key, content in found.items()}
            rows = {key: row for key, row in parsed.items() if row is not None}
            advance(len(rows))
            missing = [at for at, key in enumerate(chunk, start) if key not in rows]
            writing = []
            for at, row in zip(missing, make(missing) if missing else (), strict=True):
                content = safetensors.torch.save(dict(row))
                writing.append(pool.submit(items.put, namespace, keys[at], content))
                rows[keys[at]] = row
                advance(1)
            for each in writing:
                each.result()
            for key in chunk:
                yield rows[key]


def write_stacked(path: Path, rows: Iterable[Row], count: int) -> list[int]:
    """Write rows as one safetensors file whose tensors have the rows as first dimension.

    The bytes follow from the rows alone. One row at a time is in memory.

    Args:
        path: File to write.
        rows: Exactly ``count`` rows: float32, bfloat16, integers or booleans.
        count: Number of rows; above 0.

    Returns:
        The shape of the first tensor of a row.

    Raises:
        StorageError: If the file cannot be written.
    """
    starts: dict[str, int] = {}
    shape: list[int] = []
    with storage_errors(str(path)), path.open("wb") as file:
        for at, row in enumerate(rows):
            if not starts:
                shape = list(next(iter(row.values())).shape)
                specs = [
                    TensorSpec(name, each.dtype, (count, *each.shape))
                    for name, each in sorted(row.items())
                ]
                file.write(header_bytes(specs, None))
                places = accumulate((spec.nbytes for spec in specs), initial=file.tell())
                starts = dict(zip(sorted(row), places, strict=False))
            for name, tensor in row.items():
                content = tensor.contiguous().view(torch.uint8).numpy().tobytes()
                file.seek(starts[name] + at * len(content))
                file.write(content)
    return shape


def _parsed(content: bytes) -> Row | None:
    try:
        row: Row = safetensors.torch.load(content)
    except SafetensorError:
        return None
    return row
