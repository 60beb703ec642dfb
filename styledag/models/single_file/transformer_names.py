"""The tensor names of transformers' original checkpoints, by the names in diffusers.

Each family's table is in its own file, but for Stable Diffusion 3.x, whose whole files are read.
diffusers ships only the opposite direction; :mod:`styledag.publishing.single_file.transformer` runs
it on what these tables give.
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
            Programs go by it and not by tensors: SwarmUI, whose names these are, draws a file of an
            architecture that it does not know as whatever its tensors are most like.
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


def _sd3_architecture(config: Mapping[str, Any]) -> str:
    if not config.get("qk_norm"):
        return "stable-diffusion-v3-medium"
    return f"stable-diffusion-v3.5-{'medium' if config.get('dual_attention_layers') else 'large'}"


SD3_NAMES = TransformerNames(
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
