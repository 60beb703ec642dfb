"""Make a single file into a pipeline's folder in diffusers' layout, by diffusers' own loader."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.bases.parts import model_errors
from styledag.errors import ModelError
from styledag.models.quiet import quiet_transformers
from styledag.publishing.single_file import names
from styledag.publishing.single_file.configurations import (
    ARCHITECTURES,
    V1,
    write_configuration,
)
from styledag.publishing.target_folder import target_folder
from styledag.store.artifact import Facts

if TYPE_CHECKING:
    from styledag.tensors.reader import TensorReader

_CONFIGURATIONS = "unet", "vae", "text_encoder", "tokenizer", "scheduler"
_CONTEXT = f"{names.UNET_PREFIX}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
_WIDTH_V1 = 768


def import_single_file(
    path: Path, to: Path, *, config: Path | None = None, architecture: str | None = None
) -> Facts:
    """Write the pipeline of a single file as a folder in diffusers' layout and return its facts.

    Args:
        path: A safetensors file with the tensor names of the original Stable Diffusion
            checkpoints. Pickled checkpoints are refused: they can run code.
        to: Folder to write; it appears whole, and replaces an empty one or an earlier export.
        config: Folder in diffusers' layout whose configurations, tokenizer and scheduler fit the
            file; its weights are not read. Those of ``architecture`` when left out.
        architecture: One of :data:`~styledag.publishing.single_file.configurations.ARCHITECTURES`;
            that which the file's header or its tensors show when left out.

    Returns:
        The architecture if the configurations are ours, and the parameters of each part.

    Raises:
        ModelError: If the file is no single file, does not fit the configurations, or may be
            of several architectures.
        StorageError: If the folder contains anything else, or cannot be written.
    """
    import torch
    from diffusers import StableDiffusionPipeline

    from styledag.tensors.reader import open_tensors

    if path.suffix != ".safetensors":
        raise ModelError(
            f"{path} is no .safetensors file, and pickled checkpoints are not read, since they can "
            "run code: convert it to safetensors"
        )
    with open_tensors(path) as reader:
        _check_single_file(reader)
        dtypes = {spec.dtype for spec in reader.specs.values() if spec.dtype.is_floating_point}
        if config is None:
            architecture = architecture or _architecture(reader)
    with tempfile.TemporaryDirectory() as ours:
        if config is None:
            config = Path(ours)
            write_configuration(_known(architecture), config)
        _check_config(config)
        with model_errors(path), quiet_transformers():
            pipeline = StableDiffusionPipeline.from_single_file(
                str(path),
                config=str(config),
                local_files_only=True,
                # One dtype for all: float32 where the file mixes several.
                dtype=dtypes.pop() if len(dtypes) == 1 else torch.float32,
                safety_checker=None,
            )
    with target_folder(to) as partial:
        pipeline.save_pretrained(partial, safe_serialization=True)
    parameters = {
        part: sum(each.numel() for each in getattr(pipeline, part).parameters())
        for part in ("unet", "vae", "text_encoder")
    }
    return {"architecture": architecture} | parameters


def _check_single_file(reader: "TensorReader") -> None:
    prefixes = {
        "unet": (names.UNET_PREFIX,),
        "vae": (names.VAE_PREFIX,),
        "text_encoder": (names.CLIP_PREFIX, names.OPEN_CLIP_PREFIX),
    }
    missing = [
        part
        for part, starts in prefixes.items()
        if not any(name.startswith(starts) for name in reader.specs)
    ]
    if missing:
        raise ModelError(
            f"{reader.path} contains no {', '.join(missing)} of Stable Diffusion 1.x or 2.x under "
            "the names of the original checkpoints: name a whole single-file checkpoint"
        )


def _architecture(reader: "TensorReader") -> str:
    stated = reader.metadata.get("modelspec.architecture", "")
    if stated in ARCHITECTURES:
        return stated
    context = reader.specs.get(_CONTEXT)
    if context is not None and context.shape[-1] == _WIDTH_V1:
        return V1
    raise ModelError(
        f"{reader.path} does not show which Stable Diffusion it is (1.x, or 2.x that predicts "
        f"noise or v): give its architecture ({', '.join(ARCHITECTURES)}) or a folder with its "
        "configurations"
    )


def _known(architecture: str | None) -> str:
    if architecture not in ARCHITECTURES:
        raise ModelError(
            f"the architecture is {architecture!r}, but must be one of {', '.join(ARCHITECTURES)}"
        )
    return architecture


def _check_config(config: Path) -> None:
    missing = [part for part in _CONFIGURATIONS if not (config / part).is_dir()]
    if missing:
        raise ModelError(
            f"{config} lacks {', '.join(missing)}: name a folder in diffusers' layout with the "
            "configurations of the base that the single file was made from"
        )
