"""FLUX.1: pooled states of CLIP, states of T5, and guidance as a number that is read.

Black Forest Labs 2024, https://github.com/black-forest-labs/flux. Meng et al. 2023, "On
Distillation of Guided Diffusion Models".
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.base import Parts, Probe
from styledag.bases.conditioning import Conditioning
from styledag.bases.elsewhere import Elsewhere
from styledag.bases.families import family
from styledag.bases.flow_transformer import FlowTransformer
from styledag.bases.flux2_klein import DOUBLE_ATTENTION
from styledag.bases.parts import load_transformers
from styledag.bases.texts.clip import ClipTokens
from styledag.bases.texts.clip_pair import POOLED
from styledag.bases.texts.t5 import T5_STATES, T5TextEncoder, T5Tokens
from styledag.errors import ModelError
from styledag.models.single_file.transformer_names import TransformerNames

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

GUIDANCE = "guidance"
"""Name of a training image's guidance in a conditioning. # [images, 1]"""

_TRAINED, _DRAWN = 1, 3.5
"""Guidance that training and drawing tell the transformer."""
_SIDE = 128
"""Latents along one side of an image of the base's own size, as in the pipeline."""
_NAMES = TransformerNames(
    architecture=lambda config: f"Flux.1-{'dev' if config.get('guidance_embeds') else 'schnell'}",
    implementation="https://github.com/black-forest-labs/flux",
    layers={
        "x_embedder": "img_in",
        "context_embedder": "txt_in",
        "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
        "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
        "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
        "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
        "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
        "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
        "norm_out.linear": "final_layer.adaLN_modulation.1",
        "proj_out": "final_layer.linear",
    },
    lists={"transformer_blocks": "double_blocks", "single_transformer_blocks": "single_blocks"},
    inner={
        "transformer_blocks": {
            "norm1.linear": "img_mod.lin",
            "norm1_context.linear": "txt_mod.lin",
            **DOUBLE_ATTENTION,
            "ff.net.0.proj": "img_mlp.0",
            "ff.net.2": "img_mlp.2",
            "ff_context.net.0.proj": "txt_mlp.0",
            "ff_context.net.2": "txt_mlp.2",
        },
        "single_transformer_blocks": {
            "norm.linear": "modulation.lin",
            "attn.to_q": "linear1",
            "attn.to_k": "linear1",
            "attn.to_v": "linear1",
            "proj_mlp": "linear1",
            "attn.norm_q": "norm.query_norm",
            "attn.norm_k": "norm.key_norm",
            "proj_out": "linear2",
        },
    },
    swapped=("norm_out.linear",),
    norm_weight="scale",
)


@family(
    "FLUX.1",
    pipeline="FluxPipeline",
    components={
        "transformer": ("FluxTransformer2DModel",),
        "vae": ("AutoencoderKL",),
        "text_encoder": ("CLIPTextModel",),
        "text_encoder_2": ("T5EncoderModel",),
        "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
        "tokenizer_2": ("T5Tokenizer", "T5TokenizerFast"),
    },
)
class Flux1(FlowTransformer):
    """A base of FLUX.1; members are those of the protocol.

    The transformer of FLUX.1-dev was distilled to predict what guidance would make of two
    predictions, and reads the scale. Images are drawn at 3.5, as in the pipeline. They are trained
    on at 1, without guidance, since only there is the velocity to the image what it has learned to
    predict; guides of other trainers say the same, though diffusers' scripts have 3.5. The
    guidance of two predictions, the pipeline's ``true_cfg_scale``, comes on top and is usually 1.

    Where the transformer reads no scale, as in FLUX.1-schnell, none is given.
    """

    family = "FLUX.1"
    kind = "FluxTransformer2DModel"
    usual_guidance_scale = 1.0
    tokens: T5Tokens
    parts = Parts(
        denoiser="transformer",
        autoencoder="vae",
        tokenizers=("tokenizer", "tokenizer_2"),
        training=("transformer", "scheduler"),
        encoding=("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"),
    )
    elsewhere = Elsewhere(
        tensors=_NAMES,
        ai_toolkit="flux",
        diffusers="train_dreambooth_flux",
        diffusers_lora="train_dreambooth_lora_flux",
        diffusers_alpha=True,
        onetrainer="FLUX_DEV_1",
    )
    lists: Mapping[str, str] = {
        "double": "transformer_blocks",
        "single": "single_transformer_blocks",
    }
    layers: Mapping[str, tuple[str, ...]] = {"attention": ("attn",)}
    patch = 2
    even_sigmas = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tokens = T5Tokens(folder / "tokenizer_2", limit=512)

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the images that it was made for."""
        side = _SIDE * self.latents.factor_px
        return side, side

    def check_inputs(self, config: Any, folder: Path) -> None:
        """Check that the transformer reads latents in patches of 2x2, and nothing beside them."""
        super().check_inputs(config, folder)
        channels = self.patch**2 * self.latents.channels
        if config.in_channels != channels:
            raise ModelError(
                f"the {self.denoiser_name} of {folder} reads {config.in_channels} channels, but "
                f"the autoencoder's latents in patches have {channels}: name a base that reads no "
                "further image"
            )

    def text_encoder(
        self, *, device: "torch.device | str" = "cpu", dtype: "torch.dtype | None" = None
    ) -> "Flux1TextEncoder":
        """Return its CLIP and its T5."""
        return Flux1TextEncoder(self.folder, self.tokens, device=device, dtype=dtype)

    def image_conditioning(
        self, *, original_px: tuple[int, int], crop_px: tuple[int, int], size_px: tuple[int, int]
    ) -> Mapping[str, tuple[int, ...]]:
        """Return the guidance of training, which is none."""
        del original_px, crop_px, size_px
        return {GUIDANCE: (_TRAINED,)} if self._reads_guidance else {}

    def predict(
        self,
        denoiser: "nn.Module",
        latents: "Tensor",
        timesteps: "Tensor",
        conditioning: Conditioning,
    ) -> "Tensor":
        """Return the transformer's prediction."""
        import torch

        count, _, height, width = latents.shape
        states, guidance = conditioning[T5_STATES], None
        if self._reads_guidance:
            stated = conditioning.tensors.get(GUIDANCE)
            drawn = latents.new_full((count,), _DRAWN, dtype=torch.float32)
            guidance = drawn if stated is None else stated[:, 0].float()
        # None, row, column.
        sizes = (1, height // self.patch, width // self.patch)
        axes = [torch.arange(size, device=latents.device) for size in sizes]
        packed = torch.nn.functional.pixel_unshuffle(latents, self.patch)
        prediction: Tensor = denoiser(
            hidden_states=packed.flatten(2).transpose(1, 2),
            timestep=timesteps.expand(count) / self.timestep_count,
            guidance=guidance,
            pooled_projections=conditioning[POOLED],
            encoder_hidden_states=states,
            txt_ids=axes[0].new_zeros((states.shape[1], 3)),
            img_ids=torch.cartesian_prod(*axes),
            return_dict=False,
        )[0]
        predicted = prediction.transpose(1, 2).reshape(packed.shape)
        return torch.nn.functional.pixel_shuffle(predicted, self.patch)

    def meta_conditioning(self, count: int) -> Conditioning:
        """Return T5's states and CLIP's pooled ones on the meta device."""
        import torch

        states = (count, self.tokens.limit, int(self.config["joint_attention_dim"]))
        pooled = (count, int(self.config["pooled_projection_dim"]))
        return Conditioning(
            {
                T5_STATES: torch.empty(states, device="meta"),
                POOLED: torch.empty(pooled, device="meta"),
            }
        )

    def probes(self, size: tuple[int, int]) -> list[Probe]:
        """Return the first block of each kind."""
        denoiser = self.denoiser(device="meta")
        width = denoiser.inner_dim
        inputs: dict[str, tuple[int, ...]] = {
            "hidden_states": (self.tokens_of((0, *size)), width),
            "encoder_hidden_states": (self.tokens.limit, width),
            "temb": (width,),
        }
        return [
            Probe(denoiser.transformer_blocks[0], inputs),
            Probe(denoiser.single_transformer_blocks[0], inputs),
        ]

    @cached_property
    def _reads_guidance(self) -> bool:
        return bool(self.config.get("guidance_embeds"))


class Flux1TextEncoder:
    """A base's CLIP, of which the pooled states are read, and its T5.

    Raises:
        ModelError: If one is missing, damaged or incomplete.
    """

    def __init__(
        self,
        base: Path,
        tokens: T5Tokens,
        *,
        device: "torch.device | str",
        dtype: "torch.dtype | None",
    ) -> None:
        from transformers import CLIPTextModel

        self._tokens = ClipTokens(base)
        folder = base / "text_encoder"
        self._clip = load_transformers(CLIPTextModel, folder, device=device, dtype=dtype)
        self._t5 = T5TextEncoder(base / "text_encoder_2", tokens, device=device, dtype=dtype)

    @property
    def models(self) -> Mapping[str, Any]:
        """Both models, by their parts."""
        return {"text_encoder": self._clip, **self._t5.models}

    def encode(self, texts: Sequence[str]) -> Conditioning:
        """Return T5's states of texts and CLIP's pooled ones; see the protocol."""
        import torch

        with torch.no_grad():
            # No attention mask, as in the pipeline: padding is attended to.
            ids, _ = self._tokens.padded(texts, self._clip.device)
            pooled = self._clip(ids).pooler_output
        return Conditioning({T5_STATES: self._t5.states(texts), POOLED: pooled})
