"""Stable Diffusion XL: two CLIPs, pooled states and sizes beside them, the UNet of its forerunner.

Podell et al. 2023, "SDXL: Improving Latent Diffusion Models for High-Resolution Image Synthesis".
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.base import Parts
from styledag.bases.conditioning import Conditioning
from styledag.bases.elsewhere import Elsewhere
from styledag.bases.families import family
from styledag.bases.ip_adapter import added_images
from styledag.bases.latents import LatentSpace
from styledag.bases.parts import model_errors
from styledag.bases.stable_diffusion import StableDiffusion
from styledag.bases.texts.clip import STATES, text_positions
from styledag.bases.texts.clip_pair import POOLED, ClipPair, LongerTokens, pair_tokens
from styledag.errors import ModelError
from styledag.models.config import read_config

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

TIME_IDS = "time_ids"
"""Height and width of the original, top and left of the crop, height and width of the image."""
_TIME_IDS = 6


@family(
    "Stable Diffusion XL",
    pipeline="StableDiffusionXLPipeline",
    components={
        "unet": ("UNet2DConditionModel",),
        "vae": ("AutoencoderKL",),
        "text_encoder": ("CLIPTextModel",),
        "text_encoder_2": ("CLIPTextModelWithProjection",),
        "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
        "tokenizer_2": ("CLIPTokenizer", "CLIPTokenizerFast"),
    },
)
class StableDiffusionXL(StableDiffusion):
    """A base of Stable Diffusion XL; members are those of the protocol.

    The UNet also reads six time ids: the size of the original image, the top left corner of its
    crop, and the size that it was made. In training they are each image's own, so that enlarged
    and cropped images are learned as such; in drawing both sizes are those of the latents and the
    crop starts at 0, 0, as in the pipeline.
    """

    family = "Stable Diffusion XL"
    parts = Parts(
        denoiser="unet",
        autoencoder="vae",
        tokenizers=("tokenizer", "tokenizer_2"),
        training=("unet", "scheduler"),
        encoding=("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"),
    )
    embeddings: Mapping[str, str | None] = {
        **StableDiffusion.embeddings,
        "addition_embed_type": "text_time",
    }

    elsewhere = Elsewhere(
        ai_toolkit="sdxl",
        diffusers="train_text_to_image_sdxl",
        diffusers_lora="train_text_to_image_lora_sdxl",
        kohya=("sdxl_train.py", "sdxl_train_network.py"),
        onetrainer="STABLE_DIFFUSION_XL_10_BASE",
    )
    usual_sample_size = 128
    usual_guidance_scale = 5.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tokens = LongerTokens(pair_tokens(folder))

    @cached_property
    def latents(self) -> LatentSpace:
        """Shape and scale of its latents."""
        config = read_config(self.folder / "vae" / "config.json")
        if config.get("latents_mean") is not None:
            raise ModelError(
                f"the autoencoder of {self.folder} states latents_mean, and so another scale for "
                "each channel: name a base of Stable Diffusion XL that has one scaling_factor"
            )
        return super().latents

    def text_encoder(
        self, *, device: "torch.device | str" = "cpu", dtype: "torch.dtype | None" = None
    ) -> "XlTextEncoder":
        """Return both of its text encoders."""
        index = read_config(self.folder / "model_index.json")
        return XlTextEncoder(
            self.folder,
            zeros_for_empty=bool(index.get("force_zeros_for_empty_prompt", True)),
            device=device,
            dtype=dtype,
        )

    def predict(
        self,
        denoiser: "nn.Module",
        latents: "Tensor",
        timesteps: "Tensor",
        conditioning: Conditioning,
    ) -> "Tensor":
        """Return the UNet's prediction."""
        import torch

        time_ids = conditioning.tensors.get(TIME_IDS)
        if time_ids is None:
            height, width = (self.latents.factor_px * each for each in latents.shape[-2:])
            # Filled on the device: nothing waits for a copy from host memory. Integers, since
            # large sizes are rounded in the latents' dtype.
            time_ids = latents.new_zeros((len(latents), _TIME_IDS), dtype=torch.int64)
            time_ids[:, 0::4] = height
            time_ids[:, 1::4] = width
        added = {
            "text_embeds": conditioning[POOLED],
            "time_ids": time_ids,
            **added_images(conditioning),
        }
        prediction: Tensor = denoiser(
            latents, timesteps, conditioning[STATES], added_cond_kwargs=added, return_dict=False
        )[0]
        return prediction

    def image_conditioning(
        self, *, original_px: tuple[int, int], crop_px: tuple[int, int], size_px: tuple[int, int]
    ) -> Mapping[str, tuple[int, ...]]:
        """Return an image's time ids."""
        pairs = (original_px[::-1], crop_px[::-1], size_px[::-1])
        return {TIME_IDS: tuple(each for pair in pairs for each in pair)}

    def meta_conditioning(self, count: int) -> Conditioning:
        """Return text states and pooled states on the meta device."""
        import torch

        config = self._unet_config
        with model_errors(self.folder / self.parts.denoiser):
            added = int(config["projection_class_embeddings_input_dim"])
            width = added - _TIME_IDS * int(config["addition_time_embed_dim"])
        states = (count, text_positions(self.folder), self._text_width)
        return Conditioning(
            {
                STATES: torch.empty(states, device="meta"),
                POOLED: torch.empty((count, width), device="meta"),
            }
        )


class XlTextEncoder:
    """Both text encoders of a base.

    Args:
        zeros_for_empty: Whether the empty text is all zeros and not what the encoders make of it.
            The pipeline does so where no negative prompt is given; here it counts for dropped
            captions and empty prompts too, as in the base's own training.

    Raises:
        ModelError: If one is missing, damaged or incomplete.
    """

    def __init__(
        self,
        base: Path,
        *,
        zeros_for_empty: bool,
        device: "torch.device | str",
        dtype: "torch.dtype | None",
    ) -> None:
        from transformers import CLIPTextModel, CLIPTextModelWithProjection

        kinds = (CLIPTextModel, CLIPTextModelWithProjection)
        self._clips = ClipPair(base, kinds, device=device, dtype=dtype)
        self._zeros_for_empty = zeros_for_empty

    @property
    def models(self) -> Mapping[str, Any]:
        """Both models, by their parts."""
        return self._clips.models

    def encode(self, texts: Sequence[str]) -> Conditioning:
        """Return the joined penultimate states and the pooled states of texts; see the protocol."""
        import torch

        states, outputs = self._clips.encode(texts)
        pooled = outputs[-1].text_embeds
        if self._zeros_for_empty:
            empty = torch.tensor([text == "" for text in texts], device=states.device)
            states = states.masked_fill(empty[:, None, None], 0)
            pooled = pooled.masked_fill(empty[:, None], 0)
        return Conditioning({STATES: states, POOLED: pooled})
