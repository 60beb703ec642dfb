"""What a single file is, by its header alone: which Stable Diffusion, or why it cannot be read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from styledag.errors import ModelError
from styledag.models.single_file import names
from styledag.models.single_file.configurations import V1, V2, V2_V, XL

if TYPE_CHECKING:
    from styledag.tensors.reader import TensorReader

_CONTEXT = f"{names.UNET_PREFIX}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
_WIDTH_V1 = 768
_CONTINUOUS = ("edm_mean", "edm_vpred.sigma_max")
"""Tensors of files whose UNet was trained on a continuous noise level (CosXL, Playground 2.5)."""
MARKS = (names.V_PREDICTION, names.ZERO_SNR, *_CONTINUOUS)
"""Names of all tensors that state how a UNet was trained."""
_READ = "Stable Diffusion 1.x, 2.x and XL are read as single files"


@dataclass(frozen=True)
class Recognised:
    """What a single file is.

    Attributes:
        architecture: One of :data:`~styledag.models.single_file.configurations.ARCHITECTURES`.
        scheduler: What it states of its training that differs from its architecture.
    """

    architecture: str
    scheduler: Mapping[str, Any] = field(default_factory=dict)


def check_whole(reader: "TensorReader", *, xl: bool) -> None:
    """Check that a file has all parts of a pipeline under the names of the original checkpoints.

    Raises:
        ModelError: If a part is missing; the message includes what the file may be.
    """
    if any("lora" in name for name in reader.specs):
        raise ModelError(
            f"{reader.path} is a LoRA, which changes a base and is none: name the whole checkpoint"
        )
    check_discrete(reader)
    prefixes: dict[str, tuple[str, ...]] = {
        "unet": (names.UNET_PREFIX,),
        "vae": (names.VAE_PREFIX,),
        "text_encoder": (names.CLIP_PREFIX, names.OPEN_CLIP_PREFIX),
    }
    if xl:
        prefixes["text_encoder"] = (names.XL_CLIP_PREFIX,)
        prefixes["text_encoder_2"] = (names.XL_OPEN_CLIP_PREFIX,)
    missing = [
        part
        for part, starts in prefixes.items()
        if not any(name.startswith(starts) for name in reader.specs)
    ]
    if missing:
        raise ModelError(
            f"{reader.path} contains no {', '.join(missing)} under the names of Stable Diffusion's "
            "original checkpoints: name a whole checkpoint, or a folder in diffusers' layout"
        )


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
    if kind not in ("v1", "v2", "xl_base"):
        raise ModelError(
            f"{reader.path} is of kind {kind!r} by its tensors; {_READ}: if its family can be "
            "fine-tuned, name its folder in diffusers' layout or its Hub id, with the file beside "
            "it: {model: org/name, revision: ..., denoiser: file.safetensors}"
        )
    check_whole(reader, xl=kind == "xl_base")
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
