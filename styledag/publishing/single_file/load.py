"""Make a single file into a pipeline's folder in diffusers' layout, by diffusers' own loader."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.bases.parts import model_errors
from styledag.errors import ModelError
from styledag.models.quiet import quiet_transformers
from styledag.publishing.single_file import names
from styledag.store.artifact import Facts
from styledag.store.files import storage_errors

if TYPE_CHECKING:
    import torch

    from styledag.tensors.file import TensorSpec

_CONFIGURATIONS = "unet", "vae", "text_encoder", "tokenizer", "scheduler"


def import_single_file(path: Path, config: Path, to: Path) -> Facts:
    """Write the pipeline of a single file as a folder in diffusers' layout and return its facts.

    Args:
        path: A safetensors file with the tensor names of the original Stable Diffusion
            checkpoints. Pickled checkpoints are refused: they can run code.
        config: Folder in diffusers' layout whose configurations, tokenizer and scheduler fit the
            file, such as the base that it was fine-tuned from; its weights are not read.
        to: Folder to write; it appears whole, and is replaced if it is there.

    Raises:
        ModelError: If the file is no single file, or does not fit the configurations.
        StorageError: If the folder cannot be written.
    """
    import torch
    from diffusers import StableDiffusionPipeline

    from styledag.tensors.file import TensorReader

    if path.suffix != ".safetensors":
        raise ModelError(
            f"{path} is no .safetensors file, and pickled checkpoints are not read, since they can "
            "run code: convert it to safetensors"
        )
    _check_config(config)
    with TensorReader(path) as reader:
        dtypes = _check_single_file(path, reader.specs)
    # The scheduler and the tokenizer come from `config`, which from_single_file loads by itself.
    with model_errors(path), quiet_transformers():
        pipeline = StableDiffusionPipeline.from_single_file(
            str(path),
            config=str(config),
            local_files_only=True,
            torch_dtype=dtypes.pop() if len(dtypes) == 1 else torch.float32,
            safety_checker=None,
        )
    partial = to.with_name(f"{to.name}.partial")
    with storage_errors(str(to)):
        shutil.rmtree(partial, ignore_errors=True)
        pipeline.save_pretrained(partial, safe_serialization=True)
        shutil.rmtree(to, ignore_errors=True)
        partial.rename(to)
    return {
        part: sum(each.numel() for each in getattr(pipeline, part).parameters())
        for part in ("unet", "vae", "text_encoder")
    }


def _check_config(config: Path) -> None:
    missing = [part for part in _CONFIGURATIONS if not (config / part).is_dir()]
    if missing:
        raise ModelError(
            f"{config} lacks {', '.join(missing)}: name a folder in diffusers' layout with the "
            "configurations of the base that the single file was made from"
        )


def _check_single_file(path: Path, specs: "Mapping[str, TensorSpec]") -> "set[torch.dtype]":
    """Return the dtypes of the weights in a file that contains all three parts."""
    prefixes = {
        "unet": (names.UNET_PREFIX,),
        "vae": (names.VAE_PREFIX,),
        "text_encoder": (names.CLIP_PREFIX, names.OPEN_CLIP_PREFIX),
    }
    missing = [
        part
        for part, starts in prefixes.items()
        if not any(name.startswith(starts) for name in specs)
    ]
    if missing:
        raise ModelError(
            f"{path} contains no {', '.join(missing)} of Stable Diffusion 1.x or 2.x under the "
            "names of the original checkpoints: name a whole single-file checkpoint"
        )
    return {spec.dtype for spec in specs.values() if spec.dtype.is_floating_point}
