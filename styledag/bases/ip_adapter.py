"""IP-Adapter: a Stable Diffusion UNet that reads images beside the prompt, loaded by diffusers.

Ye et al. 2023, "IP-Adapter: Text Compatible Image Prompt Adapter for Text-to-Image Diffusion
Models", arXiv 2308.06721.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from PIL import Image

from styledag.bases.base import Base
from styledag.bases.conditioning import Conditioning
from styledag.bases.parts import load_transformers, model_errors
from styledag.errors import ModelError
from styledag.models.config import read_config
from styledag.models.quiet import quiet_diffusers, quiet_transformers
from styledag.tensors.layout import CONFIG_FILE

if TYPE_CHECKING:
    from torch import Tensor, nn

IMAGE_EMBEDS = "image_embeds"
"""Name of the image encoder's output in a conditioning."""

_CROSS_ATTENTION = "ip_adapter.1.to_k_ip.weight"
_ENCODER_WIDTHS = {
    "image_proj.proj.weight": "projection_dim",
    "image_proj.proj_in.weight": "hidden_size",
}
"""Which width of the image encoder the second dimension of a projection is: plain, and Plus."""


@dataclass(frozen=True, kw_only=True)
class IpAdapter:
    """An adapter and the images that it is given.

    Attributes:
        weights: Safetensors with ``image_proj`` and ``ip_adapter``, as they are published.
        image_encoder: Folder of a ``CLIPVisionModelWithProjection``.
        version: Version of the content of both.
        scale: Weight of the attention to the images; at 0 the base draws as without them.
        images: File of each image by its sha256.
    """

    weights: Path
    image_encoder: Path
    version: str
    scale: float
    images: Mapping[str, Path]

    @property
    def provenance(self) -> Mapping[str, str]:
        """Return all that it adds to what decides an image, as text."""
        return {
            "ip_adapter_version": self.version,
            "ip_adapter_scale": repr(float(self.scale)),
            "ip_adapter_images": " ".join(self.images),
        }


@dataclass(frozen=True)
class ImagePrompt:
    """Images as the denoiser reads them.

    Attributes:
        given: The image encoder's output for all of them. # [1, images, ...]
        without: Its output for no image, which guidance leads away from; of the same shape.
    """

    given: "Tensor"
    without: "Tensor"

    def beside(self, texts: Conditioning, *, unconditional: int) -> Conditioning:
        """Return the conditioning of texts with the images in each row but the first ones.

        Args:
            texts: A row for each text.
            unconditional: How many rows at the start are given no image.
        """
        import torch

        rows = [self.without] * unconditional + [self.given] * (len(texts) - unconditional)
        return Conditioning({**texts.tensors, IMAGE_EMBEDS: torch.cat(rows)})


@runtime_checkable
class IpAdapterBase(Base, Protocol):
    """A base that an IP-Adapter fits; :func:`ip_adapter_base` finds out."""

    def check_ip_adapter(self, shapes: Mapping[str, tuple[int, ...]], image_encoder: Path) -> None:
        """Check that an adapter fits the denoiser and the image encoder.

        Raises:
            ModelError: If it does not; the message includes both widths.
        """

    def load_ip_adapter(self, denoiser: "nn.Module", adapter: IpAdapter) -> ImagePrompt:
        """Add an adapter to a denoiser, in place, and return the adapter's images for it.

        Raises:
            ModelError: If adapter or image encoder cannot be loaded, or do not fit.
        """


def ip_adapter_base(base: Base) -> IpAdapterBase:
    """Return a base as one that an IP-Adapter fits.

    Raises:
        ModelError: If its family has none.
    """
    if not isinstance(base, IpAdapterBase):
        raise ModelError(
            f"{base.folder} is a {base.family}, for which styledag loads no IP-Adapter: remove "
            "it, or name a base of Stable Diffusion 1.x, 2.x or XL"
        )
    return base


def check_fit(
    shapes: Mapping[str, tuple[int, ...]], image_encoder: Path, *, text_width: int
) -> None:
    """Check that an adapter fits a UNet and an image encoder; see :class:`IpAdapterBase`.

    Raises:
        ModelError: If it does not.
    """
    from transformers import CLIPVisionConfig

    projection = next((each for each in _ENCODER_WIDTHS if each in shapes), None)
    if _CROSS_ATTENTION not in shapes or projection is None:
        raise ModelError(
            f"it lacks {_CROSS_ATTENTION} or {' and '.join(_ENCODER_WIDTHS)}: name the "
            "safetensors of a plain IP-Adapter or of IP-Adapter Plus (Face ID is not supported)"
        )
    width = shapes[_CROSS_ATTENTION][1]
    if width != text_width:
        raise ModelError(
            f"it was made for text states of width {width}, but the base's are {text_width} "
            "wide: name the adapter of the base's own family and version"
        )
    config = CLIPVisionConfig.from_dict(dict(read_config(image_encoder / CONFIG_FILE)))
    name = _ENCODER_WIDTHS[projection]
    expected, found = shapes[projection][1], getattr(config, name)
    if expected != found:
        raise ModelError(
            f"it reads an image encoder of {name} {expected}, but that of its image_encoder is "
            f"{found}: name the folder of the image encoder that it was trained with"
        )


def load_ip_adapter(unet: Any, adapter: IpAdapter) -> ImagePrompt:
    """Add an adapter to a UNet, in place, and return its images; see :class:`IpAdapterBase`.

    The image encoder computes in the UNet's dtype and is freed.

    Raises:
        ModelError: If adapter or image encoder cannot be loaded, or do not fit.
    """
    import torch
    from diffusers import StableDiffusionPipeline
    from transformers import CLIPVisionModelWithProjection

    encoder = load_transformers(
        CLIPVisionModelWithProjection, adapter.image_encoder, device=unet.device, dtype=unet.dtype
    )
    # That of Stable Diffusion XL has the same methods for adapters.
    pipeline = StableDiffusionPipeline(
        vae=None,
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        scheduler=None,
        safety_checker=None,
        feature_extractor=None,
        image_encoder=encoder,
        requires_safety_checker=False,
    )
    with model_errors(adapter.weights), quiet_transformers(), quiet_diffusers():
        pipeline.load_ip_adapter(
            str(adapter.weights.parent),
            subfolder="",
            weight_name=adapter.weights.name,
            local_files_only=True,
            low_cpu_mem_usage=False,
        )
    pipeline.set_ip_adapter_scale(adapter.scale)
    unet.eval()
    with ExitStack() as opened, torch.no_grad():
        images = [
            opened.enter_context(Image.open(path)).convert("RGB")
            for path in adapter.images.values()
        ]
        (embeds,) = pipeline.prepare_ip_adapter_image_embeds([images], None, unet.device, 1, True)
    without, given = embeds.chunk(2)
    return ImagePrompt(given, without)


def added_images(conditioning: Conditioning) -> dict[str, Any]:
    """Return what a UNet of diffusers' is given of images in a conditioning; empty without any."""
    embeds = conditioning.tensors.get(IMAGE_EMBEDS)
    return {} if embeds is None else {IMAGE_EMBEDS: [embeds]}
