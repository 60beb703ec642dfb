"""Whether what a style reads of other models and styles is there and fits, before anything runs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from styledag.bases.base import Base
from styledag.errors import StyledagError
from styledag.graph.blending.models import denoiser_part
from styledag.graph.catalogue import Catalogue
from styledag.graph.names import Partition
from styledag.merging.parents import Parent, common_config, common_specs, differing_keys
from styledag.models.config import read_config
from styledag.models.reference import ModelReference, check_model
from styledag.models.soundness import open_part
from styledag.style.base_check import Mismatch
from styledag.style.model import Style
from styledag.tensors.layout import CONFIG_FILE

_TRAINED_AS = {"prediction_type": "epsilon", "rescale_betas_zero_snr": False}
"""What a scheduler's configuration states of a denoiser's training, by its default."""


def mixed_mismatches(catalogue: Catalogue, name: str, style: Style) -> Iterator[Mismatch]:
    """Yield the models in ``blends.mixed`` that are not there, or whose base is of another kind.

    Raises:
        StyledagError: If the style's own base cannot be found.
    """
    for blend, shares in style.blends.mixed.items():
        trained = [each for each in shares if each not in style.blends.foreign]
        models = [Partition.parse_model(each) for each in trained]
        if all(each.style != name for each in models):
            yield Mismatch(
                ("blends", "mixed", blend),
                f"names no model of {name}: name one, or write it into another style's file",
            )
        for model in models:
            try:
                why = _why_not(catalogue, name, style, model)
            except StyledagError as exc:
                why = f"cannot be mixed: {exc}"
            if why:
                yield Mismatch(("blends", "mixed", blend, str(model)), why)


def outside_mismatches(
    catalogue: Catalogue, name: str, style: Style, *, reads_values: bool
) -> Iterator[Mismatch]:
    """Yield the models from outside the graph that cannot be blended: missing, or of another kind.

    Args:
        catalogue: The project's.
        name: The style's.
        style: The style.
        reads_values: Whether their weights are searched for NaN and infinity.

    Raises:
        StyledagError: If the style's own base cannot be found.
    """
    own = catalogue.base(style.base)
    beside = [part for part in style.blends.parts if part in own.parts.beside_denoiser]
    for location, reference in style.blends.outside.items():
        try:
            other = catalogue.base(reference)
            why = _why_unlike(own, other, name, "names")
            parts = (*denoiser_part(other.parts), *beside)
            root = catalogue.project.root
            check_model(reference, project=root, parts=parts, values=reads_values)
            if not why:
                _check_alike(catalogue, style.base, reference, parts)
        except StyledagError as exc:
            why = f"cannot be blended with: {exc}"
        if why:
            yield Mismatch(("blends", *location), why)


def missing_styles(catalogue: Catalogue, name: str, style: Style) -> Iterator[Mismatch]:
    """Yield the other styles that scores tell this one from and that have no images yet."""
    for at, other in enumerate(style.scores.other_styles):
        why = ""
        if other == name:
            why = "is this style itself: name others"
        elif catalogue.store.current("image_dataset", other) is None:
            why = (
                f"is {other!r}, of which there is no dataset: run `styledag run {other} --to "
                "image_dataset` first"
            )
        if why:
            yield Mismatch(("scores", "other_styles", at), why)


def _why_not(catalogue: Catalogue, name: str, style: Style, model: Partition) -> str:
    """Return why a model cannot be mixed; empty if it can."""
    other = style if model.style == name else catalogue.style(model.style)
    if model.recipe not in other.recipes:
        there = ", ".join(other.recipes)
        return f"names a recipe that style {model.style} does not have: it has {there}"
    if model.style == name:
        return ""
    unlike = _why_unlike(catalogue.base(style.base), catalogue.base(other.base), name, "has")
    if unlike:
        return unlike
    if catalogue.store.current("ema_unet", model.stored_as) is None:
        return f"is not trained yet: run `styledag run {model} --to ema_unet` first"
    return ""


def _why_unlike(own: Base, other: Base, name: str, verb: str) -> str:
    """Return why a base cannot be blended with a style's own; empty if it can."""
    if own.family != other.family:
        return (
            f"{verb} a base of family {other.family} and {name} one of {own.family}: models of "
            "one family can be mixed"
        )
    own_config, config = _config(own), _config(other)
    for key in differing_keys(own_config, config):
        return (
            f"{verb} a base whose denoiser is of another shape: {key!r} is {config[key]!r}, "
            f"but {own_config[key]!r} in that of {name}"
        )
    own_schedule, schedule = _schedule(own), _schedule(other)
    for key in _TRAINED_AS:
        if own_schedule[key] != schedule[key]:
            return (
                f"{verb} a base whose {key} is {schedule[key]!r}, but {own_schedule[key]!r} in "
                f"that of {name}, by which a blend is drawn and exported: both must be trained "
                "alike"
            )
    return ""


def _check_alike(
    catalogue: Catalogue, own: ModelReference, other: ModelReference, parts: Sequence[str]
) -> None:
    """Check that parts of two models have the same tensors, by what is there without a download.

    Raises:
        ModelError: If they have not, or compute otherwise.
    """
    base, theirs = catalogue.base(own), catalogue.base(other)
    for part in parts:
        common_config(base.folder / part, theirs.folder / part)
        if not (
            _has_weights(catalogue, own, base, part)
            and _has_weights(catalogue, other, theirs, part)
        ):
            continue
        with ExitStack() as opened:
            ours = Parent(opened.enter_context(open_part(base.folder, part, variant=own.variant)))
            reader = open_part(theirs.folder, part, variant=other.variant)
            common_specs(ours, Parent(opened.enter_context(reader), ours))


def _has_weights(catalogue: Catalogue, reference: ModelReference, base: Base, part: str) -> bool:
    """Return whether a part's own weights are on this machine, and none from another file."""
    is_replaced = reference.denoiser is not None and part == base.parts.denoiser
    return not is_replaced and catalogue.path(reference.model).exists()


def _schedule(base: Base) -> Mapping[str, Any]:
    path = base.folder / "scheduler" / "scheduler_config.json"
    stated = read_config(path) if path.is_file() else {}
    return {key: stated.get(key, usual) for key, usual in _TRAINED_AS.items()}


def _config(base: Base) -> Mapping[str, Any]:
    return read_config(base.folder / base.parts.denoiser / CONFIG_FILE)
