"""The models that one blend is made of, of the graph and from outside it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from styledag.errors import StyleFileError
from styledag.graph.stage import Declaration, PartNames, Uses

if TYPE_CHECKING:
    from styledag.bases.base import Parts
    from styledag.models.reference import ModelReference


def denoiser_part(parts: "Parts") -> tuple[str, ...]:
    """Return the part of a base that is always blended."""
    return (parts.denoiser,)


def foreign_role(name: str) -> str:
    """Return the role that a fine-tune of ``blends.foreign`` has in a stage."""
    return f"foreign.{name}"


def shares_of(declared: Declaration) -> tuple[dict[str, Any], dict[str, float]]:
    """Return how a style file states the weights of a blend that has such, and those of its models.

    Raises:
        StyleFileError: If the style has no blend of that name.
    """
    blend, mixed = declared.blend, declared.style.blends.mixed
    if blend.mixed is None:
        return {"weight": blend.weight}, {declared.partition.model_key: blend.weight}
    if blend.mixed not in mixed:
        raise StyleFileError(
            f"style {declared.partition.style!r} has no blend {blend.mixed!r}: name it in its "
            "section blends.mixed"
        )
    shares = dict(sorted(mixed[blend.mixed].items()))
    return {"mixed": shares}, shares


def outside_of(declared: Declaration) -> "Mapping[str, ModelReference]":
    """Return the models from outside the graph that one blend reads beside the base, by role."""
    blend, blends = declared.blend, declared.style.blends
    if blend.length is not None:
        return {}
    foreign = blends.foreign_in(blends.mixed.get(blend.mixed or "", {}))
    named = {foreign_role(name): reference for name, reference in foreign.items()}
    return {**blends.method.models(), **named}


def uses_of_parts(models: "Mapping[str, ModelReference]", parts: PartNames) -> list[Uses]:
    """Return the uses of some parts of models from outside the graph, by role."""

    def uses(role: str, model: "ModelReference") -> Uses:
        return Uses(role, lambda _: model, parts)

    return [uses(role, model) for role, model in models.items()]
