"""Some layers of the fine-tune in the base: by pattern, as Text to Pokemon's author proposed."""

from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, ClassVar, Literal

from styledag.errors import ModelError
from styledag.merging.method import MergeSettings, Parents, merge_method
from styledag.merging.methods.lerp import lerp
from styledag.settings import setting

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class LayerSwap(MergeSettings):
    """lerp where a tensor's name matches, the base elsewhere: weights 0 and 1 are bit-exact."""

    reads_names: ClassVar[bool] = True
    type: Literal["layer_swap"] = setting("layer_swap", help="Only some layers.")
    layers: tuple[str, ...] = setting(
        min_length=1,
        help="Patterns of the names of tensors that come from the fine-tune, such as '*.attn2.*'.",
    )

    def check_names(self, names: Collection[str]) -> None:
        """Check that each pattern matches a tensor."""
        for pattern in self.layers:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise ModelError(
                    f"blends.method.layers has {pattern!r}, which no tensor's name matches; a name "
                    f"looks like {min(names)!r}"
                )


@merge_method(LayerSwap, rounds_once=True)
def layer_swap(parents: Parents, settings: LayerSwap) -> "Tensor":
    """Return the interpolation of one fine-tune where the tensor's name matches, else the base."""
    is_swapped = any(fnmatchcase(parents.name, pattern) for pattern in settings.layers)
    weight = parents.weights[0] if is_swapped else 0.0
    return lerp(parents.base, parents.tuned[0], weight)
