"""The settings of blends in a style file."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from styledag.merging.method import MergeSettings, method_of, settings_classes
from styledag.merging.methods.lerp import Lerp
from styledag.models.reference import ModelReference
from styledag.settings import StrictSettings, setting, settings_identity
from styledag.training.recipe import MAX_POWER_LENGTH

MIXED_NAME = r"(?!e\d+$)[a-z][a-z0-9_]{0,62}"
"""Of a blend of several models; ``e16`` is a checkpoint's key."""
_FOREIGN_NAME = r"[a-z][a-z0-9_-]{0,62}"

if TYPE_CHECKING:
    MethodSettings = MergeSettings
else:

    def _with_key(value: Any) -> Any:
        if isinstance(value, str):
            return {"type": value}
        if isinstance(value, Mapping):
            # Of what a validator returns, a strict tuple takes no list, though it was JSON's.
            return {k: tuple(each) if isinstance(each, list) else each for k, each in value.items()}
        return value

    # All methods that there are, so that a method is a file and nothing else.
    _ANY_METHOD = Annotated[reduce(or_, settings_classes()), Field(discriminator="type")]
    MethodSettings = Annotated[
        _ANY_METHOD, BeforeValidator(_with_key, json_schema_input_type=str | _ANY_METHOD)
    ]


@dataclass(frozen=True, kw_only=True)
class BlendSettings(StrictSettings):
    """How much of the fine-tune is mixed into the base, and over how much of the run it averages.

    Attributes:
        block_weights: As in merges "weighted by block": a block that knows more than it draws can
            stay nearer to the base than the others.
        lengths: One more blend each, of a recipe that keeps power-function averages only: all of
            the fine-tune, in the average of that relative length.
    """

    weights: tuple[float, ...] = setting(
        (0.0, 0.25, 0.5, 0.75, 1.0),
        min_length=1,
        help="Shares of the fine-tune, 0 to 1 in hundredths; 0 is the base, 1 the fine-tune.",
    )
    sweep: tuple[float, ...] = setting(
        (),
        help="Further weights, which are drawn and scored beside the blends but not stored: made "
        "in memory, they take no disk. Such as [0.1, 0.2, 0.3].",
    )
    method: MethodSettings = setting(
        default_factory=Lerp,
        help="How base and fine-tune are blended: a method's name, such as slerp, or its settings, "
        "such as {type: ties, density: 0.3}.",
    )
    block_weights: Mapping[str, float] = setting(
        default_factory=dict,
        help="Shares of the weight for single blocks, 0 to 1, such as {up.0: 0.5}; 1 for others.",
    )
    lengths: tuple[float, ...] = setting(
        (),
        help="For recipes with ema.mode power: further averages to reconstruct, each as one more "
        "blend; standard deviations as shares of the run, in thousandths, such as 0.15.",
    )

    foreign: Mapping[str, ModelReference] = setting(
        default_factory=dict,
        help="Fine-tunes made elsewhere of a base of the same family, by the names that mixed has "
        "for them, such as {photo: {model: photo.safetensors}}. Their denoisers are blended, and "
        "what parts names.",
    )
    parts: Mapping[str, float] = setting(
        default_factory=dict,
        help="What is blended beside the denoiser where foreign or add_difference brings models "
        "from elsewhere: shares of the weights by part, 0 to 1, such as {text_encoder: 1}. Parts "
        "that are left out stay the base's.",
    )
    mixed: Mapping[str, Mapping[str, float]] = setting(
        default_factory=dict,
        help="Blends of several models, such as {both: {twemoji.full: 0.3, openmoji.full: 0.7}}: "
        "shares of each, of this style, of others with a base of the same family, and of those "
        "that foreign names. What is left to 1 is this style's base.",
    )

    def __post_init__(self) -> None:
        _check_weights("weights", self.weights)
        _check_weights("sweep", self.sweep)
        both = sorted(set(self.weights) & set(self.sweep))
        if both:
            raise ValueError(f"sweep has {both[0]!r}, which weights has too: a blend is drawn once")
        for block, share in self.block_weights.items():
            if not 0 <= share <= 1:
                raise ValueError(f"block_weights[{block!r}] is {share!r}, but must be 0 to 1")
        for length in self.lengths:
            is_thousandths = abs(length * 1000 - round(length * 1000)) < 1e-9
            if not 0 < length < MAX_POWER_LENGTH or not is_thousandths:
                raise ValueError(
                    f"length {length!r} is not between 0 and {MAX_POWER_LENGTH} in steps of 0.001"
                )
        if list(self.lengths) != sorted(set(self.lengths)):
            raise ValueError(f"lengths {list(self.lengths)} must rise, each once")
        self._check_parts()
        for name in self.foreign:
            if not re.fullmatch(_FOREIGN_NAME, name):
                raise ValueError(f"foreign has {name!r}, which is no name: match {_FOREIGN_NAME}")
        for name, shares in self.mixed.items():
            self._check_mixed(name, shares)

    def _check_parts(self) -> None:
        for part, share in self.parts.items():
            if not 0 < share <= 1:
                raise ValueError(f"parts[{part!r}] is {share!r}, but must be above 0, at most 1")
        if self.parts and not self.outside:
            raise ValueError(
                "parts blends the text encoders and autoencoders of models from elsewhere, but "
                "none is named: name one in foreign, or in onto of add_difference"
            )
        if self.parts and self.sweep and self.method.models():
            raise ValueError(
                "sweep draws with the base's own text encoders and autoencoder: leave out parts, "
                "or write the weights of sweep into weights"
            )

    def _check_mixed(self, name: str, shares: Mapping[str, float]) -> None:
        if not re.fullmatch(MIXED_NAME, name):
            raise ValueError(f"mixed has {name!r}, which is no blend's name: match {MIXED_NAME}")
        if len(shares) < 2:
            raise ValueError(f"mixed[{name!r}] needs two models or more, such as twemoji.full: 0.3")
        for model, share in shares.items():
            if model not in self.foreign and not re.fullmatch(r"[^.@:/]+\.[^.@:/]+", model):
                raise ValueError(
                    f"mixed[{name!r}] has {model!r}: name a model as STYLE.RECIPE, or one of "
                    f"blends.foreign, which has {', '.join(self.foreign) or 'none'}"
                )
            if not 0 < share <= 1:
                raise ValueError(f"mixed[{name!r}][{model!r}] is {share!r}, but must be 0 to 1")
        if sum(shares.values()) > 1 + 1e-9:
            raise ValueError(f"the shares in mixed[{name!r}] sum to more than 1")
        if not method_of(self.method).several:
            raise ValueError(
                f"mixed[{name!r}] has several models, but method {self.method.type} merges one: "
                "name lerp, ties or dare"
            )

    def foreign_in(self, shares: Collection[str]) -> dict[str, ModelReference]:
        """Return the fine-tunes made elsewhere that are among the models of a blend, by name."""
        return {name: model for name, model in self.foreign.items() if name in shares}

    @property
    def outside(self) -> "dict[tuple[str, str], ModelReference]":
        """All models from outside the graph that blends read, by the keys where they are named."""
        of_method = {("method", role): model for role, model in self.method.models().items()}
        return of_method | {("foreign", name): model for name, model in self.foreign.items()}

    def identity(self, weight: float) -> dict[str, Any]:
        """Return what decides the blend of a weight besides the weight, for a cache key.

        Empty for linear interpolation of all blocks alike. A mixed blend has weight 1.
        """
        by_block = {"block_weights": dict(self.block_weights)} if weight else {}
        return {**self.method_identity, **(by_block if self.block_weights else {})}

    @property
    def method_identity(self) -> dict[str, Any]:
        """What decides a blend by its method, for a cache key; empty for linear interpolation."""
        return {} if self.method == Lerp() else {"method": settings_identity(self.method)}


def _check_weights(name: str, weights: Sequence[float]) -> None:
    for weight in weights:
        if not 0 <= weight <= 1 or abs(weight * 100 - round(weight * 100)) > 1e-9:
            raise ValueError(f"{name} has {weight!r}, which is not 0 to 1 in steps of 0.01")
    if list(weights) != sorted(set(weights)):
        raise ValueError(f"{name} {list(weights)} must rise, each once")
