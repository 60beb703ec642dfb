"""Stable Diffusion 3 and 3.5: two CLIPs and perhaps T5, sixteen channels, flow matching.

Esser et al. 2024, "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis".
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.base import Parts, Probe, Tokens
from styledag.bases.conditioning import Conditioning
from styledag.bases.elsewhere import Elsewhere
from styledag.bases.families import family
from styledag.bases.flow_transformer import FlowTransformer
from styledag.bases.texts.clip import STATES, text_positions
from styledag.bases.texts.clip_pair import POOLED, ClipPair, LongerTokens, pair_tokens
from styledag.bases.texts.t5 import T5_STATES, T5TextEncoder, T5Tokens
from styledag.models.config import read_config
from styledag.models.single_file.transformer_names import SD3_NAMES

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_T5_TOKENS = 256
"""Tokens of T5 that the pipeline joins to CLIP's; zeros where the base has no T5."""
_CLIPS = ("text_encoder", "text_encoder_2")


@family(
    "Stable Diffusion 3.x",
    pipeline="StableDiffusion3Pipeline",
    components={
        "transformer": ("SD3Transformer2DModel",),
        "vae": ("AutoencoderKL",),
        "text_encoder": ("CLIPTextModelWithProjection",),
        "text_encoder_2": ("CLIPTextModelWithProjection",),
        "text_encoder_3": ("T5EncoderModel", None),
        "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
        "tokenizer_2": ("CLIPTokenizer", "CLIPTokenizerFast"),
        "tokenizer_3": ("T5Tokenizer", "T5TokenizerFast", None),
    },
)
class StableDiffusion3(FlowTransformer):
    """A base of Stable Diffusion 3 or 3.5; members are those of the protocol.

    T5 is not used where ``model_index.json`` names none, as after ``from_pretrained(...,
    text_encoder_3=None, tokenizer_3=None).save_pretrained(folder)``. Texts that only T5 reads to
    their end are allowed where there is one: the CLIPs read their start, as in the pipeline.
    """

    family = "Stable Diffusion 3.x"
    kind = "SD3Transformer2DModel"
    usual_guidance_scale = 7.0
    elsewhere = Elsewhere(
        tensors=SD3_NAMES,
        ai_toolkit="sd3",
        diffusers="train_dreambooth_sd3",
        diffusers_lora="train_dreambooth_lora_sd3",
        onetrainer="STABLE_DIFFUSION_35",
    )
    lists: Mapping[str, str] = {"blocks": "transformer_blocks"}
    layers: Mapping[str, tuple[str, ...]] = {"attention": ("attn", "attn2")}
    """Each block's attn reads image and caption together, attn2 the image alone."""

    @property
    def positions(self) -> int:
        """Tokens along a side that it has position embeddings for."""
        return int(self.config["pos_embed_max_size"])

    @cached_property
    def parts(self) -> Parts:  # type: ignore[override]
        """Its subfolders, T5's if it has one."""
        further = ("text_encoder_3", "tokenizer_3") if self._has_t5 else ()
        tokenizers = ("tokenizer", "tokenizer_2", *further[1:])
        return Parts(
            denoiser="transformer",
            autoencoder="vae",
            tokenizers=tokenizers,
            training=("transformer", "scheduler"),
            encoding=("vae", *_CLIPS, *further[:1], *tokenizers),
        )

    @cached_property
    def tokens(self) -> Tokens:  # type: ignore[override]
        """T5's tokens, or the CLIPs' without it."""
        return _t5_tokens(self.folder) if self._has_t5 else LongerTokens(pair_tokens(self.folder))

    def text_encoder(
        self, *, device: "torch.device | str" = "cpu", dtype: "torch.dtype | None" = None
    ) -> "Sd3TextEncoder":
        """Return all of its text encoders."""
        return Sd3TextEncoder(self.folder, with_t5=self._has_t5, device=device, dtype=dtype)

    def predict(
        self,
        denoiser: "nn.Module",
        latents: "Tensor",
        timesteps: "Tensor",
        conditioning: Conditioning,
    ) -> "Tensor":
        """Return the transformer's prediction."""
        prediction: Tensor = denoiser(
            hidden_states=latents,
            timestep=timesteps.expand(len(latents)),
            encoder_hidden_states=self.joined_states(conditioning),
            pooled_projections=conditioning[POOLED],
            return_dict=False,
        )[0]
        return prediction

    def joined_states(self, conditioning: Conditioning) -> "Tensor":
        """Return all text states as the transformer reads them: CLIP's, filled up, then T5's."""
        import torch

        clip = conditioning[STATES]
        width = int(self.config["joint_attention_dim"])
        if T5_STATES in conditioning.tensors:
            t5 = conditioning[T5_STATES]
        else:
            t5 = clip.new_zeros((len(clip), _T5_TOKENS, width))
        filled = torch.nn.functional.pad(clip, (0, width - clip.shape[-1]))
        return torch.cat([filled, t5], dim=1)

    def meta_conditioning(self, count: int) -> Conditioning:
        """Return text states and pooled states on the meta device."""
        import torch

        widths = [int(self._text_config(clip)["hidden_size"]) for clip in _CLIPS]
        positions = text_positions(self.folder)
        pooled = int(self.config["pooled_projection_dim"])
        tensors = {
            STATES: torch.empty((count, positions, sum(widths)), device="meta"),
            POOLED: torch.empty((count, pooled), device="meta"),
        }
        if self._has_t5:
            width = int(self.config["joint_attention_dim"])
            tensors[T5_STATES] = torch.empty((count, _T5_TOKENS, width), device="meta")
        return Conditioning(tensors)

    def probes(self, size: tuple[int, int]) -> list[Probe]:
        """Return the first block."""
        denoiser = self.denoiser(device="meta")
        width = denoiser.inner_dim
        text = text_positions(self.folder) + _T5_TOKENS
        inputs: dict[str, tuple[int, ...]] = {
            "hidden_states": (self.tokens_of((0, *size)), width),
            "encoder_hidden_states": (text, int(self.config["caption_projection_dim"])),
            "temb": (width,),
        }
        return [Probe(denoiser.transformer_blocks[0], inputs)]

    @cached_property
    def _has_t5(self) -> bool:
        stated = read_config(self.folder / "model_index.json").get("text_encoder_3")
        return bool(stated and stated[-1])

    def _text_config(self, part: str) -> Mapping[str, Any]:
        return read_config(self.folder / part / "config.json")


def _t5_tokens(base: Path) -> T5Tokens:
    return T5Tokens(base / "tokenizer_3", _T5_TOKENS)


class Sd3TextEncoder:
    """Both CLIPs of a base, and its T5.

    Raises:
        ModelError: If one is missing, damaged or incomplete.
    """

    def __init__(
        self,
        base: Path,
        *,
        with_t5: bool,
        device: "torch.device | str",
        dtype: "torch.dtype | None",
    ) -> None:
        from transformers import CLIPTextModelWithProjection

        self._clips = ClipPair(base, (CLIPTextModelWithProjection,) * 2, device=device, dtype=dtype)
        self._t5: T5TextEncoder | None = None
        if with_t5:
            self._t5 = T5TextEncoder(
                base / "text_encoder_3", _t5_tokens(base), device=device, dtype=dtype
            )

    @property
    def models(self) -> Mapping[str, Any]:
        """All models, by their parts."""
        return {**self._clips.models, **({} if self._t5 is None else self._t5.models)}

    def encode(self, texts: Sequence[str]) -> Conditioning:
        """Return states and pooled states of texts; see the protocol."""
        import torch

        states, outputs = self._clips.encode(texts)
        pooled = torch.cat([each.text_embeds for each in outputs], dim=-1)
        tensors = {STATES: states, POOLED: pooled}
        if self._t5 is not None:
            tensors[T5_STATES] = self._t5.states(texts)
        return Conditioning(tensors)
