"""What a merge method is: settings, a pure function over tensors, and how both are registered."""

import importlib
import pkgutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from styledag.models.reference import ModelReference
from styledag.settings import StrictSettings, setting

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Parents:
    """One tensor of every parent, or the same rows of it.

    Attributes:
        name: Name of the tensor in the state dict.
        base: Of the base.
        tuned: Of each fine-tune of the base, in the same shape.
        weights: Weight of each fine-tune in this tensor, 0 to 1.
        others: Of the further models that :meth:`MergeSettings.models` names, by role.
    """

    name: str
    base: "Tensor"
    tuned: "Sequence[Tensor]"
    weights: Sequence[float]
    others: "Mapping[str, Tensor]" = field(default_factory=dict)

    @property
    def differences(self) -> "list[Tensor]":
        """What each fine-tune adds to the base."""
        return [each - self.base for each in self.tuned]


@dataclass(frozen=True, kw_only=True)
class MergeSettings(StrictSettings):
    """Settings of a merge method; the base class of all.

    Attributes:
        type: The method's name; a subclass allows that one value.
        reads_names: Whether the settings name tensors, which ``check_names`` then looks for.
    """

    type: str = setting(help="The method's name.")
    reads_names: ClassVar[bool] = False

    def models(self) -> Mapping[str, ModelReference]:
        """Return the further models whose tensors the method reads, by role."""
        return {}

    def check_names(self, names: Collection[str]) -> None:
        """Check the settings against the names of all tensors.

        Raises:
            ModelError: If they name something that is not there.
        """


@dataclass(frozen=True)
class Method:
    """A registered method.

    Attributes:
        merge: Returns the merged tensor, in the shape of the base's.
        whole_tensors: Whether ``merge`` needs each tensor whole rather than in pieces.
        several: Whether it merges more than one fine-tune.
        rounds_once: Whether ``merge`` itself computes in float32 and rounds once when it receives
            half-precision tensors. It then receives them as they are stored, which is faster; all
            others receive float32.
        spreads_nan: Whether NaN or infinity in any parent is one in the result, with all weights
            between 0 and 1.
    """

    merge: "Callable[[Parents, Any], Tensor]"
    whole_tensors: bool
    several: bool
    rounds_once: bool
    spreads_nan: bool


_METHODS: dict[type[MergeSettings], Method] = {}

Merge = Callable[[Parents, Any], "Tensor"]


def merge_method(
    settings: type[MergeSettings],
    *,
    whole_tensors: bool = False,
    several: bool = False,
    rounds_once: bool = False,
    spreads_nan: bool = False,
) -> Callable[[Merge], Merge]:
    """Return a decorator that registers a function as the :class:`Method` of these settings."""

    def register(merge: Merge) -> Merge:
        _METHODS[settings] = Method(merge, whole_tensors, several, rounds_once, spreads_nan)
        return merge

    return register


def method_of(settings: MergeSettings) -> Method:
    """Return the method that settings belong to."""
    return _METHODS[type(settings)]


@cache
def _import_methods() -> None:
    # By name: the files in ``methods/`` import this one to register what they contain.
    package = importlib.import_module("styledag.merging.methods")
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)


def settings_classes() -> list[type[MergeSettings]]:
    """Return the settings classes of all methods: one for each file in ``methods/``."""
    _import_methods()
    return sorted(_METHODS, key=lambda each: each.__name__)
