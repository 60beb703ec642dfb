"""Low-rank adapters of a UNet: put in by peft, folded into its weights, written for other tools.

Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models".
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from styledag.errors import TrainingError
from styledag.randomness import seed_for
from styledag.store.files import replaced_folder
from styledag.tensors.layout import DIFFUSERS_LORA_FILE, KOHYA_LORA_FILE
from styledag.tensors.reader import TensorSpec
from styledag.tensors.writer import in_file_order, write_tensors
from styledag.training.disk import write_errors
from styledag.training.recipe import Recipe
from styledag.training.weights.stored_weights import LazyTensors, Makes
from styledag.training.weights.trainable import Trainable

_ORIGINAL_NAMES = {
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
"""Of Stable Diffusion XL's embedder of sizes, which no tool that reads kohya's names knows by
diffusers' own."""
_ADAPTER = "default"
_A, _B = f".lora_A.{_ADAPTER}.weight", f".lora_B.{_ADAPTER}.weight"


class LoraAdapters:
    """The adapters of one UNet.

    Args:
        unet: Changed in place: adapters stand beside the linear and convolution layers that the
            recipe trains, and everything else is frozen.
        recipe: Rank, alpha, and the run seed of the adapters' first weights.
        chosen: Which layers.

    Attributes:
        parameters: The adapters' two matrices by name, in the model's order.

    Raises:
        TrainingError: If peft is not installed, or no layer is chosen.
    """

    def __init__(self, unet: Any, recipe: Recipe, chosen: Trainable) -> None:
        try:
            from peft import LoraConfig
        except ImportError as exc:
            raise TrainingError(
                "the recipe trains 'lora', which needs peft: pip install 'styledag[lora]', "
                "or remove 'lora' from the recipe"
            ) from exc
        settings = recipe.lora
        if settings is None:
            raise TrainingError("the recipe has no 'lora'")
        chosen.select(unet)  # refuses where nothing is chosen
        layers = [
            name
            for name, module in unet.named_modules()
            if isinstance(module, nn.Linear | nn.Conv2d) and chosen.contains(name)
        ]
        self._rank = settings.rank
        self._alpha = settings.rank if settings.alpha is None else settings.alpha
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(recipe.seed, "lora"))
            unet.add_adapter(
                LoraConfig(r=self._rank, lora_alpha=self._alpha, target_modules=layers)
            )
        self.parameters = {
            name: parameter for name, parameter in unet.named_parameters() if ".lora_" in name
        }

    def folded(
        self, weights: Mapping[str, Makes], averages: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        """Return all weights of a plain UNet, with adapters added to those they stand beside.

        Args:
            weights: Returns each weight as it is without adapters.
            averages: The adapters' weights by name, as in :attr:`parameters`.
        """
        folded = dict(weights)
        for layer in (name.removesuffix(_A) for name in averages if name.endswith(_A)):
            name = f"{layer}.weight"
            folded[name] = partial(
                _folded,
                weights[name],
                averages[layer + _A],
                averages[layer + _B],
                scale=self._alpha / self._rank,
            )
        return LazyTensors(folded)

    def write(self, averages: Mapping[str, Tensor], folder: Path, denoiser: str) -> None:
        """Write the adapters as diffusers and, of a UNet, as kohya's tools name them, at once.

        In diffusers' file the scale, alpha over rank, is part of the second matrix: diffusers reads
        alpha out of the header, other tools that read the same names do not.

        Args:
            averages: The adapters' weights by name.
            folder: Where the files go; replaced if it is there.
            denoiser: Name of the denoiser's folder in the base, which diffusers' names start with.

        Raises:
            StorageError: If the disk is full or cannot be written.
        """
        scale = self._alpha / self._rank
        plain = {
            name.replace(f".{_ADAPTER}.", "."): tensor.detach().to("cpu", torch.float32)
            for name, tensor in averages.items()
        }
        with write_errors(folder), replaced_folder(folder) as partial:
            # Not by safetensors, which writes several entries of metadata in any order.
            halves = {
                f"{denoiser}.{name}": _half(tensor * scale if ".lora_B." in name else tensor)
                for name, tensor in plain.items()
            }
            write_tensors(
                partial / DIFFUSERS_LORA_FILE,
                in_file_order(
                    TensorSpec(name, each.dtype, tuple(each.shape)) for name, each in halves.items()
                ),
                {"format": "pt", "lora_adapter_metadata": self._metadata(averages, denoiser)},
                lambda spec, _start, _stop: halves[spec.name],
                whole_tensors=True,
            )
            if denoiser == "unet":
                # Of transformers, kohya's tools name the layers of other files than diffusers'.
                safetensors.torch.save_file(
                    self._kohya(plain), partial / KOHYA_LORA_FILE, metadata={"format": "pt"}
                )

    def _metadata(self, averages: Mapping[str, Tensor], denoiser: str) -> str:
        layers = sorted(name.removesuffix(_A) for name in averages if name.endswith(_A))
        config = {"r": self._rank, "lora_alpha": self._rank, "target_modules": layers}
        named = {f"{denoiser}.{key}": value for key, value in config.items()}
        return json.dumps(named, sort_keys=True)

    def _kohya(self, plain: Mapping[str, Tensor]) -> dict[str, Tensor]:
        named = {}
        for name, tensor in plain.items():
            layer, _, matrix = name.removesuffix(".weight").rpartition(".")
            layer = _ORIGINAL_NAMES.get(layer, layer)
            kohya = f"lora_unet_{layer.replace('.', '_')}"
            half = "lora_down" if matrix == "lora_A" else "lora_up"
            named[f"{kohya}.{half}.weight"] = _half(tensor)
            named[f"{kohya}.alpha"] = torch.tensor(float(self._alpha))
        return named


def _folded(weight: Makes, down: Tensor, up: Tensor, *, scale: float) -> Tensor:
    """Return a weight with its adapter's product added, float32 on the adapter's device."""
    low_rank = up.float().flatten(1) @ down.float().flatten(1)
    plain = weight()
    return plain.to(up.device, torch.float32) + scale * low_rank.reshape(plain.shape)


def _half(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float16).contiguous()
