"""Whether a base's denoiser is all there, by the headers of its files and without its weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.bases.base import Base
from styledag.errors import ModelError
from styledag.graph.catalogue import Catalogue
from styledag.graph.checking.finding import Finding, checked
from styledag.models.reference import ModelReference
from styledag.models.soundness import part_tensors

if TYPE_CHECKING:
    from styledag.tensors.reader import TensorSpec


def check_stored_denoiser(
    catalogue: Catalogue, name: str, reference: ModelReference
) -> Iterator[Finding]:
    """Yield whether the tensors of a folder's denoiser are those of its configuration.

    A denoiser on the Hub, in a single file or beside the base is checked where it is read.
    """
    folder = catalogue.path(reference.model)
    if not folder.is_dir() or reference.denoiser is not None:
        return
    base = catalogue.base(reference)
    yield checked(f"{name}: denoiser", lambda: _complete(base, folder, reference.variant))


def _complete(base: Base, folder: Path, variant: str | None) -> str:
    """Return how many tensors the denoiser has.

    Raises:
        ModelError: If one is missing, or has another shape or no floating dtype.
    """
    part = base.parts.denoiser
    expected = base.denoiser(device="meta").state_dict()
    found = part_tensors(folder, part, variant=variant)
    for tensor, wanted in expected.items():
        fault = _fault(
            found.get(tensor), tuple(wanted.shape), is_floating=wanted.is_floating_point()
        )
        if fault:
            raise ModelError(
                f"{folder / part} does not fit its config.json: tensor {tensor!r} {fault}: restore "
                "the folder, or name another base"
            )
    return f"{len(expected)} tensors, as its configuration has them"


def _fault(found: "TensorSpec | None", shape: tuple[int, ...], *, is_floating: bool) -> str | None:
    if found is None:
        return "is missing"
    if found.shape != shape:
        return f"has the shape {list(found.shape)} in place of {list(shape)}"
    if is_floating and not found.dtype.is_floating_point:
        return f"is stored as {found.dtype}, which is no floating dtype"
    return None
