"""Images to posterior moments, captions to conditionings, in batches of one fixed size."""

import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from styledag.bases.base import Base, check_length
from styledag.bases.latents import Moments
from styledag.errors import DataError, ModelError
from styledag.models.compute import Compute
from styledag.training.encoding.rows import Row


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
        remaining = iter(images)
        while batch := list(islice(remaining, self._batch_size)):
            stacked = self._stacked(batch)
            moments = [self._moments(stacked)]
            if self._flip:
                moments.append(self._moments(stacked.flip(-1)))
            for at, (name, _) in enumerate(batch):
                row = {
                    key: torch.stack([getattr(each, key)[at] for each in moments]).cpu()
                    for key in ("mean", "logvar")
                }
                if not all(torch.isfinite(tensor).all() for tensor in row.values()):
                    raise DataError(
                        f"image {name}: the autoencoder gives NaN or infinity in {self._dtype}: "
                        "drop the image, or encode in float32"
                    )
                yield row

    def _stacked(self, batch: Sequence[tuple[str, bytes]]) -> Tensor:
        pixels = [pixel_values(name, content) for name, content in batch]
        for (name, _), each in zip(batch, pixels, strict=True):
            if each.shape != pixels[0].shape:
                raise DataError(
                    f"image {name} is {_size(each)} px, but {batch[0][0]} is "
                    f"{_size(pixels[0])} px: images of one dataset must have one size"
                )
            multiple = self._latents.multiple_px
            if each.shape[1] % multiple or each.shape[2] % multiple:
                raise DataError(
                    f"image {name} is {_size(each)} px, but the base needs multiples of "
                    f"{multiple} px: change the size of the images"
                )
        pixels += [pixels[-1]] * (self._batch_size - len(pixels))
        return torch.stack(pixels).to(self._device, self._dtype)

    @torch.inference_mode()
    def _moments(self, stacked: Tensor) -> Moments:
        return self._autoencoder.encode(stacked)


class CaptionEncoder:
    """The frozen text encoders of a base; batches are filled up as :class:`ImageEncoder`'s are.

    Args:
        base: The base.
        compute: Device and dtype.
        batch_size: Captions in one pass.
    """

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
        for start in range(0, len(captions), self._batch_size):
            batch = list(captions[start : start + self._batch_size])
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


def pixel_values(name: str, content: bytes) -> Tensor:
    """Return an RGB image in -1 to 1: [3, H, W].

    Args:
        name: What errors call it.
        content: An image file.

    Raises:
        DataError: If it cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as exc:
        raise DataError(f"image {name} cannot be decoded: {exc}") from exc
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 127.5 - 1


def _size(pixels: Tensor) -> str:
    return f"{pixels.shape[2]}x{pixels.shape[1]}"
