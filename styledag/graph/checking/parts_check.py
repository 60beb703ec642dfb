"""Whether a base's models are all there, by their configurations and the headers of their files."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from styledag.bases.base import Base
from styledag.bases.parts import check_stored
from styledag.errors import ModelError
from styledag.graph.catalogue import Catalogue
from styledag.graph.checking.finding import Finding, checked
from styledag.models.config import read_config
from styledag.models.reference import ModelReference
from styledag.models.soundness import part_tensors, part_variant
from styledag.tensors.layout import CONFIG_FILE

_QUANTISED = "quantization_config"
_FLOATING = (".weight", ".bias")
"""What the names of parameters end with that are numbers with fractions in every model."""


def check_not_quantised(base: Base) -> None:
    """Check that no model of a base is stored quantised, by their configurations alone.

    Raises:
        ModelError: If one is; training, blending and sampling read weights as they are.
    """
    for part in (base.parts.denoiser, *base.parts.beside_denoiser):
        stated = read_config(base.folder / part / CONFIG_FILE).get(_QUANTISED)
        if stated:
            method = stated.get("quant_method") if isinstance(stated, Mapping) else stated
            raise ModelError(
                f"{base.folder / part} is quantised ({method}) by its {CONFIG_FILE}: name the "
                "base that it was made from; lora: {base_bits: 4} or 8 quantises for training"
            )


def check_stored_parts(
    catalogue: Catalogue, name: str, reference: ModelReference
) -> Iterator[Finding]:
    """Yield whether the weights of a folder's models are those of their configurations.

    What comes from the Hub or from a file of its own is checked where it is read.
    """
    folder = catalogue.path(reference.model)
    if not folder.is_dir():
        return
    base = catalogue.base(reference)
    for part, check in check_parts(base, folder, variant=reference.variant).items():
        if part != base.parts.denoiser or reference.denoiser is None:
            yield checked(f"{name}: {part}", check)


def check_parts(
    base: Base, folder: Path, *, variant: str | None = None
) -> dict[str, Callable[[], str]]:
    """Return a check of each of a base's models, by part, of the weights in a folder.

    Each returns how many tensors there are, or raises a :class:`~styledag.errors.ModelError` if one
    is missing, or has another shape or no floating dtype.
    """
    models = {
        base.parts.denoiser: base.denoiser(device="meta"),
        base.parts.autoencoder: base.autoencoder(device="meta").model,
        **base.text_encoder(device="meta").models,
    }
    return {
        part: partial(_complete, model, folder, part, variant) for part, model in models.items()
    }


def _complete(model: Any, folder: Path, part: str, variant: str | None) -> str:
    check_stored(model, folder / part, variant=part_variant(folder, part, variant))
    found = part_tensors(folder, part, variant=variant)
    for tensor, spec in found.items():
        # Counters and positions are integers in sound files too.
        if tensor.endswith(_FLOATING) and not spec.dtype.is_floating_point:
            raise ModelError(
                f"{folder / part}: tensor {tensor!r} is stored as {spec.dtype}, which is no "
                "floating dtype: restore the folder, or name another base"
            )
    return f"{len(found)} tensors, as its configuration has them"
