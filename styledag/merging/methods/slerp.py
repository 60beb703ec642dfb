"""Spherical interpolation: along the arc between two tensors, which keeps their length."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from styledag.merging.method import MergeSettings, Parents, merge_method
from styledag.settings import setting

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Slerp(MergeSettings):
    """Each tensor turned from the base's direction to the fine-tune's; 0 and 1 are bit-exact."""

    type: Literal["slerp"] = setting("slerp", help="Spherical interpolation.")
    parallel: float = setting(
        0.9995,
        gt=0,
        le=1,
        help="Cosine from which on two tensors are interpolated linearly instead, as nearly all "
        "tensors of a short fine-tune are.",
    )


@merge_method(Slerp, whole_tensors=True)
def merge_slerp(parents: Parents, settings: Slerp) -> "Tensor":
    """Return the interpolation of one fine-tune."""
    return slerp(parents.base, parents.tuned[0], parents.weights[0], parallel=settings.parallel)


def slerp(base: "Tensor", tuned: "Tensor", weight: float, *, parallel: float) -> "Tensor":
    """Return ``(sin((1 - w) a) base + sin(w a) tuned) / sin(a)``, ``a`` being their angle.

    Shoemake, "Animating rotation with quaternion curves" (1985); the angle is that of the tensors
    as vectors, and their lengths are kept as they are.

    Args:
        base: A whole tensor in float32 or wider.
        tuned: Same shape and dtype.
        weight: Share of the fine-tune, 0 to 1.
        parallel: Cosine, positive or negative, from which on the result is linear.
    """
    import torch

    if weight in (0, 1):
        return tuned if weight else base
    norms = float(torch.linalg.vector_norm(base)) * float(torch.linalg.vector_norm(tuned))
    cosine = _dot(base, tuned) / norms if norms else 1.0
    if abs(cosine) >= parallel:
        return torch.lerp(base, tuned, weight)
    angle = torch.tensor(cosine, dtype=torch.float64).clamp(-1, 1).arccos()
    shares = torch.sin(angle * torch.tensor([1 - weight, weight])) / torch.sin(angle)
    return base * float(shares[0]) + tuned * float(shares[1])


def _dot(one: "Tensor", other: "Tensor") -> float:
    """Return the dot product of two tensors as vectors, summed in float64.

    The angle of nearly parallel tensors is lost in the last digits of float32. Apple's GPUs have no
    float64, so theirs are summed on the CPU.
    """
    if one.device.type == "mps":
        one, other = one.cpu(), other.cpu()
    return float((one.double() * other).sum())
