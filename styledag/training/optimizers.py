"""The optimiser of a recipe, for weights in float32 or, stochastically rounded, in bfloat16."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from styledag.errors import TrainingError
from styledag.randomness import seed_for
from styledag.training.recipe import Recipe
from styledag.training.rounding import stochastically_rounded

_SHARE = "share_of_rate"

_CHUNK_NUMBERS = 1 << 25
"""Weights that are float32 at a time while bfloat16 ones are stepped: 128 MiB."""


class Optimizer:
    """One or several torch optimisers over named parameters, with a state that can be saved.

    Parameters in bfloat16 are stepped in float32, some millions at a time, and rounded back
    stochastically; what chance they take follows from run seed and step alone.

    Args:
        parameters: By name; all float32 or all bfloat16.
        recipe: Which optimiser, with which rates; and the run seed.
        rate_shares: Share of the learning rate of each parameter; 1 for all when left out.

    Raises:
        TrainingError: If the optimiser's library is not installed.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        recipe: Recipe,
        *,
        rate_shares: Mapping[str, float] | None = None,
    ) -> None:
        self._recipe = recipe
        self._rounded = any(each.dtype == torch.bfloat16 for each in parameters.values())
        chunks = _chunks(parameters) if self._rounded else [dict(parameters)]
        shares = rate_shares or dict.fromkeys(parameters, 1.0)
        self._optimizers = [(chunk, _build(_groups(chunk, shares), recipe)) for chunk in chunks]

    def step(self, learning_rate: float, *, step: int) -> None:
        """Step all parameters by their gradients.

        Args:
            learning_rate: For this step; single blocks take the recipe's share of it.
            step: Optimiser steps taken before; decides how weights in bfloat16 are rounded.
        """
        for at, (chunk, optimizer) in enumerate(self._optimizers):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * group[_SHARE]
            if self._rounded:
                device = next(iter(chunk.values())).device
                generator = torch.Generator(device)
                generator.manual_seed(seed_for(self._recipe.seed, step, "rounding", at))
                with _widened(chunk, generator):
                    optimizer.step()
            else:
                optimizer.step()

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
    """Give torch's optimisers the state that :func:`optimizer_tensors` took.

    Args:
        optimizers: Each beside its parameters by name.
        tensors: The state.
    """
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
    # torch counts steps on the CPU, except where the whole step is one kernel of the device.
    return value.clone() if key == "step" and not fused else value.to(parameter.device, copy=True)


def _groups(chunk: Mapping[str, nn.Parameter], shares: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return torch's groups of parameters, one for each share of the learning rate."""
    by_share: dict[float, list[nn.Parameter]] = {}
    for name, parameter in chunk.items():
        by_share.setdefault(shares[name], []).append(parameter)
    return [{"params": group, _SHARE: share} for share, group in by_share.items()]


def _build(parameters: list[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer:
    rates: dict[str, Any] = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    adam: dict[str, Any] = {
        "betas": (recipe.adam_beta1, recipe.adam_beta2),
        "eps": recipe.adam_epsilon,
    }
    match recipe.optimizer:
        case "adamw":
            return torch.optim.AdamW(parameters, **rates, **adam, fused=True)
        case "adafactor":
            return torch.optim.Adafactor(parameters, **rates)
        case "adamw_8bit":
            return _eight_bit(parameters, **rates, **adam)


def _eight_bit(parameters: list[dict[str, Any]], **rates: Any) -> torch.optim.Optimizer:
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as exc:
        raise TrainingError(
            "optimizer 'adamw_8bit' needs bitsandbytes, which is not installed: "
            "pip install 'styledag[adam8bit]', or set optimizer to 'adamw'"
        ) from exc
    optimizer: torch.optim.Optimizer = AdamW8bit(parameters, **rates)
    return optimizer


def _chunks(parameters: Mapping[str, nn.Parameter]) -> list[dict[str, nn.Parameter]]:
    chunks: list[dict[str, nn.Parameter]] = [{}]
    numbers = 0
    for name, parameter in parameters.items():
        if numbers and numbers + parameter.numel() > _CHUNK_NUMBERS:
            chunks.append({})
            numbers = 0
        chunks[-1][name] = parameter
        numbers += parameter.numel()
    return chunks


@contextmanager
def _widened(parameters: Mapping[str, nn.Parameter], generator: torch.Generator) -> Iterator[None]:
    """Make parameters and gradients float32 for as long as the block runs, then round back."""
    halves = {name: parameter.data for name, parameter in parameters.items()}
    for name, parameter in parameters.items():
        gradient = parameter.grad
        parameter.grad = None
        parameter.data = halves[name].float()
        parameter.grad = None if gradient is None else gradient.float()
    yield
    for name, parameter in parameters.items():
        parameter.grad = None
        halves[name].copy_(stochastically_rounded(parameter.data, generator))
        parameter.data = halves[name]
