"""One microstep without weights: its FLOPs and its memory, counted on the meta device."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from styledag.bases.base import Base
from styledag.bases.find import find_base
from styledag.bases.latents import LatentsShape
from styledag.errors import ModelError
from styledag.training.estimating.flops import Flops
from styledag.training.estimating.fused_attention import FusedAttention
from styledag.training.estimating.live_bytes import LiveBytes
from styledag.training.recipe import Recipe
from styledag.training.weights.lora import LoraAdapters
from styledag.training.weights.masters import lower
from styledag.training.weights.quantised import quantise
from styledag.training.weights.trainable import Trainable


@dataclass(frozen=True, kw_only=True)
class DryPass:
    """What one microstep of a recipe takes.

    Attributes:
        parameters: Elements of all weights of the denoiser, adapters included.
        stored: Elements of all that a file of it has: weights without adapters, and buffers.
        trained: Elements of the trained ones.
        weights_bytes: Bytes of all weights and buffers, as the passes have them.
        masters_bytes: Bytes of what steps are taken on, where the passes have it rounded.
        gradients_bytes: Bytes of all gradients.
        peak_bytes: Most bytes of gradients, activations and intermediate results at any time.
        flops_forward: FLOPs of the forward pass, of all its images.
        flops: Those of forward and backward pass together, recomputation included.
    """

    parameters: int
    stored: int
    trained: int
    trained_shapes: tuple[tuple[int, ...], ...]
    weights_bytes: int
    masters_bytes: int
    gradients_bytes: int
    peak_bytes: int
    flops_forward: int
    flops: int


def dry_pass(
    base: Path,
    recipe: Recipe,
    latents_shape: LatentsShape,
    *,
    device: str,
    dtype: torch.dtype,
    batch_size: int,
) -> DryPass:
    """Run one microstep without weights; it takes some seconds for the largest ones.

    The autograd of the real step runs on tensors that have shapes and dtypes only, so
    that the count follows what is kept, recomputed and freed. It is that of uncompiled
    training. What a kernel needs internally is not included, but for the copies that oneDNN's
    convolutions make on a CPU, nor is what the allocator loses.

    Args:
        base: Folder of the base; only configurations are read.
        recipe: What is trained, in which dtype, and whether activations are kept.
        latents_shape: Channels, height and width of one image's latents.
        device: Kind of the device, such as ``cuda``.
        dtype: Dtype of the passes.
        batch_size: Images in the microstep.

    Raises:
        ModelError: If the denoiser's configuration is missing or damaged, or does not fit those
            of the other parts.
        TrainingError: If the recipe trains a part that the base has not, or peft is missing.
    """
    config = base / find_base(base).parts.denoiser / "config.json"
    changed = config.stat().st_mtime_ns if config.is_file() else 0
    return _dry_pass((base, changed), _relevant(recipe), latents_shape, device, dtype, batch_size)


def _relevant(recipe: Recipe) -> Recipe:
    """Return a recipe of what a microstep depends on, so that others find its count again."""
    return Recipe(
        trained=recipe.trained,
        blocks=recipe.blocks,
        lora=recipe.lora,
        weights=recipe.weights,
        gradient_checkpointing=recipe.gradient_checkpointing,
        gradient_accumulation=min(recipe.gradient_accumulation, 2),
    )


@lru_cache(maxsize=256)
def _dry_pass(
    base: tuple[Path, int],
    recipe: Recipe,
    latents_shape: LatentsShape,
    device: str,
    dtype: torch.dtype,
    batch_size: int,
) -> DryPass:
    found = find_base(base[0])
    unet = found.denoiser(device="meta")
    stored = sum(each.numel() for each in unet.state_dict().values())
    trained = _prepare(unet, found, recipe)
    if recipe.gradient_checkpointing:
        _checkpoint(unet, device)
    elements = sum(each.numel() for each in unet.parameters())
    if recipe.base_bits is not None:
        quantise(unet, found, recipe.base_bits, device="meta", dtype=dtype)
    masters = lower(unet, dtype, accumulates=recipe.gradient_accumulation > 1)
    parameters, buffers = list(unet.parameters()), list(unet.buffers())
    inside = {"inside": _inside_onednn} if device == "cpu" else {}
    live = LiveBytes([*parameters, *buffers], **inside)
    counted = Flops()
    with live, counted:
        # A second microstep finds the first one's gradients there.
        for _ in range(recipe.gradient_accumulation):
            counted.total = 0
            with _fitting(base[0]):
                prediction = _predict(unet, found, latents_shape, batch_size, device, dtype)
            flops_forward = counted.total
            with FusedAttention(device):
                torch.autograd.backward(prediction.float().square().mean())
            del prediction
    return DryPass(
        parameters=elements,
        stored=stored,
        trained=sum(each.numel() for each in trained),
        trained_shapes=tuple(tuple(each.shape) for each in trained),
        weights_bytes=sum(each.nbytes for each in (*parameters, *buffers)),
        masters_bytes=sum(each.nbytes for each in masters.values()),
        gradients_bytes=sum(each.grad.nbytes for each in trained if each.grad is not None),
        peak_bytes=live.peak,
        flops_forward=flops_forward,
        flops=counted.total,
    )


def _inside_onednn(operation: Any, result: Any) -> int:
    """Return the bytes of a convolution's gradient as oneDNN has it, before it is copied."""
    is_backward = operation is torch.ops.aten.convolution_backward.default
    return result[0].nbytes if is_backward and result[0] is not None else 0


@contextmanager
def _fitting(base: Path) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError, TypeError, LookupError) as exc:
        raise ModelError(
            f"the parts of {base} do not fit each other, so that its denoiser cannot read what "
            f"the others make ({type(exc).__name__}: {exc}): restore the folder, or name another "
            "base"
        ) from exc


def _prepare(unet: Any, base: Base, recipe: Recipe) -> list[nn.Parameter]:
    if recipe.weights == "bfloat16":
        nn.Module.to(unet, torch.bfloat16)
    chosen = Trainable(base, recipe)
    if recipe.lora is not None:
        return list(LoraAdapters(unet, recipe, chosen).parameters.values())
    return list(chosen.select(unet).values())


def _checkpoint(unet: Any, device: str) -> None:
    """Make the denoiser recompute its blocks, with the attention of the pass itself."""

    def recomputed(block: Callable[..., Any], *inputs: Any) -> Any:
        # The backward pass enters no mode of the forward pass again.
        def run(*again: Any) -> Any:
            with FusedAttention(device):
                return block(*again)

        return checkpoint(run, *inputs, use_reentrant=False)

    unet.enable_gradient_checkpointing(recomputed)


def _predict(
    unet: nn.Module,
    base: Base,
    latents_shape: LatentsShape,
    batch_size: int,
    device: str,
    dtype: torch.dtype,
) -> torch.Tensor:
    with FusedAttention(device):
        return base.predict(
            unet,
            torch.empty((batch_size, *latents_shape), device="meta", dtype=dtype),
            torch.empty(batch_size, device="meta", dtype=torch.int64),
            base.meta_conditioning(batch_size).to(dtype=dtype),
        )


@lru_cache(maxsize=64)
def text_encoder_bytes(base: Path, dtype: torch.dtype) -> int:
    """Return the bytes of the weights that a caption is encoded with.

    Args:
        base: Folder of the base; only configurations are read.
        dtype: Dtype of the weights.

    Raises:
        ModelError: If a configuration is missing or damaged.
    """
    text_encoder = find_base(base).text_encoder(device="meta", dtype=dtype)
    with torch.no_grad(), _ReadParameters() as read:
        text_encoder.encode([""])
    return sum(read.bytes.values())


class _ReadParameters(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, remembers the bytes of each parameter that an operation reads."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation."""
        del types
        for each in args:
            if isinstance(each, nn.Parameter):
                self.bytes[id(each)] = each.nbytes
        return func(*args, **(kwargs or {}))


@lru_cache(maxsize=64)
def encoding_flops(base: Path, latents_shape: LatentsShape) -> tuple[int, int]:
    """Return the FLOPs of encoding one image and one caption.

    Raises:
        ModelError: If a configuration is missing or damaged.
    """
    found = find_base(base)
    factor = found.latents.factor_px
    _, height, width = latents_shape
    image = torch.empty(1, 3, height * factor, width * factor, device="meta")
    autoencoder = found.autoencoder(device="meta")
    text_encoder = found.text_encoder(device="meta")
    with torch.no_grad():
        of_image, of_caption = Flops(), Flops()
        with of_image:
            autoencoder.encode(image)
        with of_caption:
            text_encoder.encode([""])
    return of_image.total, of_caption.total
