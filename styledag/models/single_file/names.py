"""The tensor names of Stable Diffusion's original checkpoints, by the names in diffusers.

The layout is that of CompVis/stable-diffusion (1.x, ``FrozenCLIPEmbedder``),
Stability-AI/stablediffusion (2.x, ``FrozenOpenCLIPEmbedder``), Stability-AI/generative-models
(XL, ``GeneralConditioner`` with both) and of the published ``sd3_medium_incl_clips.safetensors``
(3.x, text encoders as transformers names them). diffusers ships only the opposite direction;
:mod:`styledag.publishing.single_file.check` runs it on what these functions return.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from styledag.errors import ModelError
from styledag.models.single_file.transformer_names import SD3_NAMES

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
CLIP_PREFIX = "cond_stage_model.transformer."
OPEN_CLIP_PREFIX = "cond_stage_model.model."
XL_CLIP_PREFIX = "conditioner.embedders.0.transformer."
XL_OPEN_CLIP_PREFIX = "conditioner.embedders.1.model."
SGM_OPEN_CLIP_PREFIX = "conditioner.embedders.0.model."
"""What :data:`OPEN_CLIP_PREFIX` is in files of Stability-AI/generative-models."""
SD3_PREFIXES: Mapping[str, str] = {
    "transformer": UNET_PREFIX,
    "vae": VAE_PREFIX,
    "text_encoder": "text_encoders.clip_l.transformer.",
    "text_encoder_2": "text_encoders.clip_g.transformer.",
    "text_encoder_3": "text_encoders.t5xxl.transformer.",
}
"""What the names of each part of Stable Diffusion 3.x begin with."""
_CLIPS = (
    CLIP_PREFIX,
    XL_CLIP_PREFIX,
    SD3_PREFIXES["text_encoder"],
    SD3_PREFIXES["text_encoder_2"],
)
_SINCE_TEXT_MODEL = ("embeddings.", "encoder.", "final_layer_norm.")
SD3_TEXTS = "text_encoders."
TEXT_PREFIXES = ("cond_stage_model.", "conditioner.", SD3_TEXTS)
"""What the names of all text encoders begin with."""
_PARTS = (UNET_PREFIX, VAE_PREFIX, *TEXT_PREFIXES)
V_PREDICTION, ZERO_SNR = "v_pred", "ztsnr"
"""Empty tensors by which community files, ComfyUI, Forge and A1111 state how a UNet was trained."""
TEXT_PROJECTION = "text_projection.weight"
"""CLIP's projection, of which OpenCLIP stores the transpose."""
T5_EMBEDDING, T5_EMBEDDING_AGAIN = "shared.weight", "encoder.embed_tokens.weight"
"""The names that T5's one embedding has in its files."""
IN_PROJECTIONS = ("q_proj", "k_proj", "v_proj")
"""Attention inputs of CLIP that OpenCLIP stacks into one ``in_proj`` tensor, in this order."""

_BLOCK = re.compile(r"(\w+_blocks)\.(\d+)\.(\w+)\.(\d+)\.(.+)")
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_UNET_MIDDLE = {"resnets.0": 0, "attentions.0": 1, "resnets.1": 2}
_VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}
_OLD_VAE_ATTENTION = {
    "query": "to_q",
    "key": "to_k",
    "value": "to_v",
    "proj_attn": "to_out.0",
}
_OPEN_CLIP_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


Source = tuple[str, str]
"""A part and the name of one of its tensors in today's model."""


def read_names(names: Iterable[str], path: Path) -> dict[str, str]:
    """Return the tensors of a file that are weights of a part: original name, and that in the file.

    Left out is what else community files contain: another average of the UNet, the tables of a
    noise schedule, position ids.

    Args:
        names: Of the file's tensors.
        path: The file, for the error.

    Raises:
        ModelError: If two tensors are the same one by two names, of which programs read either.
    """
    found: dict[str, str] = {}
    for name in names:
        if not name.startswith(_PARTS) or name.endswith("position_ids"):
            continue
        original = _original_spelling(name)
        if original in found:
            first, second = sorted((name, found[original]))
            raise ModelError(
                f"{path} holds one tensor by two names, {first!r} and {second!r}, of which some "
                "programs read the former and some the latter: save it anew without one of them"
            )
        found[original] = name
    t5 = SD3_PREFIXES["text_encoder_3"]
    if t5 + T5_EMBEDDING_AGAIN in found:
        found.setdefault(t5 + T5_EMBEDDING, found[t5 + T5_EMBEDDING_AGAIN])
    return found


def is_turned(original: str, name: str) -> bool:
    """Return whether a tensor in a file is the transpose of the original.

    Diffusers' and others' converters have written XL's projection as transformers' linear layer.
    """
    return name.endswith(TEXT_PROJECTION) and not original.endswith(TEXT_PROJECTION)


def _original_spelling(name: str) -> str:
    """Return the name that the original checkpoints have for one in a file.

    Some write CLIP's names without ``text_model.``, as before transformers 4, some the
    autoencoder's attention as diffusers calls it, some 2.x as Stability's later code does.
    """
    if name.startswith(VAE_PREFIX) and ".mid.attn_1." in name:
        stem, _, layer = name.partition(".mid.attn_1.")
        layer, _, kind = layer.rpartition(".")
        return f"{stem}.mid.attn_1.{_VAE_ATTENTION.get(layer, layer)}.{kind}"
    if name == XL_OPEN_CLIP_PREFIX + TEXT_PROJECTION:
        return name.removesuffix(".weight")
    if name.startswith(SGM_OPEN_CLIP_PREFIX):
        return OPEN_CLIP_PREFIX + name.removeprefix(SGM_OPEN_CLIP_PREFIX)
    prefix = next((each for each in _CLIPS if name.startswith(each)), "")
    rest = name.removeprefix(prefix)
    is_old = prefix and rest.startswith(_SINCE_TEXT_MODEL)
    return f"{prefix}text_model.{rest}" if is_old else name


@dataclass(frozen=True)
class OriginalTensor:
    """One tensor of the single file.

    Attributes:
        name: In the original layout, prefix included.
        shape: In the original layout.
        sources: The tensors that it consists of, stacked along the first dimension.
    """

    name: str
    shape: tuple[int, ...]
    sources: tuple[Source, ...]


def original_name(part: str, name: str, configs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the original name of a part's tensor, prefix included.

    Args:
        part: ``unet``, ``transformer``, ``vae``, ``text_encoder``, XL's ``text_encoder_2``, or
            ``text_encoder_3`` of 3.x.
        name: In today's model.
        configs: ``config.json`` by part.

    Raises:
        KeyError, ValueError, IndexError, TypeError: If the original has no such tensor.
    """
    if part == "unet":
        return unet_name(name, configs[part])
    if part == "vae":
        return vae_name(name, configs[part])
    if part == "transformer":
        return UNET_PREFIX + SD3_NAMES.original(name)
    if "transformer" in configs:
        return SD3_PREFIXES[part] + name
    if is_xl(configs):
        if part == "text_encoder":
            return XL_CLIP_PREFIX + name
        return XL_OPEN_CLIP_PREFIX + open_clip_name(name)
    if has_open_clip(configs):
        return OPEN_CLIP_PREFIX + open_clip_name(name)
    return CLIP_PREFIX + name


def is_xl(configs: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether a UNet is XL's, which reads sizes and a pooled text besides."""
    return bool(configs["unet"].get("addition_embed_type") == "text_time")


def has_open_clip(configs: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether the first text encoder is OpenCLIP, which computes GELU exactly, as in 2.x."""
    return bool(configs["text_encoder"].get("hidden_act", "quick_gelu") == "gelu")


def unet_name(name: str, config: Mapping[str, Any]) -> str:
    """Return the original name of a tensor of ``UNet2DConditionModel``, prefix included.

    Raises:
        KeyError: If the original UNet has no such tensor.
    """
    if name.startswith("mid_block."):
        part, index, rest = name.removeprefix("mid_block.").split(".", 2)
        middle = f"middle_block.{_UNET_MIDDLE[f'{part}.{index}']}"
        return UNET_PREFIX + f"{middle}.{_resnet(rest) if part == 'resnets' else rest}"
    matched = _BLOCK.fullmatch(name)
    if matched is None:
        return UNET_PREFIX + _layers("unet")[name]
    side, block, part, layer, rest = matched.groups()
    per_block = config["layers_per_block"] + 1
    first = int(block) * per_block
    if side == "down_blocks":
        inside = f"input_blocks.{1 + first + int(layer)}"
        resampled = f"input_blocks.{first + per_block}.0.op"
    else:
        inside = f"output_blocks.{first + int(layer)}"
        slot = 2 if "Attn" in config["up_block_types"][int(block)] else 1
        resampled = f"output_blocks.{first + per_block - 1}.{slot}.conv"
    if part == "resnets":
        return UNET_PREFIX + f"{inside}.0.{_resnet(rest)}"
    if part == "attentions":
        return UNET_PREFIX + f"{inside}.1.{rest}"
    return UNET_PREFIX + f"{resampled}.{rest.removeprefix('conv.')}"


def vae_name(name: str, config: Mapping[str, Any]) -> str:
    """Return the original name of a tensor of ``AutoencoderKL``, prefix included.

    Raises:
        KeyError: If the original autoencoder has no such tensor.
    """
    half, _, inner = name.partition(".")
    matched = _BLOCK.fullmatch(inner)
    if matched is not None:
        side, block, part, layer, rest = matched.groups()
        number = int(block)
        if side == "up_blocks":
            number = len(config["up_block_types"]) - 1 - number
        level = f"{half}.{side.removesuffix('_blocks')}.{number}"
        if part == "resnets":
            return VAE_PREFIX + f"{level}.block.{layer}.{_shortcut(rest)}"
        return VAE_PREFIX + f"{level}.{part.removesuffix('rs')}.{rest}"
    if inner.startswith("mid_block.resnets."):
        number_text, rest = inner.removeprefix("mid_block.resnets.").split(".", 1)
        return VAE_PREFIX + f"{half}.mid.block_{int(number_text) + 1}.{_shortcut(rest)}"
    if inner.startswith("mid_block.attentions.0."):
        layer, _, kind = inner.removeprefix("mid_block.attentions.0.").rpartition(".")
        return VAE_PREFIX + f"{half}.mid.attn_1.{_VAE_ATTENTION[layer]}.{kind}"
    return VAE_PREFIX + _layers("vae")[name]


def open_clip_name(name: str) -> str:
    """Return the original name in OpenCLIP of a tensor of ``CLIPTextModel``, without a prefix.

    The three tensors of :data:`IN_PROJECTIONS` have one name: they are parts of one tensor.

    Args:
        name: In transformers, beginning with ``text_model.``, or :data:`TEXT_PROJECTION`.

    Raises:
        KeyError: If OpenCLIP has no such tensor.
    """
    layers = "text_model.encoder.layers."
    if not name.startswith(layers):
        return _layers("openclip")[name]
    number, rest = name.removeprefix(layers).split(".", 1)
    module, _, kind = rest.rpartition(".")
    block = f"transformer.resblocks.{number}"
    if module.removeprefix("self_attn.") in IN_PROJECTIONS:
        return f"{block}.attn.in_proj_{kind}"
    return f"{block}.{_OPEN_CLIP_LAYER[module]}.{kind}"


def model_name(part: str, file_name: str) -> str | None:
    """Return the name that a tensor of a file has in today's model; ``None`` if it has no weight.

    Files of Stable Diffusion 1.x use older names for the autoencoder's attention, newer
    transformers write CLIP's names without ``text_model.``, older ones store position ids, and
    T5's one embedding has either of two names, or both.
    """
    if part == "text_encoder_3":
        return T5_EMBEDDING if file_name == T5_EMBEDDING_AGAIN else file_name
    if part.startswith("text_encoder"):
        if file_name.endswith("position_ids"):
            return None
        if file_name == TEXT_PROJECTION:
            return file_name
        return "text_model." + file_name.removeprefix("text_model.")
    return vae_model_name(file_name) if part == "vae" else file_name


def vae_model_name(file_name: str) -> str:
    """Return the name that a tensor in a file of the autoencoder has in today's model."""
    if ".attentions." not in file_name:
        return file_name
    layer, kind = file_name.rsplit(".", 1)
    stem, _, old = layer.rpartition(".")
    return f"{stem}.{_OLD_VAE_ATTENTION.get(old, old)}.{kind}"


def _resnet(rest: str) -> str:
    layer, _, kind = rest.rpartition(".")
    return f"{_RESNET[layer]}.{kind}"


def _shortcut(rest: str) -> str:
    return rest.replace("conv_shortcut", "nin_shortcut")


def _layers(part: str) -> Mapping[str, str]:
    """Return diffusers' table of the layers outside of blocks."""
    from diffusers.loaders.single_file_utils import DIFFUSERS_TO_LDM_MAPPING

    table: Mapping[str, Any] = DIFFUSERS_TO_LDM_MAPPING[part]
    return {**table.get("layers", table), **table.get("addition_embed_type", {})}
