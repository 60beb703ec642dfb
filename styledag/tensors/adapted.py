"""Weights with low-rank adapters added, to the same bits on every machine."""

from functools import cached_property

import torch
from torch import Tensor

from styledag.errors import ModelError
from styledag.tensors.reader import TensorReader, TensorSpec

_A, _B = ".lora_A.weight", ".lora_B.weight"
_ELEMENTS = 1 << 22


class AdaptedTensors:
    """The weights of a model, each with the product of its adapter's matrices added.

    The product of two float16 numbers has 22 bits, and float64 holds the sum of many of them
    without an error, so that neither the order in which a machine adds nor its number of threads
    changes the result.

    Args:
        plain: The weights without adapters.
        adapters: A file of adapters with diffusers' names, as float16, whose second matrices
            include the scale; ``None`` for none.
    """

    def __init__(self, plain: TensorReader, adapters: TensorReader | None) -> None:
        self.plain = plain
        self._adapters = adapters

    def rounded(self, spec: TensorSpec) -> Tensor:
        """Return the flat elements of a weight in the dtype of ``spec``, adapters added.

        Raises:
            ModelError: If a file is damaged, or an adapter is not one of this weight.
        """
        name = self._names.get(spec.name)
        if name is None or self._adapters is None:
            return self.plain.read(spec.name).flatten().to(spec.dtype)
        down = self._adapters.read(name + _A).double().flatten(1)
        up = self._adapters.read(name + _B).double().flatten(1)
        if (len(up), down.shape[1]) != (spec.rows, spec.numel // spec.rows):
            raise ModelError(
                f"{self._adapters.path}: the adapter {name!r} gives {len(up)} x {down.shape[1]} "
                f"elements, but {spec.name!r} of {self.plain.path} is {list(spec.shape)}: name the "
                "base that they were trained on"
            )
        elements = torch.empty(spec.rows, down.shape[1], dtype=spec.dtype)
        for start, stop in spec.pieces(_ELEMENTS):
            product = up[start:stop] @ down
            elements[start:stop] = product.add_(
                self.plain.read(spec.name, start, stop).reshape(product.shape)
            )
        return elements.flatten()

    @cached_property
    def _names(self) -> dict[str, str]:
        """The adapters' names without their ending, by the weight that they belong to."""
        if self._adapters is None:
            return {}
        layers = (name.removesuffix(_A) for name in self._adapters.specs if name.endswith(_A))
        # The name of the denoiser's folder stands before each.
        return {f"{layer.partition('.')[2]}.weight": layer for layer in layers}
