"""Whether a model's weights can be read, found out without loading the model."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.errors import ModelError
from styledag.models.files import PIPELINE_FILE, Listing, model_folders, part_weights
from styledag.tensors.layout import CONFIG_FILE, is_weights

if TYPE_CHECKING:
    from styledag.tensors.reader import TensorReader, TensorSpec

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


def part_tensors(
    folder: Path, part: str, *, variant: str | None = None
) -> "Mapping[str, TensorSpec]":
    """Return what the weights of a pipeline's part are, by their names and without reading them.

    Raises:
        ModelError: If they are not there, or a file is not whole.
    """
    with open_part(folder, part, variant=variant) as tensors:
        return dict(tensors.specs)


def open_part(folder: Path, part: str, *, variant: str | None = None) -> "TensorReader":
    """Return the weights of a pipeline's part, to be closed by a ``with``.

    Raises:
        ModelError: If they are not there, or a file is not whole.
    """
    from styledag.tensors.reader import open_tensors

    return open_tensors(folder / part, part_variant(folder, part, variant))


def part_variant(folder: Path, part: str, variant: str | None) -> str | None:
    """Return the variant if a pipeline's part has its weights in it, ``None`` if it has not."""
    return _chosen_variant(Listing.of_folder(folder), part, variant)


def _chosen_variant(listing: Listing, part: str, variant: str | None) -> str | None:
    """Return the variant if the part has its weights in it."""
    files = part_weights(listing, part, variant=variant).files
    return variant if variant and f".{variant}" in files[0] else None


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
            chosen = _chosen_variant(listing, name, variant)
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
