"""Z-Image: states of Qwen3 of each text's own length, one stream of tokens, flow matching.

Z-Image Team 2025, "Z-Image: An Efficient Image Generation Foundation Model with Single-Stream
Diffusion Transformer".
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.bases.base import Probe
from styledag.bases.conditioning import Conditioning
from styledag.bases.elsewhere import Elsewhere
from styledag.bases.families import family
from styledag.bases.flow_transformer import FlowTransformer
from styledag.bases.texts.language_model import MASK, STATES, ChatTokens, LanguageModel, meta_states
from styledag.models.single_file.transformer_names import TransformerNames

if TYPE_CHECKING:
    from torch import Tensor, nn

_SIDE_PX = 1024
"""The pipeline's own size; configurations do not state one."""
_BLOCK = {
    "attention.to_q": "attention.qkv",
    "attention.to_k": "attention.qkv",
    "attention.to_v": "attention.qkv",
    "attention.to_out.0": "attention.out",
    "attention.norm_q": "attention.q_norm",
    "attention.norm_k": "attention.k_norm",
}
_LISTS = ("noise_refiner", "context_refiner", "layers")
_NAMES = TransformerNames(
    architecture=lambda _: "z-image",
    implementation="https://github.com/Tongyi-MAI/Z-Image",
    layers={
        "all_x_embedder.2-1": "x_embedder",
        "all_final_layer.2-1.linear": "final_layer.linear",
        "all_final_layer.2-1.adaLN_modulation.1": "final_layer.adaLN_modulation.1",
    },
    lists={name: name for name in _LISTS},
    inner=dict.fromkeys(_LISTS, _BLOCK),
)


class ZImageTextEncoder(LanguageModel):
    """A base's language model, of which the last layer but one is read."""

    def encode(self, texts: Sequence[str]) -> Conditioning:
        """Return the states of texts and their mask; see the protocol."""
        states, mask = self.states(texts)
        # What follows a text is not read, and so is not kept.
        return Conditioning({STATES: states[-2] * mask[..., None], MASK: mask.bool()})


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
    """

    family = "Z-Image"
    kind = "ZImageTransformer2DModel"
    usual_guidance_scale = 6.0
    text_model = ZImageTextEncoder
    elsewhere = Elsewhere(
        tensors=_NAMES,
        ai_toolkit="zimage",
        diffusers_lora="train_dreambooth_lora_z_image",
        diffusers_alpha=True,
        onetrainer="Z_IMAGE",
        onetrainer_dropout=False,
    )
    lists: Mapping[str, str] = {
        "image": "noise_refiner",
        "text": "context_refiner",
        "layers": "layers",
    }
    layers: Mapping[str, tuple[str, ...]] = {"attention": ("attention",)}
    size_px = (_SIDE_PX, _SIDE_PX)
    even_sigmas = True
    has_texts_of_any_length = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tokens = ChatTokens(folder / "tokenizer", thinks=True)

    @property
    def positions(self) -> int:
        """Tokens along a side that it has position embeddings for."""
        return min(int(length) for length in self.config["axes_lens"][1:])

    @property
    def patch(self) -> int:
        """Latents along one side of a token."""
        return int(self.config["all_patch_size"][0])

    def predict(
        self,
        denoiser: "nn.Module",
        latents: "Tensor",
        timesteps: "Tensor",
        conditioning: Conditioning,
    ) -> "Tensor":
        """Return the transformer's prediction, from noise to image turned round."""
        import torch

        count = self.timestep_count
        predicted: list[Tensor] = denoiser(
            list(latents.unsqueeze(2).unbind(0)),  # with one frame
            (count - timesteps.expand(len(latents))) / count,
            _own_states(conditioning),
            return_dict=False,
        )[0]
        return -torch.stack(predicted).squeeze(2)

    def meta_conditioning(self, count: int) -> Conditioning:
        """Return text states, all of the greatest length, and their mask on the meta device."""
        width = int(self.config["cap_feat_dim"])
        return meta_states(count, self.tokens.limit, width, masked=True)

    def probes(self, size: tuple[int, int]) -> list[Probe]:
        """Return the first block over image and text."""
        denoiser = self.denoiser(device="meta")
        block = denoiser.layers[0]
        inputs: dict[str, tuple[int, ...]] = {
            "x": (self.tokens_of((0, *size)) + self.tokens.limit, denoiser.dim),
            "adaln_input": (block.adaLN_modulation[0].in_features,),
        }
        return [Probe(block, inputs, ("attn_mask", "freqs_cis"))]


def _own_states(conditioning: Conditioning) -> "list[Tensor]":
    """Return each text's states without what fills them up; all of them on the meta device."""
    states, mask = conditioning[STATES], conditioning[MASK]
    if states.device.type == "meta":
        return list(states.unbind(0))
    return [each[own] for each, own in zip(states, mask, strict=True)]
