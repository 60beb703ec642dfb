"""Whether a model's weights can be read, found out without loading the model."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.errors import ModelError
from styledag.models.files import PIPELINE_FILE, Listing, model_folders, part_weights
from styledag.tensors.layout import CONFIG_FILE, is_weights

if TYPE_CHECKING:
    from styledag.tensors.reader import TensorReader

_PIECE_ELEMENTS = 1 << 22


def check_weights(
    folder: Path,
    parts: Sequence[str] = ("",),
    *,
    variant: str | None = None,
    values: bool = False,
    without: str | None = None,
) -> None:
    """Check the weights of a model's parts: there, in safetensors, whole, and finite if asked.

    Reads headers only, which takes milliseconds, unless ``values`` is set.

    Args:
        folder: The model in diffusers' or transformers' layout.
        parts: Folders of a pipeline's parts, or single files; ``""`` for all of a model or
            pipeline.
        variant: Such as ``fp16``.
        values: Whether all weights are read and searched for NaN and infinity.
        without: Folder whose weights are not read.

    Raises:
        ModelError: One line for each fault, with the file or tensor and what to do.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder} is no folder: name an existing one")
    listing = Listing.of_folder(folder)
    faults = [
        fault
        for part in parts
        for fault in _faults(folder, listing, part, variant=variant, values=values, without=without)
    ]
    if faults:
        raise ModelError("\n".join(faults))


def _faults(
    folder: Path,
    listing: Listing,
    part: str,
    *,
    variant: str | None,
    values: bool,
    without: str | None,
) -> Iterator[str]:
    from styledag.tensors.reader import open_tensors

    if part in listing.names:
        with open_tensors(folder / part) as tensors:
            if values:
                yield from _not_finite(tensors)
        return
    if part and not listing.inside(part):
        kind = "file" if is_weights(part) else "folder"
        yield f"{folder} has no {kind} {part!r}: name a model in diffusers' layout"
        return
    models = model_folders(listing, part)
    if not part and not models:
        yield (
            f"{folder} holds no model ({PIPELINE_FILE} or {CONFIG_FILE} is missing): fetch or copy "
            "it again"
        )
    for name in models:
        if name == without:
            continue
        try:
            weights = part_weights(listing, name, variant=variant)
            chosen = variant if variant and f".{variant}" in weights.files[0] else None
            with open_tensors(folder / name, chosen) as tensors:
                if values:
                    yield from _not_finite(tensors)
        except ModelError as exc:
            yield str(exc)


def _not_finite(tensors: "TensorReader") -> Iterator[str]:
    from styledag.tensors.finite import is_finite

    bad = [
        name
        for name, spec in tensors.specs.items()
        if not all(
            is_finite(tensors.read(name, start, stop))
            for start, stop in spec.pieces(_PIECE_ELEMENTS)
        )
    ]
    if bad:
        yield (
            f"{tensors.path}: tensor {bad[0]!r} holds NaN or infinity ({len(bad)} such tensors in "
            "all): fetch or copy the model again, or name another"
        )
