"""Images to posterior moments, captions to text states, in batches of one fixed size."""

import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from styledag.bases.parts import load_text_encoder, load_tokenizer, load_vae
from styledag.errors import DataError, ModelError
from styledag.models.compute import Compute
from styledag.training.encoding.rows import Row


def encoding_dtype(compute: Compute) -> torch.dtype:
    """Return float32 or bfloat16: Stable Diffusion's VAE overflows in float16."""
    return torch.bfloat16 if compute.dtype == torch.bfloat16 else torch.float32


class ImageEncoder:
    """The VAE of a base.

    Every batch is filled up to the same size, so that an image's moments do not depend on how
    many others were missing with it.

    Args:
        base: Folder in diffusers' layout.
        compute: Device and dtype.
        batch_size: Images in one pass.
        flip: Whether each image is also encoded mirrored.
    """

    def __init__(self, base: Path, *, compute: Compute, batch_size: int, flip: bool) -> None:
        self._dtype = encoding_dtype(compute)
        self._device = compute.device
        self._vae = load_vae(base, device=compute.device, dtype=self._dtype)
        self._batch_size = batch_size
        self._flip = flip

    def encode(self, images: Iterable[tuple[str, bytes]]) -> Iterator[Row]:
        """Yield ``mean`` and ``logvar`` of each image, each [1 or 2, C, H, W].

        Args:
            images: Name for errors, and the content of an image file.

        Raises:
            DataError: If an image cannot be read, differs in size from those beside it, cannot
                be halved as often as the VAE does, or gives NaN or infinity.
        """
        remaining = iter(images)
        while batch := list(islice(remaining, self._batch_size)):
            stacked = self._stacked(batch)
            moments = [self._moments(stacked)]
            if self._flip:
                moments.append(self._moments(stacked.flip(-1)))
            for at, (name, _) in enumerate(batch):
                row = {
                    key: torch.stack([each[key][at] for each in moments]).cpu()
                    for key in ("mean", "logvar")
                }
                if not all(torch.isfinite(tensor).all() for tensor in row.values()):
                    raise DataError(
                        f"image {name}: the VAE gives NaN or infinity in {self._dtype}: "
                        "drop the image, or encode in float32"
                    )
                yield row

    def _stacked(self, batch: Sequence[tuple[str, bytes]]) -> Tensor:
        pixels = [pixel_values(name, content) for name, content in batch]
        factor = 2 ** (len(self._vae.config.block_out_channels) - 1)
        for (name, _), each in zip(batch, pixels, strict=True):
            if each.shape != pixels[0].shape:
                raise DataError(
                    f"image {name} is {_size(each)} px, but {batch[0][0]} is "
                    f"{_size(pixels[0])} px: images of one dataset must have one size"
                )
            if each.shape[1] % factor or each.shape[2] % factor:
                raise DataError(
                    f"image {name} is {_size(each)} px, but the VAE needs multiples of "
                    f"{factor} px: change the size of the images"
                )
        pixels += [pixels[-1]] * (self._batch_size - len(pixels))
        return torch.stack(pixels).to(self._device, self._dtype)

    @torch.inference_mode()
    def _moments(self, stacked: Tensor) -> dict[str, Tensor]:
        posterior = self._vae.encode(stacked).latent_dist
        return {"mean": posterior.mean, "logvar": posterior.logvar}


class CaptionEncoder:
    """The frozen text encoder of a base; batches are filled up as :class:`ImageEncoder`'s are.

    Args:
        base: Folder in diffusers' layout.
        compute: Device and dtype.
        batch_size: Captions in one pass.
    """

    def __init__(self, base: Path, *, compute: Compute, batch_size: int) -> None:
        self._device = compute.device
        self._batch_size = batch_size
        self._tokenizer = load_tokenizer(base)
        self._text_encoder = load_text_encoder(
            base, device=compute.device, dtype=encoding_dtype(compute)
        )

    @torch.inference_mode()
    def encode(self, captions: Sequence[str]) -> Iterator[Row]:
        """Yield the last hidden states of each caption, as the UNet reads them: [77, D].

        Raises:
            DataError: If a caption is longer than the text encoder reads.
            ModelError: If the text encoder gives NaN or infinity.
        """
        longest = self._text_encoder.config.max_position_embeddings
        for caption in captions:
            # Not through the tokenizer's own call, which warns of every text above its limit.
            found = len(self._tokenizer.backend_tokenizer.encode(caption).ids)
            if found > longest:
                raise DataError(
                    f"caption {caption!r} is {found} tokens long, but the base reads {longest}: "
                    "shorten it"
                )
        for start in range(0, len(captions), self._batch_size):
            batch = list(captions[start : start + self._batch_size])
            tokens = self._tokenizer(
                batch + [""] * (self._batch_size - len(batch)),
                padding="max_length",
                max_length=longest,
                return_tensors="pt",
            )
            states = self._text_encoder(tokens.input_ids.to(self._device)).last_hidden_state.cpu()
            for caption, text_states in zip(batch, states, strict=False):
                if not torch.isfinite(text_states).all():
                    raise ModelError(
                        f"the text encoder gives NaN or infinity for caption {caption!r}: "
                        "check the base's text_encoder"
                    )
                yield {"text_states": text_states.clone()}


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
