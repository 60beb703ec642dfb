"""A frozen base in 8 or 4 bits under the adapters that are trained, by bitsandbytes' kernels.

Dettmers et al. 2023, "QLoRA: Efficient Finetuning of Quantized LLMs". Linear layers of the blocks
are stored quantised in groups of elements that share a scale: 8 bits linearly, 4 bits as NF4. Each
pass makes a layer's weight whole again for as long as it is multiplied, forward and backward, so
that passes compute in their own dtype and nothing quantised is kept for the backward pass.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from styledag.bases.base import Base
from styledag.errors import TrainingError

_EIGHT, _FOUR = 8, "nf4"
_GROUP = {8: 256, 4: 64}
"""Elements that share a scale, by bits."""


def quantise(
    denoiser: nn.Module, base: Base, bits: int, *, device: "torch.device | str", dtype: torch.dtype
) -> list[str]:
    """Quantise the frozen linear layers of a denoiser's blocks, and return their names.

    Args:
        denoiser: With adapters or without; changed in place, layer by layer, so that the device
            need never hold all of it unquantised.
        base: The base that it is of.
        bits: 8 or 4.
        device: Where the quantised weights go; on ``meta`` no library is needed.
        dtype: Dtype of the passes.

    Raises:
        TrainingError: If bitsandbytes is not installed, or no such layer is there.
    """
    inner = {id(each) for block in base.modules_to_compile(denoiser) for each in block.modules()}
    chosen = [
        (f"{path}.{name}", parent, name, layer)
        for path, parent in denoiser.named_modules()
        if id(parent) in inner
        for name, layer in parent.named_children()
        if isinstance(layer, nn.Linear) and not layer.weight.requires_grad
    ]
    if not chosen:
        raise TrainingError(
            f"{base.family} has no linear layers in its blocks that lora.base_bits could keep in "
            f"{bits} bits: remove base_bits"
        )
    for _, parent, name, layer in chosen:
        setattr(parent, name, QuantisedLinear(layer, bits, device=device, dtype=dtype))
    return [path for path, *_ in chosen]


class QuantisedLinear(nn.Module):
    """A linear layer that nothing trains, in few bits.

    Raises:
        TrainingError: If bitsandbytes is not installed.
    """

    weight: Tensor
    scales: Tensor
    code: Tensor

    def __init__(
        self, layer: nn.Linear, bits: int, *, device: "torch.device | str", dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.bias = layer.bias
        self._bits, self._dtype = bits, dtype
        weight = layer.weight.detach().to(device).contiguous()
        stored, scales, code = _quantised(weight, bits)
        # Its dtype says to code that looks at it that it is no weight to compute with.
        self.register_buffer("weight", stored, persistent=False)
        self.register_buffer("scales", scales, persistent=False)
        self.register_buffer("code", code, persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the layer's outputs."""
        outputs: Tensor = _Multiplied.apply(inputs.to(self._dtype), self)  # type: ignore[no-untyped-call]
        return outputs

    def whole_weight(self) -> Tensor:
        """Return the weight as it is multiplied: [out, in], in the dtype of the passes."""
        shape = (self.out_features, self.in_features)
        stored, scales, code = self.weight, self.scales, self.code
        if stored.is_meta:
            return torch.empty(shape, dtype=self._dtype, device="meta")
        kernels, group = torch.ops.bitsandbytes, _GROUP[self._bits]
        whole: Tensor
        if self._bits == _EIGHT:
            whole = kernels.dequantize_blockwise(stored, scales, code, group, self._dtype)
        else:
            whole = kernels.dequantize_4bit(stored, scales, group, _FOUR, shape, self._dtype)
        return whole


class _Multiplied(torch.autograd.Function):
    """Multiplies by a weight that is made again for the backward pass instead of being kept."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, layer: QuantisedLinear) -> Tensor:
        ctx.layer = layer
        bias = None if layer.bias is None else layer.bias.to(inputs.dtype)
        return functional.linear(inputs, layer.whole_weight(), bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient @ ctx.layer.whole_weight(), None


def _quantised(weight: Tensor, bits: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return a weight's bytes, its scales, and what each byte stands for: nothing of 4 bits."""
    group = _GROUP[bits]
    if weight.is_meta:
        shape = weight.shape if bits == _EIGHT else (-(-weight.numel() // 2), 1)
        stored = torch.empty(shape, dtype=torch.uint8, device="meta")
        scales = torch.empty(-(-weight.numel() // group), device="meta")
        return stored, scales, torch.empty(256 if bits == _EIGHT else 0, device="meta")
    try:
        from bitsandbytes.functional import create_linear_map
    except ImportError as exc:
        raise TrainingError(
            f"the recipe has lora.base_bits {bits}, which needs bitsandbytes: pip install "
            "'styledag[adam8bit]', or remove base_bits"
        ) from exc
    kernels = torch.ops.bitsandbytes
    if bits == _EIGHT:
        code = create_linear_map(signed=True, total_bits=_EIGHT).to(weight.device)
        return (*kernels.quantize_blockwise(weight, code, group), code)
    stored, scales = kernels.quantize_4bit(weight, group, _FOUR, torch.uint8)
    return stored, scales, weight.new_empty(0)
