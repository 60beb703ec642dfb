"""Dtypes that autocast and attention kernels give a pass, for the meta device without either."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_LOWERED: frozenset[Callable[..., Any]] = frozenset(
    {
        torch.conv2d,
        functional.linear,
        torch.matmul,
        torch.bmm,
        torch.baddbmm,
        Tensor.matmul,
        functional.scaled_dot_product_attention,
    }
)
"""What autocast computes in the lower dtype; of all that, what diffusers' UNet uses."""
_RAISED_ON_CUDA: frozenset[Callable[..., Any]] = frozenset(
    {functional.group_norm, functional.layer_norm, functional.softmax, Tensor.softmax}
)
"""What autocast computes in float32 on CUDA; on a CPU these follow their inputs."""

_fused_attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


class DeviceDtypes(TorchFunctionMode):
    """While it is entered, tensors have the dtypes that they would have on a device.

    Lowered weights are kept until :meth:`forget`, as autocast keeps them until its block ends.

    Args:
        device: Kind of the device, such as ``cuda``.
        dtype: Dtype of autocast; float32 for none.
    """

    def __init__(self, device: str, dtype: torch.dtype) -> None:
        super().__init__()
        self._lower = None if dtype == torch.float32 else dtype
        self._raised = _RAISED_ON_CUDA if device == "cuda" else frozenset()
        # MPS has no fused attention with a backward pass.
        self._fuses = device != "mps"
        self._lowered: dict[int, Tensor] = {}

    def forget(self) -> None:
        """Let the lowered weights go."""
        self._lowered.clear()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run a function in the dtype that the device would run it in."""
        del types
        kwargs = kwargs or {}
        if self._lower is not None and func in _LOWERED:
            args, kwargs = self._cast(args, kwargs, self._lowered_tensor)
        elif self._lower is not None and func in self._raised:
            args, kwargs = self._cast(args, kwargs, Tensor.float)
        if func is functional.scaled_dot_product_attention and self._fuses:
            return _attention(*args, **kwargs)
        return func(*args, **kwargs)

    def _cast(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], cast: Callable[[Tensor], Tensor]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (
            tuple(cast(each) if _is_number(each) else each for each in args),
            {name: cast(each) if _is_number(each) else each for name, each in kwargs.items()},
        )

    def _lowered_tensor(self, tensor: Tensor) -> Tensor:
        if tensor.dtype == self._lower:
            return tensor
        if not (tensor.is_leaf and tensor.requires_grad):
            return tensor.to(self._lower)
        if id(tensor) not in self._lowered:
            self._lowered[id(tensor)] = tensor.to(self._lower)
        return self._lowered[id(tensor)]


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return what the CPU's fused kernel returns, which keeps as much as those of other devices."""
    del enable_gqa  # no denoiser has fewer keys than queries
    attended: Tensor = _fused_attention(
        query, key, value, dropout_p, is_causal, attn_mask=attn_mask, scale=scale
    )[0]
    return attended


def _is_number(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
