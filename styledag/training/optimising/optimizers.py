"""Optimisers for weights in float32 or, stochastically rounded, in bfloat16."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from styledag.errors import TrainingError
from styledag.randomness import seed_for
from styledag.training.recipe import Recipe

_SHARE = "share_of_rate"

_CHUNK_ELEMENTS = 1 << 25
"""Elements that are float32 at a time while bfloat16 weights are stepped: 128 MiB."""
_LOST_BITS = 16
"""Bits of a float32 that its bfloat16 lacks."""
_NORM_EPSILON = 1e-6
"""As in torch's ``clip_grad_norm_``."""


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """An optimiser's settings that stay the same over all steps.

    Attributes:
        betas: AdamW's decays of the first and second moment.
        seed: Run seed, from which stochastic rounding follows.
    """

    kind: Literal["adamw", "adamw_8bit", "adafactor"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 1e-2
    seed: int = 0

    @classmethod
    def of(cls, recipe: Recipe) -> "OptimizerSettings":
        """Return a recipe's own."""
        return cls(
            kind=recipe.optimizer,
            betas=(recipe.adam_beta1, recipe.adam_beta2),
            epsilon=recipe.adam_epsilon,
            weight_decay=recipe.weight_decay,
            seed=recipe.seed,
        )


class Optimizer:
    """One or several torch optimisers over named parameters, with a state that can be saved.

    Parameters in bfloat16 are stepped in float32, some millions at a time. Those with masters have
    these rounded to the nearest afterwards; others are rounded stochastically, by random numbers
    that follow from the run seed and the step.

    Args:
        parameters: By name; all float32 or all bfloat16.
        settings: Which optimiser and how.
        rate_shares: Each parameter's share of the learning rate; 1 for all when left out.
        masters: Float32 values by name that parameters in bfloat16 have rounded: of all, or none.

    Raises:
        TrainingError: If the optimiser's library is not installed.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        settings: OptimizerSettings,
        *,
        rate_shares: Mapping[str, float] | None = None,
        masters: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._parameters = list(parameters.values())
        self._masters = masters or {}
        self._seed = settings.seed
        self._rounded = any(each.dtype == torch.bfloat16 for each in parameters.values())
        chunks = _chunks(parameters) if self._rounded else [dict(parameters)]
        shares = rate_shares or dict.fromkeys(parameters, 1.0)
        self._optimizers = [(chunk, _build(_groups(chunk, shares), settings)) for chunk in chunks]

    def step(self, learning_rate: float, *, step: int, max_grad_norm: float = math.inf) -> Tensor:
        """Step all parameters by their gradients, and return the norm that these had.

        Args:
            learning_rate: For this step; each parameter uses its share of it.
            step: Optimiser steps taken before; decides how weights in bfloat16 are rounded.
            max_grad_norm: Gradients of a larger norm are scaled down to it.
        """
        for _, optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * group[_SHARE]
        if not self._rounded:
            norm = torch.nn.utils.clip_grad_norm_(self._parameters, max_grad_norm)
            for _, optimizer in self._optimizers:
                optimizer.step()
            return norm
        norm = _norm(self._parameters)
        scale = (max_grad_norm / (norm + _NORM_EPSILON)).clamp(max=1.0)
        for at, (chunk, optimizer) in enumerate(self._optimizers):
            generator = torch.Generator(norm.device)
            generator.manual_seed(seed_for(self._seed, step, "rounding", at))
            with _widened(chunk, self._masters, scale, generator):
                optimizer.step()
        return norm

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for _, optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        """Return the state as tensors under ``NAME/KEY``; counts as int64.

        None is a copy, but for small tables that several parameters share.
        """
        return optimizer_tensors(self._optimizers)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Become what :meth:`tensors` was taken from."""
        restore_optimizers(self._optimizers, tensors)


def optimizer_tensors(
    optimizers: Iterable[tuple[Mapping[str, nn.Parameter], torch.optim.Optimizer]],
) -> dict[str, Tensor]:
    """Return the state of torch's optimisers as tensors under ``NAME/KEY``; counts as int64.

    None is a copy, but for small tables that several parameters share.

    Args:
        optimizers: Each beside its parameters by name.
    """
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for parameters, optimizer in optimizers:
        for name, parameter in parameters.items():
            for key, value in optimizer.state[parameter].items():
                tensor = value if isinstance(value, Tensor) else torch.tensor(int(value))
                shared = tensor.data_ptr() in seen
                seen.add(tensor.data_ptr())
                tensors[f"{name}/{key}"] = tensor.clone() if shared else tensor
    return tensors


def restore_optimizers(
    optimizers: Iterable[tuple[Mapping[str, nn.Parameter], torch.optim.Optimizer]],
    tensors: Mapping[str, Tensor],
) -> None:
    """Give torch's optimisers the state that :func:`optimizer_tensors` took."""
    by_parameter: dict[str, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        name, _, key = path.rpartition("/")
        by_parameter.setdefault(name, {})[key] = value
    for parameters, optimizer in optimizers:
        fused = bool(optimizer.defaults.get("fused"))
        for name, parameter in parameters.items():
            optimizer.state[parameter] = {
                key: _restored(key, value, parameter, fused=fused)
                for key, value in by_parameter[name].items()
            }


def _restored(key: str, value: Tensor, parameter: nn.Parameter, *, fused: bool) -> Tensor | int:
    if value.dtype == torch.int64:
        return int(value)
    if key == "step" and not fused:
        # torch counts steps on the CPU, except where the whole step is one kernel of the device.
        return value.clone()
    if value.shape != parameter.shape:
        return value.to(parameter.device, copy=True)
    # A fused kernel walks a parameter and its moments in the order in which both lie in memory.
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _groups(chunk: Mapping[str, nn.Parameter], shares: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return torch's groups of parameters, one for each share of the learning rate."""
    by_share: dict[float, list[nn.Parameter]] = {}
    for name, parameter in chunk.items():
        by_share.setdefault(shares[name], []).append(parameter)
    return [{"params": group, _SHARE: share} for share, group in by_share.items()]


def _build(parameters: list[dict[str, Any]], settings: OptimizerSettings) -> torch.optim.Optimizer:
    decay = settings.weight_decay
    adam: dict[str, Any] = {"betas": settings.betas, "eps": settings.epsilon}
    match settings.kind:
        case "adamw":
            return torch.optim.AdamW(parameters, weight_decay=decay, **adam, fused=True)
        case "adafactor":
            return torch.optim.Adafactor(parameters, weight_decay=decay)
        case "adamw_8bit":
            return _eight_bit(parameters, weight_decay=decay, **adam)


def _eight_bit(parameters: list[dict[str, Any]], **settings: Any) -> torch.optim.Optimizer:
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as exc:
        raise TrainingError(
            "optimizer 'adamw_8bit' needs bitsandbytes, which is not installed: "
            "pip install 'styledag[adam8bit]', or set optimizer to 'adamw'"
        ) from exc
    optimizer: torch.optim.Optimizer = AdamW8bit(parameters, **settings)
    return optimizer


def _chunks(parameters: Mapping[str, nn.Parameter]) -> list[dict[str, nn.Parameter]]:
    chunks: list[dict[str, nn.Parameter]] = [{}]
    elements = 0
    for name, parameter in parameters.items():
        if elements and elements + parameter.numel() > _CHUNK_ELEMENTS:
            chunks.append({})
            elements = 0
        chunks[-1][name] = parameter
        elements += parameter.numel()
    return chunks


def _norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Return the gradients' norm, summed in float32 whatever their dtype."""
    gradients = [each.grad for each in parameters if each.grad is not None]
    norms = torch._foreach_norm(gradients, dtype=torch.float32)
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return norm


@contextmanager
def _widened(
    parameters: Mapping[str, nn.Parameter],
    masters: Mapping[str, Tensor],
    scale: Tensor,
    generator: torch.Generator,
) -> Iterator[None]:
    """Make parameters and scaled gradients float32 while the block runs, then round back."""
    halves = {name: parameter.data for name, parameter in parameters.items()}
    for name, parameter in parameters.items():
        gradient = parameter.grad
        parameter.grad = None
        parameter.data = masters[name] if masters else halves[name].float()
        parameter.grad = None if gradient is None else gradient.float().mul_(scale)
    yield
    for name, parameter in parameters.items():
        parameter.grad = None
        values = parameter.data
        halves[name].copy_(values if masters else stochastically_rounded(values, generator))
        parameter.data = halves[name]


def stochastically_rounded(values: Tensor, generator: torch.Generator) -> Tensor:
    """Return values as bfloat16, each rounded up as often as it lies near the number above.

    The mean over many roundings is the value itself, while rounding to the nearest would leave a
    weight where it is whenever a step is below half of the distance to the next number (Zamirai
    et al. 2020, "Revisiting BFloat16 Training").

    Args:
        values: float32, of any shape.
        generator: Of the values' own device.
    """
    bits = values.view(torch.int32)
    chance = torch.empty_like(bits).random_(0, 1 << _LOST_BITS, generator=generator)
    rounded = chance.add_(bits).bitwise_and_(-(1 << _LOST_BITS))
    return rounded.view(torch.float32).to(torch.bfloat16)
