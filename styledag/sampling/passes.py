"""Passes through a base's denoisers, compiled where there are so many that it pays."""

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from styledag.bases.base import Base
from styledag.bases.compiled import (
    PAYS_FROM_FLOPS,
    compile_modules,
    compiler_error,
    room_for_graphs,
)
from styledag.bases.conditioning import Conditioning
from styledag.models.side_by_side import SideBySide

if TYPE_CHECKING:
    from styledag.models.compute import Compute

_SHARE_OF_TRAINING = 0.5
"""A graph without a backward pass is compiled in about half the time."""

PassShape = tuple[int, int, int, int]
"""Images in a pass, and channels, height and width of their latents."""


class Passes:
    """Passes through denoisers of one base, without gradients.

    A compiled graph fits all denoisers of the base, whatever their weights, but one
    :data:`PassShape` only. So batches of the size that comes most often are compiled, and the last
    ones, which are smaller, run as they are.
    """

    def __init__(self, base: Base, compute: "Compute") -> None:
        self._base = base
        self._compute = compute
        self._done: Counter[PassShape] = Counter()
        self._compiled: WeakSet[nn.Module] = WeakSet()
        self._side_by_side = SideBySide() if compute.device.type == "cpu" else None

    def are_compiled(self, shape: PassShape, planned: int) -> bool:
        """Return whether passes of a shape are to be compiled.

        By itself that depends on their FLOPs. Earlier passes of the shape count as well: who has
        drawn many grids of a base is likely to draw more.

        Args:
            shape: Of one pass.
            planned: Passes to come; none are compiled of a shape that is not planned for.

        Raises:
            ModelError: If one of the base's configurations is missing or damaged.
        """
        if self._compute.compile is not None or not planned:
            return bool(self._compute.compile and planned)
        flops = (self._done[shape] + planned) * self._flops(shape)
        return flops >= _SHARE_OF_TRAINING * PAYS_FROM_FLOPS

    def predict(
        self,
        denoiser: Any,
        latents: Tensor,
        timesteps: Tensor,
        conditioning: Conditioning,
        *,
        compiled: bool,
    ) -> Tensor:
        """Return a denoiser's prediction; see :meth:`~styledag.bases.base.Base.predict`.

        Args:
            denoiser: The denoiser, which is compiled in place.
            latents: Noisy latents. # BCHW
            timesteps: One for each image, or one for all.
            conditioning: A row for each image.
            compiled: As :meth:`are_compiled` has it for the shape.

        Raises:
            DeviceError: If the denoiser must be compiled, and cannot be.
        """
        batch, channels, height, width = latents.shape
        self._done[batch, channels, height, width] += 1
        if not compiled and denoiser not in self._compiled:
            return self._uncompiled(denoiser, latents, timesteps, conditioning)
        if not compiled:
            with torch.compiler.set_stance("force_eager"):
                return self._base.predict(denoiser, latents, timesteps, conditioning)
        if denoiser not in self._compiled:
            compile_modules(denoiser, self._base)
            self._compiled.add(denoiser)
        try:
            with room_for_graphs(may_fail=self._compute.compile is None):
                return self._base.predict(denoiser, latents, timesteps, conditioning)
        except torch._dynamo.exc.BackendCompilerFailed as exc:
            raise compiler_error(exc) from exc

    def _uncompiled(
        self, denoiser: Any, latents: Tensor, timesteps: Tensor, conditioning: Conditioning
    ) -> Tensor:
        beside = self._side_by_side
        if beside is None or not beside.can_halve(latents):
            return self._base.predict(denoiser, latents, timesteps, conditioning)

        def predict(rows: slice) -> Tensor:
            own = timesteps[rows] if timesteps.dim() else timesteps
            return self._base.predict(denoiser, latents[rows], own, conditioning.select(rows))

        middle = len(latents) // 2
        halves = (slice(middle), slice(middle, len(latents)))
        return torch.cat(beside.both(*(partial(predict, each) for each in halves)))

    def _flops(self, shape: PassShape) -> int:
        """Return the FLOPs of one pass."""
        from styledag.training.estimating.dry_pass import dry_pass
        from styledag.training.recipe import Recipe

        batch, channels, height, width = shape
        with torch.inference_mode(mode=False):
            counted = dry_pass(
                self._base.folder,
                Recipe(),
                (channels, height, width),
                device=self._compute.device.type,
                dtype=self._compute.dtype,
                batch_size=1,
            )
        return batch * counted.flops_forward
