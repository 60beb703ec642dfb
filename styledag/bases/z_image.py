"""Z-Image: states of Qwen3 of each text's own length, one stream of tokens, flow matching.

Z-Image Team 2025, "Z-Image: An Efficient Image Generation Foundation Model with Single-Stream
Diffusion Transformer".
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.base import Parts, Probe
from styledag.bases.conditioning import Conditioning
from styledag.bases.families import family
from styledag.bases.flow_objective import dynamic_shift
from styledag.bases.flow_transformer import FlowTransformer
from styledag.bases.kl_autoencoder import kl_latents
from styledag.bases.language_model import ChatTokens, LanguageModel
from styledag.bases.latents import LatentSpace, LatentsShape

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from styledag.bases.samplers import DiffusersSchedule

STATES, MASK = "text_states", "text_mask"
"""Names of the language model's states in a conditioning, and of which of them are of the text."""

_SIDE_PX = 1024
"""The pipeline's own size; configurations do not state one."""


@family(
    "Z-Image",
    pipeline="ZImagePipeline",
    components={
        "transformer": ("ZImageTransformer2DModel",),
        "vae": ("AutoencoderKL",),
        "text_encoder": ("Qwen3Model", "Qwen3ForCausalLM"),
        "tokenizer": ("Qwen2Tokenizer", "Qwen2TokenizerFast"),
    },
)
class ZImage(FlowTransformer):
    """A base of Z-Image; members are those of the protocol.

    Guidance starts from the prediction without the prompt, as for all families: a scale of 5 is
    what ``ZImagePipeline``, which starts from the one with it, calls 4.

    Args:
        folder: In ``ZImagePipeline``'s layout.
    """

    family = "Z-Image"
    parts = Parts(
        denoiser="transformer",
        autoencoder="vae",
        tokenizers=("tokenizer",),
        training=("transformer", "scheduler"),
        encoding=("vae", "text_encoder", "tokenizer"),
    )
    lists: Mapping[str, str] = {
        "image": "noise_refiner",
        "text": "context_refiner",
        "layers": "layers",
    }
    layers: Mapping[str, tuple[str, ...]] = {"attention": ("attention",)}
    size_px = (_SIDE_PX, _SIDE_PX)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tokens = ChatTokens(folder / "tokenizer", thinks=True)

    @cached_property
    def latents(self) -> LatentSpace:
        """Shape and scale of its latents."""
        return kl_latents(self.folder / self.parts.autoencoder, patch=self.patch)

    @property
    def patch(self) -> int:
        """Latents along one side of a token."""
        return int(self.config["all_patch_size"][0])

    def kind(self) -> Any:
        """Return the denoiser's class."""
        from diffusers import ZImageTransformer2DModel

        return ZImageTransformer2DModel

    def text_encoder(
        self, *, device: "torch.device | str" = "cpu", dtype: "torch.dtype | None" = None
    ) -> "ZImageTextEncoder":
        """Return its language model."""
        return ZImageTextEncoder(
            LanguageModel(self.folder / "text_encoder", self.tokens, device=device, dtype=dtype)
        )

    def predict(
        self,
        denoiser: "nn.Module",
        latents: "Tensor",
        timesteps: "Tensor",
        conditioning: Conditioning,
    ) -> "Tensor":
        """Return the transformer's prediction, from noise to image turned round."""
        import torch

        count = int(self.schedule.get("num_train_timesteps", 1000))
        predicted: list[Tensor] = denoiser(
            list(latents.unsqueeze(2).unbind(0)),  # with one frame
            (count - timesteps.expand(len(latents))) / count,
            _own_states(conditioning),
            return_dict=False,
        )[0]
        return -torch.stack(predicted).squeeze(2)

    def meta_conditioning(self, count: int) -> Conditioning:
        """Return text states, all of the greatest length, and their mask on the meta device."""
        import torch

        shape = (count, self.tokens.limit)
        width = int(self.config["cap_feat_dim"])
        return Conditioning(
            {
                STATES: torch.empty((*shape, width), device="meta"),
                MASK: torch.empty(shape, device="meta", dtype=torch.bool),
            }
        )

    def sampler(
        self, name: str, num_inference_steps: int, shape: LatentsShape
    ) -> "DiffusersSchedule":
        """Return ``euler``."""
        import numpy as np

        from styledag.bases.samplers import flow_sampler

        return flow_sampler(
            name,
            self.schedule,
            num_inference_steps,
            mu=dynamic_shift(self.schedule, self.tokens_of(shape)),
            sigmas=np.linspace(1.0, 1 / num_inference_steps, num_inference_steps),
        )

    def probes(self, size: tuple[int, int]) -> list[Probe]:
        """Return the first block over image and text."""
        denoiser = self.denoiser(device="meta")
        block = denoiser.layers[0]
        inputs: dict[str, tuple[int, ...]] = {
            "x": (self.tokens_of((0, *size)) + self.tokens.limit, denoiser.dim),
            "adaln_input": (block.adaLN_modulation[0].in_features,),
        }
        return [Probe(block, inputs, ("attn_mask", "freqs_cis"))]


class ZImageTextEncoder:
    """A base's language model, of which the last layer but one is read.

    Args:
        model: The model.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    def encode(self, texts: Sequence[str]) -> Conditioning:
        """Return the states of texts and their mask; see the protocol."""
        states, mask = self._model.encode(texts)
        # What follows a text is not read, and so is not kept.
        return Conditioning({STATES: states[-2] * mask[..., None], MASK: mask.bool()})


def _own_states(conditioning: Conditioning) -> "list[Tensor]":
    """Return each text's states without what fills them up; all of them on the meta device."""
    states, mask = conditioning[STATES], conditioning[MASK]
    if states.device.type == "meta":
        return list(states.unbind(0))
    return [each[own] for each, own in zip(states, mask, strict=True)]
