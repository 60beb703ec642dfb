"""The exponential moving average of trained weights, and the share of the base that it holds."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from styledag.diffusion.recipe import EmaSettings

DEFAULT_WARMUP_LIMIT = 0.9999
"""Upper limit of the decay in mode ``warmup``, as in diffusers' ``EMAModel``."""


def ema_decay(settings: EmaSettings, step: int, *, total_steps: int) -> float:
    """Return the share of the old average that an optimiser step keeps.

    Mode ``warmup`` is ``EMAModel.get_decay`` of diffusers with its default ramp: 0 at the first
    step, then ``(1 + s) / (10 + s)``. It overwrites the base at once. Mode ``base`` is constant.

    Args:
        settings: The recipe's average.
        step: The optimiser step, counted from 1.
        total_steps: Optimiser steps of the whole run.
    """
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
    in the modes whose first decay is 0.

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
        parameters: The trained parameters by name; float32. In mode ``none`` the averages are
            the parameters themselves and take no memory.
        settings: Mode and horizon.
        total_steps: Optimiser steps of the whole run.

    Attributes:
        averages: The averages by name.
        step: Optimiser steps averaged so far.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        settings: EmaSettings,
        *,
        total_steps: int,
        device: torch.device | None = None,
    ) -> None:
        del device
        self._parameters = dict(parameters)
        self._settings = settings
        self._total_steps = total_steps
        self.step = 0
        self.averages: dict[str, Tensor] = {
            name: parameter.detach()
            if settings.mode == "none"
            else parameter.detach().to(torch.float32, copy=True)
            for name, parameter in self._parameters.items()
        }

    @property
    def base_share(self) -> float:
        """Share of the base left in the averages."""
        return base_share(self._settings, self.step, total_steps=self._total_steps)

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages towards the parameters, after an optimiser step."""
        self.step += 1
        if self._settings.mode == "none":
            return
        decay = ema_decay(self._settings, self.step, total_steps=self._total_steps)
        torch._foreach_lerp_(
            list(self.averages.values()),
            [parameter.detach() for parameter in self._parameters.values()],
            1 - decay,
        )

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Lend the averages to the parameters, without a copy, for as long as the block runs."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        if self._settings.mode == "none":
            return
        for name, parameter in self._parameters.items():
            trained = parameter.data
            parameter.data = self.averages[name]
            self.averages[name] = trained
