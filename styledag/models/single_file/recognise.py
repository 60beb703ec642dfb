"""What a single file is, by its header alone: which Stable Diffusion, or why it cannot be read."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from styledag.errors import ModelError
from styledag.models.single_file import names
from styledag.models.single_file.configurations import V1, V2, V2_V, XL
from styledag.models.single_file.sd3_configurations import SD3, SD35_LARGE, SD35_MEDIUM
from styledag.tensors.layout import FILE_SUFFIXES

if TYPE_CHECKING:
    from styledag.tensors.reader import TensorReader

_CONTEXT = f"{names.UNET_PREFIX}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
_WIDTH_V1 = 768
_CONTINUOUS = ("edm_mean", "edm_vpred.sigma_max")
"""Tensors of files whose UNet was trained on a continuous noise level (CosXL, Playground 2.5)."""
T5 = "text_encoder_3"
"""The part that a Stable Diffusion 3.x may lack."""
V1_PIPELINE, XL_PIPELINE = "StableDiffusionPipeline", "StableDiffusionXLPipeline"
SD3_PIPELINE = "StableDiffusion3Pipeline"
MARKS = (names.V_PREDICTION, names.ZERO_SNR, *_CONTINUOUS)
"""Names of all tensors that state how a UNet was trained."""
_ADAPTER = re.compile(r"(?<![a-z])(?:lora|lokr_|hada_|oft_|dora_scale)")
"""In the names of tensors of LoRAs and LyCORIS' other adapters: LoKr, LoHa, OFT, DoRA."""
_READ = "Stable Diffusion 1.x, 2.x, XL and 3.x are read as single files"
_BESIDE = "{model: org/name, revision: ..., denoiser: file.safetensors}"
_PIPELINES = {"v1": V1_PIPELINE, "v2": V1_PIPELINE, "xl_base": XL_PIPELINE}
_SD3_KINDS = {"sd3": SD3, "sd35_medium": SD35_MEDIUM, "sd35_large": SD35_LARGE}
_PARTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    V1_PIPELINE: {
        "unet": (names.UNET_PREFIX,),
        "vae": (names.VAE_PREFIX,),
        "text_encoder": (
            names.CLIP_PREFIX,
            names.OPEN_CLIP_PREFIX,
            names.SGM_OPEN_CLIP_PREFIX,
        ),
    },
    XL_PIPELINE: {
        "unet": (names.UNET_PREFIX,),
        "vae": (names.VAE_PREFIX,),
        "text_encoder": (names.XL_CLIP_PREFIX,),
        "text_encoder_2": (names.XL_OPEN_CLIP_PREFIX,),
    },
    SD3_PIPELINE: {part: (prefix,) for part, prefix in names.SD3_PREFIXES.items() if part != T5},
}
"""What the names of the parts that a file must have begin with, by diffusers' pipeline."""


@dataclass(frozen=True)
class Recognised:
    """What a single file is.

    Attributes:
        architecture: One of :data:`~styledag.models.single_file.configurations.ARCHITECTURES`.
        scheduler: What it states of its training that differs from its architecture.
    """

    architecture: str
    scheduler: Mapping[str, Any] = field(default_factory=dict)


def check_format(path: Path) -> None:
    """Check that a file's name is one of safetensors.

    Raises:
        ModelError: If it is not; the message includes what to do about another format.
    """
    suffix = path.suffix.lower()
    if suffix in FILE_SUFFIXES:
        return
    raise ModelError(
        f"{path} is no {FILE_SUFFIXES[0]} file, and GGUF's quantised weights are not read: "
        "name the model that it was made from"
        if suffix == ".gguf"
        else f"{path} is no {FILE_SUFFIXES[0]} file, and pickled checkpoints are not read, "
        "since they can run code: convert it to safetensors, or name a folder in diffusers' "
        "layout"
    )


def is_adapter(tensors: Iterable[str]) -> bool:
    """Return whether tensors of these names change a model and are none."""
    return any(_ADAPTER.search(name) for name in tensors)


def check_whole(reader: "TensorReader", pipeline: str) -> None:
    """Check that a file has all parts of a pipeline under the names of the original checkpoints.

    Args:
        reader: The file.
        pipeline: Class of diffusers.

    Raises:
        ModelError: If a part is missing; the message includes what the file may be.
    """
    if is_adapter(reader.specs):
        raise ModelError(
            f"{reader.path} is a LoRA or the like, which changes a base and is none: name the "
            "whole checkpoint"
        )
    check_discrete(reader)
    missing = [
        part
        for part, starts in _PARTS.get(pipeline, _PARTS[V1_PIPELINE]).items()
        if not any(name.startswith(starts) for name in reader.specs)
    ]
    if missing:
        raise ModelError(
            f"{reader.path} contains no {', '.join(missing)} under the names of Stable Diffusion's "
            "original checkpoints: name a whole checkpoint, or a folder in diffusers' layout; a "
            f"file with a denoiser goes beside its base: {_BESIDE}"
        )


def has_t5(reader: "TensorReader") -> bool:
    """Return whether a file has weights of T5."""
    return any(name.startswith(names.SD3_PREFIXES[T5]) for name in reader.specs)


def check_discrete(reader: "TensorReader") -> None:
    """Check that a file's UNet was not trained on a continuous noise level.

    Raises:
        ModelError: If it was.
    """
    continuous = next((name for name in _CONTINUOUS if name in reader.specs), None)
    if continuous is not None:
        raise ModelError(
            f"{reader.path} was trained on a continuous noise level (tensor {continuous!r}), as "
            "CosXL is, and not on a schedule of timesteps: name another base"
        )


def recognise(reader: "TensorReader") -> Recognised:
    """Return what a single file is.

    Raises:
        ModelError: If it is none that is read, or may be one of several; with the remedy.
    """
    kind = _kind(reader)
    if kind in _SD3_KINDS:
        check_whole(reader, SD3_PIPELINE)
        return Recognised(_SD3_KINDS[kind])
    if kind not in _PIPELINES:
        raise ModelError(
            f"{reader.path} is of kind {kind!r} by its tensors; {_READ}: if its family can be "
            "fine-tuned, name its folder in diffusers' layout or its Hub id, with the file beside "
            f"it: {_BESIDE}"
        )
    check_whole(reader, _PIPELINES[kind])
    stated = reader.metadata.get("modelspec.architecture", "")
    predicts = _stated_prediction(reader)
    if names.V_PREDICTION in reader.specs:
        predicts = "v"
    if kind == "xl_base" or stated == XL:
        architecture = XL
    elif kind == "v2" or stated in (V2, V2_V):
        architecture = _second(reader, stated, predicts)
    elif stated == V1 or _width(reader) == _WIDTH_V1:
        architecture = V1
    else:
        raise ModelError(
            f"{reader.path} has neither the size of Stable Diffusion 1.x, 2.x nor XL, and its "
            "header names none of them: give a folder with its configurations under config"
        )
    return Recognised(architecture, stated_training(reader, architecture))


def stated_training(reader: "TensorReader", architecture: str) -> Mapping[str, Any]:
    """Return what a file states of its training that differs from its architecture's scheduler.

    Args:
        reader: The file.
        architecture: One of :data:`~styledag.models.single_file.configurations.ARCHITECTURES`.
            Those of 2.x state by themselves what the UNet predicts.
    """
    stated = dict(marked_training(reader))
    if _stated_prediction(reader).startswith("v"):
        stated["prediction_type"] = "v_prediction"
    if "rescale_betas_zero_snr" in stated:
        # Drawing begins with noise alone, which only the last timestep is (Lin et al. 2024,
        # "Common Diffusion Noise Schedules and Sample Steps are Flawed").
        stated["timestep_spacing"] = "trailing"
    own = "prediction_type" if architecture in (V2, V2_V) else None
    return {key: value for key, value in stated.items() if key != own}


def marked_training(reader: "TensorReader") -> Mapping[str, Any]:
    """Return what a file's marking tensors state of the scheduler that it was trained with."""
    stated: dict[str, Any] = {}
    if names.V_PREDICTION in reader.specs:
        stated["prediction_type"] = "v_prediction"
    if names.ZERO_SNR in reader.specs:
        stated["rescale_betas_zero_snr"] = True
    return stated


def check_marked_training(reader: "TensorReader", scheduler: Mapping[str, Any], where: str) -> None:
    """Check that a scheduler's configuration is not another than a file's tensors state.

    Args:
        reader: The file.
        scheduler: The configuration.
        where: Where it is, for the error.

    Raises:
        ModelError: If it is; training would teach the UNet something else than it predicts.
    """
    for key, value in marked_training(reader).items():
        if scheduler.get(key) != value:
            raise ModelError(
                f"{reader.path} states {key} {value!r} by its marking tensors, but {where} states "
                f"{scheduler.get(key)!r}: name a scheduler that states {key} {value!r} too"
            )


def _stated_prediction(reader: "TensorReader") -> str:
    """Return what a header states that the UNet predicts: ModelSpec's key, or ComfyUI's own."""
    stated = (reader.metadata.get(f"modelspec.{key}") for key in ("prediction_type", "predict_key"))
    return next(filter(None, stated), "")


def _second(reader: "TensorReader", stated: str, predicts: str) -> str:
    if stated in (V2, V2_V):
        return stated
    if predicts:
        return V2_V if predicts.startswith("v") else V2
    raise ModelError(
        f"{reader.path} is a Stable Diffusion 2.x that does not state whether it predicts noise or "
        f"v: set config to {V2} or {V2_V}"
    )


def _kind(reader: "TensorReader") -> str:
    """Return what diffusers takes the tensors for; ``v1`` where it knows nothing else."""
    from diffusers.loaders.single_file_utils import infer_diffusers_model_type

    shapes = {name: SimpleNamespace(shape=spec.shape) for name, spec in reader.specs.items()}
    try:
        return str(infer_diffusers_model_type(shapes))
    except (LookupError, UnboundLocalError):  # of a size that diffusers does not know
        return "unknown"


def _width(reader: "TensorReader") -> int:
    context = reader.specs.get(_CONTEXT)
    return 0 if context is None else context.shape[-1]
