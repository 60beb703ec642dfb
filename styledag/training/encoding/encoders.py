"""Images to posterior moments, captions to conditionings, in batches of one fixed size."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from styledag.ahead import made_ahead
from styledag.bases.base import Base, check_length
from styledag.bases.latents import Moments
from styledag.batched import batched
from styledag.errors import DataError, ModelError
from styledag.models.compute import Compute
from styledag.training.encoding.rows import Row

_BATCHES_AHEAD = 2
"""Batches that are decoded while the device encodes one."""


def encoding_dtype(compute: Compute) -> torch.dtype:
    """Return float32 or bfloat16: autoencoders overflow in float16."""
    return torch.bfloat16 if compute.dtype == torch.bfloat16 else torch.float32


class ImageEncoder:
    """The autoencoder of a base.

    Every batch is filled up to the same size, so that an image's moments do not depend on how
    many others were missing with it.

    Args:
        base: The base.
        compute: Device and dtype.
        batch_size: Images in one pass.
        flip: Whether each image is also encoded mirrored.
    """

    def __init__(self, base: Base, *, compute: Compute, batch_size: int, flip: bool) -> None:
        self._dtype = encoding_dtype(compute)
        self._device = compute.device
        self._latents = base.latents
        self._autoencoder = base.autoencoder(device=compute.device, dtype=self._dtype)
        self._batch_size = batch_size
        self._flip = flip

    def encode(self, images: Iterable[tuple[str, bytes]]) -> Iterator[Row]:
        """Yield ``mean`` and ``logvar`` of each image, each [1 or 2, C, H, W].

        Args:
            images: Name for errors, and the content of an image file.

        Raises:
            DataError: If an image cannot be read, differs in size from those beside it, has a
                size that the base cannot encode, or gives NaN or infinity.
        """
        for names, pixels in self._decoded(images):
            stacked = self._stacked(names, pixels)
            passes = [self._moments(stacked)]
            if self._flip:
                passes.append(self._moments(stacked.flip(-1)))
            moments = {
                key: torch.stack([getattr(each, key) for each in passes], dim=1)
                for key in ("mean", "logvar")
            }
            if not all(torch.isfinite(each).all() for each in moments.values()):
                raise DataError(self._not_finite(names, moments))
            # Copied to the host once a batch; a row holds on to no other's memory.
            rows = {key: each.cpu() for key, each in moments.items()}
            for at in range(len(names)):
                yield {
                    key: each[at].clone(memory_format=torch.contiguous_format)
                    for key, each in rows.items()
                }

    def _decoded(
        self, images: Iterable[tuple[str, bytes]]
    ) -> Iterator[tuple[list[str], list[Tensor]]]:
        """Yield batches of names and pixels, decoded by all processors ahead of the device."""
        decoded = made_ahead(
            lambda image: (image[0], rgb_pixels(*image)),
            images,
            ahead=_BATCHES_AHEAD * self._batch_size,
        )
        for batch in batched(decoded, self._batch_size):
            yield [name for name, _ in batch], [pixels for _, pixels in batch]

    def _stacked(self, names: Sequence[str], pixels: list[Tensor]) -> Tensor:
        for name, each in zip(names, pixels, strict=True):
            if each.shape != pixels[0].shape:
                raise DataError(
                    f"image {name} is {_size(each)} px, but {names[0]} is "
                    f"{_size(pixels[0])} px: images of one dataset must have one size"
                )
            multiple = self._latents.multiple_px
            if each.shape[0] % multiple or each.shape[1] % multiple:
                raise DataError(
                    f"image {name} is {_size(each)} px, but the base needs multiples of "
                    f"{multiple} px: change the size of the images"
                )
        filled = torch.stack(pixels + [pixels[-1]] * (self._batch_size - len(pixels)))
        if self._device.type == "cuda":
            filled = filled.pin_memory()
        # A byte a channel is copied; what follows is the same arithmetic on any device.
        return pixel_values(filled.to(self._device, non_blocking=filled.is_pinned())).to(
            self._dtype
        )

    def _not_finite(self, names: Sequence[str], moments: Mapping[str, Tensor]) -> str:
        bad = [~torch.isfinite(each).flatten(1).all(dim=1) for each in moments.values()]
        first = int(torch.stack(bad).any(dim=0).int().argmax())
        # What fills a batch up is its last image again.
        return (
            f"image {names[min(first, len(names) - 1)]}: the autoencoder gives NaN or infinity in "
            f"{self._dtype}: drop the image, or encode in float32"
        )

    @torch.inference_mode()
    def _moments(self, stacked: Tensor) -> Moments:
        return self._autoencoder.encode(stacked)


class CaptionEncoder:
    """The frozen text encoders of a base; batches are filled up as :class:`ImageEncoder`'s are."""

    def __init__(self, base: Base, *, compute: Compute, batch_size: int) -> None:
        self._tokens = base.tokens
        self._batch_size = batch_size
        self._text_encoder = base.text_encoder(device=compute.device, dtype=encoding_dtype(compute))

    def encode(self, captions: Sequence[str]) -> Iterator[Row]:
        """Yield the conditioning of each caption by name, as the denoiser reads it.

        Raises:
            DataError: If a caption is longer than the text encoder reads.
            ModelError: If the text encoder gives NaN or infinity.
        """
        for caption in captions:
            check_length(caption, self._tokens, called="caption", error=DataError)
        for batch in batched(captions, self._batch_size):
            filled = batch + [""] * (self._batch_size - len(batch))
            conditioning = self._text_encoder.encode(filled).to(torch.device("cpu"))
            for at, caption in enumerate(batch):
                row = {name: each[at].clone() for name, each in conditioning.tensors.items()}
                if not all(torch.isfinite(each).all() for each in row.values()):
                    raise ModelError(
                        f"the text encoder gives NaN or infinity for caption {caption!r}: "
                        "check the base's text_encoder"
                    )
                yield row


def rgb_pixels(name: str, content: bytes) -> Tensor:
    """Return an RGB image's bytes: uint8, [H, W, 3].

    Raises:
        DataError: If it cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as exc:
        raise DataError(f"image {name} cannot be decoded: {exc}") from exc
    return torch.from_numpy(pixels.copy())


def pixel_values(pixels: Tensor) -> Tensor:
    """Return images' bytes as float32 in -1 to 1: [..., H, W, 3] gives [..., 3, H, W]."""
    return pixels.movedim(-1, -3).contiguous().float() / 127.5 - 1


def _size(pixels: Tensor) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"
