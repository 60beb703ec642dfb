"""FLUX.2 klein: states of Qwen3, patched and normalised latents, flow matching.

Black Forest Labs 2026, "FLUX.2 [klein]: Towards Interactive Visual Intelligence".
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.base import Probe
from styledag.bases.conditioning import Conditioning
from styledag.bases.elsewhere import Elsewhere
from styledag.bases.families import family
from styledag.bases.flow_objective import FlowObjective, FlowSettings
from styledag.bases.flow_transformer import FlowTransformer
from styledag.bases.kl_autoencoder import KlAutoencoder, kl_latents
from styledag.bases.latents import LatentScale, LatentSpace, LatentsShape, Moments
from styledag.bases.texts.language_model import STATES, ChatTokens, LanguageModel, meta_states
from styledag.errors import ModelError
from styledag.models.config import read_config
from styledag.models.single_file.transformer_names import TransformerNames

if TYPE_CHECKING:
    from torch import Tensor, nn

_LAYERS = (9, 18, 27)
"""Layers of the language model whose states are joined."""
_PATCH = 2
"""Latents of the autoencoder along one side of what is one latent of the denoiser."""
_SIDE = 128
"""Latents of the autoencoder along one side of an image of the base's own size."""


def _klein_architecture(config: Mapping[str, Any]) -> str:
    size = {24: "-4b", 32: "-9b"}.get(config.get("num_attention_heads", 0), "")
    return f"flux.2-klein{size}"


DOUBLE_ATTENTION: Mapping[str, str] = {
    "attn.to_q": "img_attn.qkv",
    "attn.to_k": "img_attn.qkv",
    "attn.to_v": "img_attn.qkv",
    "attn.norm_q": "img_attn.norm.query_norm",
    "attn.norm_k": "img_attn.norm.key_norm",
    "attn.to_out.0": "img_attn.proj",
    "attn.add_q_proj": "txt_attn.qkv",
    "attn.add_k_proj": "txt_attn.qkv",
    "attn.add_v_proj": "txt_attn.qkv",
    "attn.norm_added_q": "txt_attn.norm.query_norm",
    "attn.norm_added_k": "txt_attn.norm.key_norm",
    "attn.to_add_out": "txt_attn.proj",
}
"""Original names of the attention of image and text in a block, as FLUX.1 has them too."""
_NAMES = TransformerNames(
    architecture=_klein_architecture,
    implementation="https://github.com/black-forest-labs/flux2",
    layers={
        "x_embedder": "img_in",
        "context_embedder": "txt_in",
        "time_guidance_embed.timestep_embedder.linear_1": "time_in.in_layer",
        "time_guidance_embed.timestep_embedder.linear_2": "time_in.out_layer",
        "double_stream_modulation_img.linear": "double_stream_modulation_img.lin",
        "double_stream_modulation_txt.linear": "double_stream_modulation_txt.lin",
        "single_stream_modulation.linear": "single_stream_modulation.lin",
        "norm_out.linear": "final_layer.adaLN_modulation.1",
        "proj_out": "final_layer.linear",
    },
    lists={"transformer_blocks": "double_blocks", "single_transformer_blocks": "single_blocks"},
    inner={
        "transformer_blocks": {
            **DOUBLE_ATTENTION,
            "ff.linear_in": "img_mlp.0",
            "ff.linear_out": "img_mlp.2",
            "ff_context.linear_in": "txt_mlp.0",
            "ff_context.linear_out": "txt_mlp.2",
        },
        "single_transformer_blocks": {
            "attn.to_qkv_mlp_proj": "linear1",
            "attn.to_out": "linear2",
            "attn.norm_q": "norm.query_norm",
            "attn.norm_k": "norm.key_norm",
        },
    },
    swapped=("norm_out.linear",),
    norm_weight="scale",
)


class KleinTextEncoder(LanguageModel):
    """A base's language model, of which three layers are read."""

    def encode(self, texts: Sequence[str]) -> Conditioning:
        """Return the joined states of texts; see the protocol."""
        import torch

        # Padding is attended to by the denoiser, as in the pipeline.
        states, _ = self.states(texts)
        return Conditioning({STATES: torch.cat([states[layer] for layer in _LAYERS], dim=-1)})


class Flux2Autoencoder(KlAutoencoder):
    """An ``AutoencoderKLFlux2`` of diffusers', in the denoiser's latents: patched, normalised."""

    kind = "AutoencoderKLFlux2"

    def encode(self, pixels: "Tensor") -> Moments:
        """Return the posterior moments of images."""
        import torch

        moments = super().encode(pixels)
        mean, deviation = self._statistics(moments.mean)
        return Moments(
            (torch.nn.functional.pixel_unshuffle(moments.mean, _PATCH) - mean) / deviation,
            torch.nn.functional.pixel_unshuffle(moments.logvar, _PATCH) - 2 * deviation.log(),
        )

    def decode(self, latents: "Tensor") -> "Tensor":
        """Return the images of latents."""
        import torch

        mean, deviation = self._statistics(latents)
        unpatched = torch.nn.functional.pixel_shuffle(latents * deviation + mean, _PATCH)
        return super().decode(unpatched)

    def _statistics(self, like: "Tensor") -> "tuple[Tensor, Tensor]":
        """Return mean and deviation by channel, [1, C, 1, 1], in a tensor's dtype."""
        norm = self.model.bn
        mean = norm.running_mean.view(1, -1, 1, 1)
        deviation = (norm.running_var.view(1, -1, 1, 1) + norm.eps).sqrt()
        return mean.to(like.dtype), deviation.to(like.dtype)


@family(
    "FLUX.2 klein",
    pipeline="Flux2KleinPipeline",
    components={
        "transformer": ("Flux2Transformer2DModel",),
        "vae": ("AutoencoderKLFlux2",),
        "text_encoder": ("Qwen3ForCausalLM", "Qwen3Model"),
        "tokenizer": ("Qwen2Tokenizer", "Qwen2TokenizerFast"),
    },
)
class Flux2Klein(FlowTransformer):
    """A base of FLUX.2 klein that is not distilled; members are those of the protocol.

    Its latents are those of the autoencoder in patches of 2x2, normalised by channel, as the
    denoiser reads them: encoding and decoding patch and normalise, and there is no further scale.
    """

    family = "FLUX.2 klein"
    kind = "Flux2Transformer2DModel"
    usual_guidance_scale = 4.0
    autoencoder_kind = Flux2Autoencoder
    elsewhere = Elsewhere(
        tensors=_NAMES,
        ai_toolkit="flux2_klein_4b",
        diffusers_lora="train_dreambooth_lora_flux2_klein",
        diffusers_alpha=True,
        onetrainer="FLUX_2",
        onetrainer_dropout=False,
    )
    text_model = KleinTextEncoder
    lists: Mapping[str, str] = {
        "double": "transformer_blocks",
        "single": "single_transformer_blocks",
    }
    layers: Mapping[str, tuple[str, ...]] = {"attention": ("attn",)}
    patch = 1
    even_sigmas = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tokens = ChatTokens(folder / "tokenizer", thinks=False)

    @cached_property
    def latents(self) -> LatentSpace:
        """Shape of its latents."""
        inner = kl_latents(self.folder / self.parts.autoencoder)
        factor = _PATCH * inner.factor_px
        return LatentSpace(
            channels=_PATCH**2 * inner.channels,
            factor_px=factor,
            multiple_px=factor,
            scale=LatentScale(1.0),
        )

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the images that it was made for."""
        side = _SIDE // _PATCH * self.latents.factor_px
        return side, side

    def check_inputs(self, config: Any, folder: Path) -> None:
        """Check that the transformer reads no guidance scale either."""
        super().check_inputs(config, folder)
        if config.guidance_embeds:
            raise ModelError(
                f"the {self.denoiser_name} of {folder} reads a guidance scale, as distilled ones "
                "do: name a base that reads none, such as FLUX.2-klein-base-4B"
            )

    def objective(
        self, *, min_snr_gamma: float | None = None, flow: FlowSettings | None = None
    ) -> FlowObjective:
        """Return the velocity of flow matching as objective."""
        if read_config(self.folder / "model_index.json").get("is_distilled"):
            raise ModelError(
                f"{self.folder} is distilled to draw in few steps, which training would undo: name "
                "a base that is not, such as FLUX.2-klein-base-4B"
            )
        return super().objective(min_snr_gamma=min_snr_gamma, flow=flow)

    def predict(
        self,
        denoiser: "nn.Module",
        latents: "Tensor",
        timesteps: "Tensor",
        conditioning: Conditioning,
    ) -> "Tensor":
        """Return the transformer's prediction."""
        import torch

        states = conditioning[STATES]
        count, _, height, width = latents.shape
        # Time, row, column, place in the text.
        axes = [torch.arange(size, device=latents.device) for size in (1, height, width, 1)]
        text = torch.arange(states.shape[1], device=latents.device)
        prediction: Tensor = denoiser(
            hidden_states=latents.flatten(2).transpose(1, 2),
            timestep=timesteps.expand(count) / self.timestep_count,
            guidance=None,
            encoder_hidden_states=states,
            txt_ids=torch.cartesian_prod(axes[0], axes[0], axes[0], text),
            img_ids=torch.cartesian_prod(*axes),
            return_dict=False,
        )[0]
        return prediction.transpose(1, 2).reshape(latents.shape)

    def meta_conditioning(self, count: int) -> Conditioning:
        """Return text states on the meta device."""
        width = int(self.config["joint_attention_dim"])
        return meta_states(count, self.tokens.limit, width, masked=False)

    def shift(self, shape: LatentsShape, num_inference_steps: int) -> float:
        """Return ``mu`` as the pipeline has it."""
        from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu

        return float(compute_empirical_mu(self.tokens_of(shape), num_inference_steps))

    def probes(self, size: tuple[int, int]) -> list[Probe]:
        """Return the first block of each kind."""
        denoiser = self.denoiser(device="meta")
        width, image, text = denoiser.inner_dim, self.tokens_of((0, *size)), self.tokens.limit
        double: dict[str, tuple[int, ...]] = {
            "hidden_states": (image, width),
            "encoder_hidden_states": (text, width),
            "temb_mod_img": (6 * width,),
            "temb_mod_txt": (6 * width,),
        }
        single: dict[str, tuple[int, ...]] = {
            "hidden_states": (text + image, width),
            "temb_mod": (3 * width,),
        }
        return [
            Probe(denoiser.transformer_blocks[0], double),
            Probe(denoiser.single_transformer_blocks[0], single, ("encoder_hidden_states",)),
        ]
