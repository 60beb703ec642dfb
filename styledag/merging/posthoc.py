"""A UNet whose average has another length than those that were kept, from all of the kept ones."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.errors import ModelError
from styledag.merging.parents import common_config, common_specs, finite_rows
from styledag.merging.write import write_folder
from styledag.store.artifact import Facts

if TYPE_CHECKING:
    import torch

    from styledag.tensors.reader import TensorReader, TensorSpec

METHOD = "posthoc_ema"
_MAPPED_BYTES = 1 << 25
"""Of all stored averages together, before what they take of the memory is freed."""


@dataclass(frozen=True, kw_only=True)
class StoredAverage:
    """One average that training stored.

    Attributes:
        folder: Its UNet: ``config.json`` and its weights.
        step: Optimiser steps that it is over.
        length: Its relative length.
    """

    folder: Path
    step: int
    length: float


def reconstruct_unet(
    stored: Sequence[StoredAverage],
    length: float,
    output: Path,
    *,
    parents: Mapping[str, str],
) -> Facts:
    """Write the average of a length over the whole run as a diffusers folder; return its figures.

    The stored averages are read side by side and the sum is written in pieces of a few megabytes,
    so memory stays flat whatever their number. The arithmetic is float64: the newest average and
    the weighted differences of all others to it, so that a weight that was not trained comes back
    bit for bit. Each tensor is saved in the newest average's dtype.

    Args:
        stored: Two or more, by rising step; the last one's step is the end of the run.
        length: Relative length of the wanted average.
        output: Folder to write; made if it is not there.
        parents: Versions of the parents, by their names.

    Raises:
        TrainingError: If the stored averages cannot give that length.
        ModelError: If they differ in tensors, shapes or configuration, or hold NaN or infinity.
        StorageError: If the output cannot be written.
    """
    from styledag.tensors.reader import open_tensors
    from styledag.training.averaging.posthoc import gamma_of, require_length

    profiles = [(each.step, gamma_of(each.length)) for each in stored]
    found = require_length(profiles, stored[-1].step, length)
    terms = zip(stored, found.coefficients, strict=True)
    metadata = {
        "format": "pt",
        "styledag.method": METHOD,
        "styledag.length": repr(float(length)),
        "styledag.weight": "1.0",
        "styledag.amount": "1.0",
        "styledag.terms": json.dumps([[each.step, each.length, factor] for each, factor in terms]),
        **{f"styledag.{parent}": version for parent, version in parents.items()},
    }
    for each in stored:
        config = common_config(stored[-1].folder, each.folder)
    with ExitStack() as opened:
        readers = [
            opened.enter_context(
                open_tensors(each.folder, mapped_bytes=_MAPPED_BYTES // len(stored))
            )
            for each in stored
        ]
        for reader in readers:
            common_specs(readers[-1], reader)
        specs = list(readers[-1].specs.values())

        def make(spec: "TensorSpec", start: int, stop: int) -> "torch.Tensor":
            return _summed_rows(readers, found.coefficients, spec.name, start, stop)

        written = write_folder(output, config, specs, metadata, make)
    return {
        "method": METHOD,
        "length": length,
        "weight": 1.0,
        "amount": 1.0,
        "base_share": 0.0,
        "stored_averages": len(stored),
        "profile_error": found.error,
        "rounding_gain": found.rounding_gain,
        **written,
    }


def _summed_rows(
    readers: "Sequence[TensorReader]",
    coefficients: Sequence[float],
    name: str,
    start: int,
    stop: int,
) -> "torch.Tensor":
    newest = finite_rows(readers[-1], name, start, stop)
    if not newest.is_floating_point():
        return newest
    origin = newest.double()
    total, difference = origin.clone(), origin.clone()
    for reader, coefficient in zip(readers[:-1], coefficients, strict=False):
        difference.copy_(finite_rows(reader, name, start, stop)).sub_(origin)
        total.add_(difference, alpha=coefficient)
    summed = total.to(newest.dtype)
    if not bool(summed.isfinite().all()):
        raise ModelError(
            f"tensor {name!r} is too large for {newest.dtype} in an average of this length"
        )
    return summed
