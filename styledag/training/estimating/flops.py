"""Counting floating-point operations as they run, without holding on to any tensor.

``FlopCounterMode`` of torch counts the same, but keeps the modules' tensors alive meanwhile, so
that memory cannot be counted in the same pass.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

Shape = tuple[int, ...]

_attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_convolution_backward = torch.ops.aten.convolution_backward
_attention_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


class Flops(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, counts the floating-point operations of convolutions and products.

    A multiplication with its addition counts as two. Attention's gradient counts as four products,
    whether or not a kernel computes the first two again.

    Attributes:
        total: Operations so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count it."""
        del types
        result = func(*args, **(kwargs or {}))
        packet = func._overloadpacket
        if packet is _attention:
            self.total += _attention_flops(*(each.shape for each in args[:3]))
        elif packet is _attention_backward:
            self.total += 2 * _attention_flops(*(each.shape for each in args[1:4]))
        elif packet is _convolution_backward:
            self.total += _convolution_backward_flops(*args)
        elif packet in flop_registry:
            self.total += flop_registry[packet](*args, **(kwargs or {}), out_val=result)
        return result


def _attention_flops(query: Shape, key: Shape, value: Shape) -> int:
    """Return the operations of attention's two products; shapes are [B, heads, tokens, width]."""
    batch, heads, queries, width = query
    return 2 * batch * heads * queries * key[2] * (width + value[3])


def _convolution_backward_flops(
    grad_output: Tensor, image: Tensor, weight: Tensor, *settings: Any
) -> int:
    """Return the operations of a convolution's gradients, of which there may be two.

    Each takes as many as the convolution itself. torch's own count leaves groups out.
    """
    *_, transposed, _, _, wanted = settings
    positions = image if transposed else grad_output  # those at which the kernel is applied
    count = positions.shape[0] * math.prod(positions.shape[2:])
    found: int = 2 * count * weight.numel() * sum(wanted[:2])
    return found
