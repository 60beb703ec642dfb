"""Writes a merged model as a folder in diffusers' layout, in flat memory."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.store.artifact import Facts
from styledag.store.files import storage_errors
from styledag.tensors.layout import CONFIG_FILE, TRANSFORMERS_WEIGHTS_FILE, WEIGHTS_FILE

if TYPE_CHECKING:
    from styledag.tensors.reader import TensorSpec
    from styledag.tensors.writer import MakePiece


def write_folder(
    output: Path,
    config: Mapping[str, Any],
    specs: "Sequence[TensorSpec]",
    metadata: Mapping[str, str],
    make: "MakePiece",
    *,
    whole_tensors: bool = False,
) -> Facts:
    """Write a model whose tensors are made piece by piece; return its figures.

    Args:
        output: Folder to write; made if it is not there.
        config: Content of ``config.json``; it says whether diffusers or transformers reads it.
        specs: All tensors.
        metadata: Strings for the header of the weights.
        make: Makes each piece.
        whole_tensors: Whether it makes each tensor whole.

    Raises:
        StorageError: If the output cannot be written.
    """
    from styledag.tensors.writer import in_file_order, write_tensors

    ordered = in_file_order(specs)
    weights = TRANSFORMERS_WEIGHTS_FILE if "model_type" in config else WEIGHTS_FILE
    write_tensors(output / weights, ordered, metadata, make, whole_tensors=whole_tensors)
    with storage_errors(str(output)):
        (output / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    return {
        "tensors": len(specs),
        "parameters": sum(spec.numel for spec in specs),
        "bytes": sum(spec.nbytes for spec in specs),
        "dtypes": sorted({str(spec.dtype).removeprefix("torch.") for spec in specs}),
    }
