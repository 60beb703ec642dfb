"""Stable Diffusion 1.x and 2.x: CLIP's last hidden states, four latent channels, one UNet."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.base import Parts, Probe, TextEncoder, Tokens
from styledag.bases.conditioning import Conditioning
from styledag.bases.elsewhere import Elsewhere
from styledag.bases.families import family
from styledag.bases.flow_objective import FlowSettings
from styledag.bases.ip_adapter import (
    ImagePrompt,
    IpAdapter,
    added_images,
    check_fit,
    load_ip_adapter,
)
from styledag.bases.kl_autoencoder import kl_latents
from styledag.bases.latents import LatentSpace, LatentsShape
from styledag.bases.parts import model_errors
from styledag.bases.stored_base import StoredBase
from styledag.bases.texts.clip import STATES, ClipTextEncoder, ClipTokens, text_positions
from styledag.errors import ModelError
from styledag.models.config import read_config

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from styledag.bases.diffusion_objective import DiffusionObjective
    from styledag.bases.samplers import DiffusersSchedule

FIRST = Elsewhere(
    ai_toolkit="sd1",
    diffusers="train_text_to_image",
    diffusers_lora="train_text_to_image_lora",
    kohya=("train_db.py", "train_network.py"),
    onetrainer="STABLE_DIFFUSION_15",
)
SECOND = replace(
    FIRST, ai_toolkit="sd2", kohya_keys={"v2": True}, onetrainer="STABLE_DIFFUSION_20_BASE"
)


@family(
    "Stable Diffusion 1.x or 2.x",
    pipeline="StableDiffusionPipeline",
    components={
        "unet": ("UNet2DConditionModel",),
        "vae": ("AutoencoderKL",),
        "text_encoder": ("CLIPTextModel",),
        "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
    },
)
class StableDiffusion(StoredBase):
    """A base of Stable Diffusion 1.x or 2.x; members are those of the protocol."""

    family = "Stable Diffusion 1.x or 2.x"
    parts = Parts(
        denoiser="unet",
        autoencoder="vae",
        tokenizers=("tokenizer",),
        training=("unet", "scheduler"),
        encoding=("vae", "text_encoder", "tokenizer"),
    )
    kind = "UNet2DConditionModel"
    denoiser_name = "UNet"
    usual_sampler = "dpm++"
    usual_guidance_scale = 7.5
    layers: Mapping[str, tuple[str, ...]] = {
        "attention": ("attn1", "attn2"),
        "cross_attention": ("attn2",),
    }
    """In diffusers' transformer blocks, attn1 reads the image and attn2 the caption."""
    embeddings: Mapping[str, str | None] = {
        "addition_embed_type": None,
        "class_embed_type": None,
        "encoder_hid_dim_type": None,
        "num_class_embeds": None,
        "time_cond_proj_dim": None,
    }
    """What the UNet's configuration must state about inputs beside latents, timestep, caption."""
    usual_sample_size = 64
    """Side of latents where the UNet's configuration states none, as in the pipeline."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tokens: Tokens = ClipTokens(folder)

    @cached_property
    def latents(self) -> LatentSpace:
        """Shape and scale of its latents."""
        return kl_latents(self.folder / self.parts.autoencoder)

    @property
    def elsewhere(self) -> Elsewhere:  # type: ignore[override]
        """Its names in other trainers: 2.x has OpenCLIP, which computes GELU exactly."""
        text = read_config(self.folder / "text_encoder" / "config.json")
        if text.get("hidden_act", "quick_gelu") != "gelu":
            return FIRST
        schedule = read_config(self.folder / "scheduler" / "scheduler_config.json")
        if schedule.get("prediction_type") == "v_prediction":
            return replace(SECOND, onetrainer="STABLE_DIFFUSION_21")
        return SECOND

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the images that it was made for."""
        size = self._unet_config.get("sample_size") or self.usual_sample_size
        height, width = (size, size) if isinstance(size, int) else size
        factor = self.latents.factor_px
        return factor * int(width), factor * int(height)

    @property
    def blocks(self) -> Mapping[str, str]:
        """Blocks as diffusers counts them: ``up.0`` is the coarsest of those that go up."""
        count = len(self._unet_config["block_out_channels"])
        down = {f"down.{at}": f"down_blocks.{at}" for at in range(count)}
        up = {f"up.{at}": f"up_blocks.{at}" for at in range(count)}
        return {"down": "down_blocks", **down, "mid": "mid_block", "up": "up_blocks", **up}

    def text_encoder(
        self, *, device: "torch.device | str" = "cpu", dtype: "torch.dtype | None" = None
    ) -> TextEncoder:
        """Return its text encoder."""
        return ClipTextEncoder(self.folder, ClipTokens(self.folder), device=device, dtype=dtype)

    def predict(
        self,
        denoiser: "nn.Module",
        latents: "Tensor",
        timesteps: "Tensor",
        conditioning: Conditioning,
    ) -> "Tensor":
        """Return the UNet's prediction."""
        prediction: Tensor = denoiser(
            latents,
            timesteps,
            conditioning[STATES],
            added_cond_kwargs=added_images(conditioning) or None,
            return_dict=False,
        )[0]
        return prediction

    def check_ip_adapter(self, shapes: Mapping[str, tuple[int, ...]], image_encoder: Path) -> None:
        """Check that an IP-Adapter fits the UNet and the image encoder."""
        check_fit(shapes, image_encoder, text_width=self._text_width)

    def load_ip_adapter(self, denoiser: "nn.Module", adapter: IpAdapter) -> ImagePrompt:
        """Add an IP-Adapter to a UNet, in place, and return the adapter's images for it."""
        return load_ip_adapter(denoiser, adapter)

    def meta_conditioning(self, count: int) -> Conditioning:
        """Return text states on the meta device."""
        import torch

        shape = (count, text_positions(self.folder), self._text_width)
        return Conditioning({STATES: torch.empty(shape, device="meta")})

    def objective(
        self, *, min_snr_gamma: float | None = None, flow: FlowSettings | None = None
    ) -> "DiffusionObjective":
        """Return noise or velocity as objective, whichever the base's schedule states."""
        from styledag.bases.diffusion_objective import DiffusionObjective, training_schedule

        if flow is not None:
            raise ModelError(
                f"{self.family} is not trained by flow matching: remove flow from the recipe"
            )
        schedule = training_schedule(self.folder / "scheduler")
        return DiffusionObjective(schedule, min_snr_gamma=min_snr_gamma)

    def sampler(
        self, name: str, num_inference_steps: int, shape: LatentsShape
    ) -> "DiffusersSchedule":
        """Return ``ddim``, ``dpm++``, ``euler`` or ``euler_a``."""
        from styledag.bases.diffusion_objective import schedule_config
        from styledag.bases.samplers import diffusion_sampler

        del shape
        folder = self.folder / "scheduler"
        config = schedule_config(folder)
        with model_errors(folder):
            return diffusion_sampler(name, config, num_inference_steps)

    def modules_to_compile(self, denoiser: "nn.Module") -> "list[nn.Module]":
        """Return residual and transformer blocks.

        In a residual block the compiler also removes the copies that GroupNorm makes of
        channels_last images (pytorch issue 111824).
        """
        from diffusers.models.attention import BasicTransformerBlock
        from diffusers.models.resnet import ResnetBlock2D

        kinds = (ResnetBlock2D, BasicTransformerBlock)
        return [each for each in denoiser.modules() if isinstance(each, kinds)]

    def probes(self, size: tuple[int, int]) -> list[Probe]:
        """Return the first two blocks of the way down."""
        unet = self.denoiser(device="meta")
        height, width = size
        channels = unet.config.block_out_channels[0]
        text = {"encoder_hidden_states": (text_positions(self.folder), self._text_width)}
        probes = []
        for block in unet.down_blocks[:2]:
            inputs: dict[str, tuple[int, ...]] = {
                "hidden_states": (channels, height, width),
                "temb": (4 * unet.config.block_out_channels[0],),
            }
            reads_text = getattr(block, "has_cross_attention", False)
            probes.append(Probe(block, inputs | text if reads_text else inputs))
            channels = block.resnets[-1].out_channels
            height, width = -(-height // 2), -(-width // 2)
        return probes

    @cached_property
    def _unet_config(self) -> Mapping[str, Any]:
        path = self.folder / self.parts.denoiser / "config.json"
        config = read_config(path)
        for key in ("block_out_channels", "cross_attention_dim"):
            if config.get(key) is None:
                raise ModelError(f"{path} states no {key}: restore it, or name another base")
        return config

    @property
    def _text_width(self) -> int:
        # A number, or the same one for each block.
        width = self._unet_config["cross_attention_dim"]
        return int(width if isinstance(width, int) else width[0])

    def check_inputs(self, config: Any, folder: Path) -> None:
        """Check that a UNet reads what the family gives it, and nothing else."""
        super().check_inputs(config, folder)
        for name, expected in self.embeddings.items():
            if config.get(name) != expected:
                raise ModelError(
                    f"the UNet of {folder} has {name} {config.get(name)!r}, but a base of "
                    f"{self.family} has {expected!r}: name a base that reads the same inputs"
                )
