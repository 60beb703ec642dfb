"""Sana: linear attention over a few latents of a deterministic autoencoder, states of Gemma 2.

Xie et al. 2025, "SANA: Efficient High-Resolution Image Synthesis with Linear Diffusion
Transformers".
"""

import inspect
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.base import Probe
from styledag.bases.conditioning import Conditioning
from styledag.bases.elsewhere import Elsewhere
from styledag.bases.families import family
from styledag.bases.flow_transformer import FlowTransformer
from styledag.bases.kl_autoencoder import KlAutoencoder
from styledag.bases.latents import LatentScale, LatentSpace, LatentsShape, Moments
from styledag.bases.parts import model_errors
from styledag.bases.texts.language_model import MASK, STATES, LanguageModel, meta_states
from styledag.bases.texts.tokens import TextTokens
from styledag.errors import ModelError, StyleFileError
from styledag.models.config import read_config

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from torch import Tensor, nn

    from styledag.bases.samplers import DiffusersSchedule

_KEPT = 300
"""States of a text that the transformer reads: the first, and those of the last tokens."""
_LOGVAR = -30.0
"""Logarithm of a variance that is none: the least that diffusers' posteriors have."""


class SanaTextEncoder(LanguageModel):
    """A base's language model, of which the last states are read."""

    kind = "Gemma2Model"

    def encode(self, texts: Sequence[str]) -> Conditioning:
        """Return the states of texts and their mask; see the protocol."""
        told = [at for at, text in enumerate(texts) if text]
        empty = [at for at, text in enumerate(texts) if not text]
        parts = [self._kept([texts[at] for at in each]) for each in (told, empty) if each]
        order = {at: row for row, at in enumerate((*told, *empty))}
        return Conditioning.concatenated(parts).select([order[at] for at in range(len(texts))])

    def _kept(self, texts: Sequence[str]) -> Conditioning:
        states, mask = self.states(texts)
        kept = [0, *range(1 - _KEPT, 0)]
        return Conditioning({STATES: states[-1][:, kept], MASK: mask[:, kept].bool()})


class DeepCompression(KlAutoencoder):
    """An ``AutoencoderDC`` of diffusers', whose latents have no variance."""

    kind = "AutoencoderDC"
    decoding = ("decoder.",)

    def encode(self, pixels: "Tensor") -> Moments:
        """Return the latents of images, with next to no variance."""
        latents = self.model.encode(pixels).latent
        return Moments(latents, latents.new_full(latents.shape, _LOGVAR))


@family(
    "Sana",
    pipeline="SanaPipeline",
    components={
        "transformer": ("SanaTransformer2DModel",),
        "vae": ("AutoencoderDC",),
        "text_encoder": ("Gemma2Model", "Gemma2ForCausalLM"),
        "tokenizer": ("GemmaTokenizer", "GemmaTokenizerFast"),
        "scheduler": ("DPMSolverMultistepScheduler",),
    },
)
class Sana(FlowTransformer):
    """A base of Sana; members are those of the protocol.

    Texts are told to the language model in small letters, behind the pipeline's own instruction to
    enhance them; the empty text alone, as the pipeline does with negative prompts.
    """

    family = "Sana"
    usual_sampler = "dpm++"
    usual_guidance_scale = 4.5
    kind = "SanaTransformer2DModel"
    autoencoder_kind = DeepCompression
    text_model = SanaTextEncoder
    elsewhere = Elsewhere(
        diffusers_lora="train_dreambooth_lora_sana", diffusers_alpha=True, onetrainer="SANA"
    )
    lists: Mapping[str, str] = {"layers": "transformer_blocks"}
    layers: Mapping[str, tuple[str, ...]] = {
        "attention": ("attn1", "attn2"),
        "cross_attention": ("attn2",),
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tokens = InstructedTokens(folder / "tokenizer")

    @cached_property
    def latents(self) -> LatentSpace:
        """Shape and scale of its latents."""
        path = self.folder / self.parts.autoencoder / "config.json"
        config = read_config(path)
        with model_errors(path):
            factor = 2 ** (len(config["encoder_block_out_channels"]) - 1)
            return LatentSpace(
                channels=int(config["latent_channels"]),
                factor_px=factor,
                multiple_px=factor * self.patch,
                scale=LatentScale(float(config.get("scaling_factor", 1.0))),
            )

    @cached_property
    def schedule(self) -> Mapping[str, Any]:
        """Its noise schedule as one of flow matching.

        Raises:
            ModelError: If it is none.
        """
        own = self._sampling_schedule
        if not own.get("use_flow_sigmas") or own.get("prediction_type") != "flow_prediction":
            raise ModelError(
                f"the scheduler of {self.folder} does not predict flows (use_flow_sigmas "
                f"{own.get('use_flow_sigmas')}, prediction_type {own.get('prediction_type')}): "
                "name a base of Sana as it was published"
            )
        return {
            "_class_name": "FlowMatchEulerDiscreteScheduler",
            "num_train_timesteps": own.get("num_train_timesteps", 1000),
            "shift": own.get("flow_shift", 1.0),
        }

    def predict(
        self,
        denoiser: "nn.Module",
        latents: "Tensor",
        timesteps: "Tensor",
        conditioning: Conditioning,
    ) -> "Tensor":
        """Return the transformer's prediction."""
        scale = float(self.config.get("timestep_scale", 1.0))
        prediction: Tensor = denoiser(
            latents,
            encoder_hidden_states=conditioning[STATES],
            encoder_attention_mask=conditioning[MASK],
            timestep=timesteps.expand(len(latents)) * scale,
            return_dict=False,
        )[0]
        return prediction

    def meta_conditioning(self, count: int) -> Conditioning:
        """Return text states and their mask on the meta device."""
        width = int(self.config["caption_channels"])
        return meta_states(count, _KEPT, width, masked=True)

    def sampler(
        self, name: str, num_inference_steps: int, shape: LatentsShape
    ) -> "DiffusersSchedule":
        """Return ``dpm++``."""
        from styledag.bases.samplers import diffusion_sampler

        del shape
        if name != "dpm++":
            raise StyleFileError(
                f"the base has no sampler {name!r}: set samples.scheduler to dpm++"
            )
        return diffusion_sampler(name, self._sampling_schedule, num_inference_steps)

    def probes(self, size: tuple[int, int]) -> list[Probe]:
        """Return the parts of the first block."""
        denoiser = self.denoiser(device="meta")
        block = denoiser.transformer_blocks[0]
        width = denoiser.proj_out.in_features
        height_tokens, width_tokens = (each // self.patch for each in size)
        tokens = {"hidden_states": (height_tokens * width_tokens, width)}
        return [
            Probe(block.attn1, tokens),
            Probe(block.attn2, {**tokens, "encoder_hidden_states": (_KEPT, width)}),
            Probe(block.ff, {"hidden_states": (width, height_tokens, width_tokens)}),
        ]

    @cached_property
    def _sampling_schedule(self) -> Mapping[str, Any]:
        return read_config(self.folder / "scheduler" / "scheduler_config.json")


class InstructedTokens(TextTokens):
    """The tokens of texts in small letters."""

    kind = "GemmaTokenizerFast"
    limit = _KEPT - 1
    width = _KEPT

    def message(self, text: str) -> str:
        """Return a text in small letters."""
        return text.lower().strip()

    def backends(self) -> "Sequence[Tokenizer]":
        """Return none, as texts are made plain first."""
        return ()

    def padded(self, texts: Sequence[str], device: "torch.device") -> "tuple[Tensor, Tensor]":
        """Return token ids and attention mask of texts, the instruction before them.

        Either all texts are empty, or none is. On the device ``meta`` they are shapes, without the
        instruction.
        """
        if device.type == "meta":
            return super().padded(texts, device)
        if not any(texts):
            return self._padded(list(texts), _KEPT, device)
        instruction = _instruction()
        tokens = len(self._backend.encode(instruction).ids) + _KEPT - 2
        return self._padded([instruction + self.message(each) for each in texts], tokens, device)

    @cached_property
    def _tokenizer(self) -> Any:
        tokenizer = super()._tokenizer
        tokenizer.padding_side = "right"
        return tokenizer


def _instruction() -> str:
    """Return what the pipeline tells the language model before each prompt."""
    from diffusers import SanaPipeline

    stated = inspect.signature(SanaPipeline.__call__).parameters["complex_human_instruction"]
    return "\n".join(stated.default)
