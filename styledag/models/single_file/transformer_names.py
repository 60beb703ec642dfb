"""The tensor names of transformers' original checkpoints, by the names in diffusers.

The layouts are those of Stability-AI/sd3.5, black-forest-labs/flux2 and Tongyi-MAI/Z-Image, which
ComfyUI reads. diffusers ships only the opposite direction;
:mod:`styledag.publishing.single_file.transformer` runs it on what these tables give.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_BLOCK = re.compile(r"(\w+)\.(\d+)\.(.+)")


@dataclass(frozen=True, kw_only=True)
class TransformerNames:
    """How one family's original checkpoints name their tensors.

    Layers that no table has are named alike.

    Attributes:
        architecture: Returns a transformer's name in a file's header by its ``config.json``.
        implementation: Where the original code is.
        layers: Names of layers outside of blocks, by those in diffusers.
        lists: Names of lists of blocks, by those in diffusers.
        inner: Names of layers inside of blocks, by the list in diffusers and the layer there.
            Several of one name are stacked along their first dimension, in this order.
        swapped: Layers in diffusers whose halves, scale and shift, come in the opposite order.
        norm_weight: What the weight of a layer is called whose original name ends in ``_norm``.
    """

    architecture: Callable[[Mapping[str, Any]], str]
    implementation: str
    layers: Mapping[str, str]
    lists: Mapping[str, str]
    inner: Mapping[str, Mapping[str, str]]
    swapped: tuple[str, ...] = ()
    norm_weight: str = "weight"

    def original(self, name: str) -> str:
        """Return the original name of a tensor."""
        if name in self.layers:  # a parameter of the model's own
            return self.layers[name]
        matched = _BLOCK.fullmatch(name)
        if matched is None or matched[1] not in self.lists:
            layer, _, kind = name.rpartition(".")
            return f"{self.layers.get(layer, layer)}.{kind}" if layer else name
        layer, _, kind = matched[3].rpartition(".")
        original = self.inner[matched[1]].get(layer, layer)
        kind = self.norm_weight if original.endswith("_norm") else kind
        return f"{self.lists[matched[1]]}.{matched[2]}.{original}.{kind}"

    def order(self, name: str) -> int:
        """Return a tensor's place among those that are stacked with it."""
        matched = _BLOCK.fullmatch(name)
        if matched is None or matched[1] not in self.lists:
            return 0
        layers = list(self.inner[matched[1]])
        layer = matched[3].rpartition(".")[0]
        return layers.index(layer) if layer in layers else 0


# Programs go by the header's architecture and not by tensors: SwarmUI, whose names these are, draws
# a file of an architecture that it does not know as whatever its tensors are most like.
def _sd3_architecture(config: Mapping[str, Any]) -> str:
    if not config.get("qk_norm"):
        return "stable-diffusion-v3-medium"
    return f"stable-diffusion-v3.5-{'medium' if config.get('dual_attention_layers') else 'large'}"


def _klein_architecture(config: Mapping[str, Any]) -> str:
    size = {24: "-4b", 32: "-9b"}.get(config.get("num_attention_heads", 0), "")
    return f"flux.2-klein{size}"


_SD3 = TransformerNames(
    architecture=_sd3_architecture,
    implementation="https://github.com/Stability-AI/sd3.5",
    layers={
        "pos_embed.pos_embed": "pos_embed",
        "pos_embed.proj": "x_embedder.proj",
        "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
        "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
        "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
        "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
        "norm_out.linear": "final_layer.adaLN_modulation.1",
        "proj_out": "final_layer.linear",
    },
    lists={"transformer_blocks": "joint_blocks"},
    inner={
        "transformer_blocks": {
            "norm1.linear": "x_block.adaLN_modulation.1",
            "norm1_context.linear": "context_block.adaLN_modulation.1",
            "attn.to_q": "x_block.attn.qkv",
            "attn.to_k": "x_block.attn.qkv",
            "attn.to_v": "x_block.attn.qkv",
            "attn.norm_q": "x_block.attn.ln_q",
            "attn.norm_k": "x_block.attn.ln_k",
            "attn.to_out.0": "x_block.attn.proj",
            "attn.add_q_proj": "context_block.attn.qkv",
            "attn.add_k_proj": "context_block.attn.qkv",
            "attn.add_v_proj": "context_block.attn.qkv",
            "attn.norm_added_q": "context_block.attn.ln_q",
            "attn.norm_added_k": "context_block.attn.ln_k",
            "attn.to_add_out": "context_block.attn.proj",
            "attn2.to_q": "x_block.attn2.qkv",
            "attn2.to_k": "x_block.attn2.qkv",
            "attn2.to_v": "x_block.attn2.qkv",
            "attn2.norm_q": "x_block.attn2.ln_q",
            "attn2.norm_k": "x_block.attn2.ln_k",
            "attn2.to_out.0": "x_block.attn2.proj",
            "ff.net.0.proj": "x_block.mlp.fc1",
            "ff.net.2": "x_block.mlp.fc2",
            "ff_context.net.0.proj": "context_block.mlp.fc1",
            "ff_context.net.2": "context_block.mlp.fc2",
        }
    },
    swapped=("norm_out.linear", "norm1_context.linear"),
)
_FLUX2 = TransformerNames(
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
_Z_IMAGE_BLOCK = {
    "attention.to_q": "attention.qkv",
    "attention.to_k": "attention.qkv",
    "attention.to_v": "attention.qkv",
    "attention.to_out.0": "attention.out",
    "attention.norm_q": "attention.q_norm",
    "attention.norm_k": "attention.k_norm",
}
_Z_IMAGE_LISTS = ("noise_refiner", "context_refiner", "layers")
_Z_IMAGE = TransformerNames(
    architecture=lambda _: "z-image",
    implementation="https://github.com/Tongyi-MAI/Z-Image",
    layers={
        "all_x_embedder.2-1": "x_embedder",
        "all_final_layer.2-1.linear": "final_layer.linear",
        "all_final_layer.2-1.adaLN_modulation.1": "final_layer.adaLN_modulation.1",
    },
    lists={name: name for name in _Z_IMAGE_LISTS},
    inner=dict.fromkeys(_Z_IMAGE_LISTS, _Z_IMAGE_BLOCK),
)

TRANSFORMERS: Mapping[str, TransformerNames] = {
    "SD3Transformer2DModel": _SD3,
    "Flux2Transformer2DModel": _FLUX2,
    "ZImageTransformer2DModel": _Z_IMAGE,
}
"""Names by the transformer's class in diffusers. Sana is not there: ComfyUI does not read it."""
