"""The memory of fused attention, for the meta device without its kernels."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_fused_attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


class FusedAttention(TorchFunctionMode):
    """While it is entered, attention keeps for its backward pass what a device's kernel keeps.

    Args:
        device: Kind of the device, such as ``cuda``.
    """

    def __init__(self, device: str) -> None:
        super().__init__()
        # MPS has no fused attention with a backward pass.
        self._fuses = device != "mps"

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run a function, attention as the device would."""
        del types
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention and self._fuses:
            return _attention(*args, **kwargs)
        return func(*args, **kwargs)


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
