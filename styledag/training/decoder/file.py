"""An autoencoder in its base's own layout, with other weights in its decoder."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from styledag.errors import ModelError, TrainingError
from styledag.models.single_file.names import vae_model_name
from styledag.store.files import replaced_folder
from styledag.tensors.layout import CONFIG_FILE, WEIGHTS_FILE
from styledag.tensors.reader import TensorSpec, open_tensors
from styledag.tensors.writer import in_file_order, write_tensors
from styledag.training.disk import write_errors


def write_tuned_vae(base: Path, averages: Mapping[str, Tensor], folder: Path) -> None:
    """Write the base's autoencoder with averaged weights in place of some; it appears at once.

    Names, dtypes and all other weights are the base's, bit for bit: in float16, which the
    autoencoder of Stable Diffusion 1.x overflows, only if the base itself is.

    Args:
        base: Folder of the base's autoencoder.
        averages: Weights by their names in diffusers' model.
        folder: Where ``config.json`` and the weights go; replaced if it is there.

    Raises:
        ModelError: If the base's file cannot be read, or lacks one of the weights.
        TrainingError: If a weight is NaN, or too large for the base's dtype.
        StorageError: If the disk is full or cannot be written.
    """
    with (
        write_errors(folder),
        open_tensors(base) as tensors,
        replaced_folder(folder) as partial,
    ):
        specs = in_file_order(tensors.specs.values())
        _check_all_there(averages, specs, tensors.path)

        def piece(spec: TensorSpec, start: int, stop: int) -> Tensor:
            averaged = averages.get(vae_model_name(spec.name))
            if averaged is None:
                return tensors.read(spec.name, start, stop)
            return _rounded(averaged, spec)

        write_tensors(partial / WEIGHTS_FILE, specs, {"format": "pt"}, piece, whole_tensors=True)
        shutil.copyfile(base / CONFIG_FILE, partial / CONFIG_FILE)


def _check_all_there(averages: Mapping[str, Tensor], specs: list[TensorSpec], path: Path) -> None:
    missing = averages.keys() - {vae_model_name(spec.name) for spec in specs}
    if missing:
        raise ModelError(
            f"{path} has no tensor {min(missing)!r}, which diffusers' model of it has: convert the "
            "base with diffusers' save_pretrained"
        )


def _rounded(averaged: Tensor, spec: TensorSpec) -> Tensor:
    rounded = averaged.detach().to("cpu", spec.dtype)
    if not bool(torch.isfinite(rounded).all()):
        raise TrainingError(
            f"weight {spec.name} of the tuned decoder is NaN or too large for the base's "
            f"{spec.dtype}: lower decoder.learning_rate"
        )
    return rounded
