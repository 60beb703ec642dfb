"""The exponential moving average of trained weights, and the share of the base in it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from styledag.training.averaging.parameter_groups import ParameterGroups
from styledag.training.averaging.posthoc import gamma_of, power_decay, power_lengths
from styledag.training.recipe import EmaSettings

DEFAULT_WARMUP_LIMIT = 0.9999
"""Upper limit of the decay in mode ``warmup``, as in diffusers' ``EMAModel``."""


def ema_decay(settings: EmaSettings, step: int, *, total_steps: int) -> float:
    """Return the share of the old average that an optimiser step keeps.

    Mode ``warmup`` is ``EMAModel.get_decay`` of diffusers with its default ramp: 0 at the first
    step, then ``(1 + s) / (10 + s)``. It overwrites the base at once. Mode ``base`` is constant.
    Mode ``power`` is that of its first average, ``(1 - 1/t)^(gamma + 1)``.

    Args:
        settings: The recipe's average.
        step: The optimiser step, counted from 1.
        total_steps: Optimiser steps of the whole run.
    """
    if settings.mode == "power":
        return power_decay(step, gamma_of(power_lengths(settings)[0]))
    if settings.mode == "warmup":
        ramp = (1 + (step - 1)) / (10 + (step - 1)) if step > 1 else 0.0
        limit = DEFAULT_WARMUP_LIMIT if settings.decay is None else settings.decay
        return min(ramp, limit)
    if settings.base_share is not None:
        return float(settings.base_share ** (1 / total_steps))
    return settings.decay or 0.0


def base_share(settings: EmaSettings, step: int, *, total_steps: int) -> float:
    """Return the share of the base's weights left in the average after an optimiser step.

    It is the product of all decays so far: 1 before the first step, and 0 from the first step on
    in the modes whose first decay is 0. ``power`` is one of them, whatever its length: at t = 1
    ``(1 - 1/t)^(gamma + 1)`` is 0, and after step t the shares of the weights of steps 1 to t,
    ``(tau^(gamma + 1) - (tau - 1)^(gamma + 1)) / t^(gamma + 1)``, sum to 1 without the base's.

    Args:
        settings: The recipe's average.
        step: Optimiser steps taken so far; at least 0.
        total_steps: Optimiser steps of the whole run.
    """
    if step == 0:
        return 1.0
    return ema_decay(settings, 1, total_steps=total_steps) ** step


class Ema:
    """Float32 averages of named parameters, which start as the parameters' values.

    A half-precision average at 0.9999 would stop moving: its updates are below one rounding.

    Args:
        parameters: The trained parameters by name, of any floating dtype. In mode ``none`` the
            averages are the parameters themselves and need no memory.
        settings: Mode and horizon.
        total_steps: Optimiser steps of the whole run.
        device: The averages' device; their parameters' when left out. From a GPU to the
            CPU the parameters' values come through pinned memory, without waiting for each.
        masters: Float32 values by name that the parameters have rounded, and which are averaged
            in their place; none where they are not rounded.

    Attributes:
        averages: The averages by name; in mode ``power`` those of the first length.
        second: Mode ``power``: the averages of the second length; ``None`` in all other modes.
        step: Optimiser steps averaged so far.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        settings: EmaSettings,
        *,
        total_steps: int,
        device: torch.device | None = None,
        masters: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._parameters = dict(parameters)
        self._masters = dict(masters or {})
        averaged: Mapping[str, Tensor] = self._masters or self._parameters
        self._settings = settings
        self._total_steps = total_steps
        self.step = 0
        self.averages: dict[str, Tensor] = {}
        self.second: dict[str, Tensor] | None = None
        if settings.mode == "none" or not self._parameters:
            self.averages = {name: each.detach() for name, each in averaged.items()}
            return
        self._device = device or next(iter(self._parameters.values())).device
        self._groups = ParameterGroups(averaged, self._device)
        self.averages = {name: self._copy(each) for name, each in averaged.items()}
        if settings.mode == "power":
            self._gammas = [gamma_of(length) for length in power_lengths(settings)]
            self.second = {name: each.clone() for name, each in self.averages.items()}

    @property
    def base_share(self) -> float:
        """Share of the base left in the averages."""
        return base_share(self._settings, self.step, total_steps=self._total_steps)

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages towards the parameters, after an optimiser step."""
        self.step += 1
        if self._settings.mode == "none" or not self._parameters:
            return
        moved = self._moved()
        for names, trained in self._groups:
            for averages, decay in moved:
                torch._foreach_lerp_([averages[name] for name in names], trained, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the parameters the averages' values while the block runs.

        Where both have one dtype and one device, their storage is swapped. Elsewhere values are
        copied, and the parameters' own are kept on the averages' device meanwhile, if they have no
        masters.
        """
        if self._settings.mode == "none":
            yield
            return
        trained = self._swap()
        try:
            yield
        finally:
            for name, values in trained.items():
                self._parameters[name].data.copy_(values)
            self._swap_storage()

    def _moved(self) -> list[tuple[dict[str, Tensor], float]]:
        """Return each set of averages with the share of it that this step keeps."""
        if self.second is None:
            decay = ema_decay(self._settings, self.step, total_steps=self._total_steps)
            return [(self.averages, decay)]
        kept = (self.averages, self.second)
        return [
            (each, power_decay(self.step, g)) for each, g in zip(kept, self._gammas, strict=True)
        ]

    def _copy(self, values: Tensor) -> Tensor:
        return values.detach().to(self._device, torch.float32, copy=True)

    def _swap(self) -> dict[str, Tensor]:
        """Swap storage or values; return the values of the parameters that were copied to."""
        self._swap_storage()
        trained = {}
        for name, parameter in self._parameters.items():
            if not self._can_swap(name):
                master = self._masters.get(name)
                trained[name] = (
                    parameter.detach().to(self._device, copy=True) if master is None else master
                )
                parameter.data.copy_(self.averages[name])
        return trained

    def _swap_storage(self) -> None:
        for name, parameter in self._parameters.items():
            if self._can_swap(name):
                trained = parameter.data
                parameter.data = self.averages[name]
                self.averages[name] = trained

    def _can_swap(self, name: str) -> bool:
        parameter, average = self._parameters[name], self.averages[name]
        return parameter.dtype == average.dtype and parameter.device == average.device
