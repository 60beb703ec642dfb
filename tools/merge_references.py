"""Print what mergekit and sd-mecha give on the tensors of the tests of merge methods.

The values are literals in ``styledag_tests/merging/methods/``. Run from the repository's root, with
the Python of an environment that has both:

    pip install mergekit==0.1.5 sd-mecha==1.1.8
    PYTHONPATH=. python tools/merge_references.py
"""

import importlib
import json
import tempfile
from collections.abc import Callable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import load_file, save_file

from styledag.randomness import generator_for
from styledag_tests.merging.methods.tensors import BASE, ONE, ONTO, TWO

SWAPPED, KEPT = "mid_block.attn2.to_k.weight", "mid_block.attn1.to_k.weight"
PARENTS = {"base": BASE, "one": ONE, "two": TWO, "onto": ONTO}


def mergekit(folder: Path, method: str, weights: Mapping[str, Any], **settings: Any) -> str:
    """Return the merged tensors by name, as ``mergekit-pytorch`` writes them."""
    settings = {
        "merge_method": method,
        "dtype": "float32",
        "models": [
            {"model": str(folder / f"{name}.safetensors"), "parameters": {"weight": weight}}
            for name, weight in weights.items()
        ],
        **settings,
    }
    (folder / "merge.yaml").write_text(json.dumps(settings))
    # Not a package of this project's environment.
    command = importlib.import_module("mergekit.scripts.merge_raw_pytorch").main
    arguments = [str(folder / "merge.yaml"), str(folder / "out"), "--no-write-model-card"]
    with patch("torch.bernoulli", dare_masks()):
        command.main(arguments, standalone_mode=False)
    (written,) = (folder / "out").glob("*.safetensors")
    return shown(load_file(written))


def dare_masks() -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what stands in for ``torch.bernoulli``: the choices that this project's DARE makes.

    mergekit asks for one mask for each fine-tune in turn; seed 0 and the tests' tensor ``w``.
    """
    places = cycle(range(2))

    def mask(density: torch.Tensor) -> torch.Tensor:
        generator = generator_for("dare", 0, "w", next(places))
        return (torch.rand(density.shape, generator=generator) < density).to(density.dtype)

    return mask


def sd_mecha(method: str, a: torch.Tensor, b: torch.Tensor, alpha: float) -> torch.Tensor:
    """Return the result of a method of sd-mecha's on one tensor."""
    # Not a package of this project's environment.
    linear = importlib.import_module("sd_mecha.extensions.builtin.merge_methods.linear")
    merge = getattr(linear, method).__wrapped__
    merged: torch.Tensor = merge({"w": a}, {"w": b}, alpha=torch.tensor(alpha), key="w")
    return merged


def shown(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return tensors' elements by name, to seven digits."""
    return "".join(
        f"\n  {name}: {[float(f'{each:.7g}') for each in tensor.tolist()]}"
        for name, tensor in sorted(tensors.items())
    )


def main() -> None:
    """Print one merge after another."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for parent, tensor in PARENTS.items():
            tensors = {SWAPPED: tensor, KEPT: tensor.clone()}
            save_file(tensors, folder / f"{parent}.safetensors")
        of_layer = [{"filter": "attn2", "value": 0.75}, {"value": 0.0}]
        others = [{"filter": "attn2", "value": 0.25}, {"value": 1.0}]
        base = str(folder / "base.safetensors")
        onto = str(folder / "onto.safetensors")
        arithmetic = {"normalize": False}
        sparse = {"density": 0.5}
        merges = {
            "mergekit linear 0.7, 0.3": mergekit(folder, "linear", {"base": 0.7, "one": 0.3}),
            "mergekit linear 0.3, 0.2, 0.5": mergekit(
                folder, "linear", {"base": 0.3, "one": 0.2, "two": 0.5}
            ),
            "mergekit linear by filter": mergekit(
                folder, "linear", {"base": others, "one": of_layer}
            ),
            "mergekit task_arithmetic 0.2, 0.5": mergekit(
                folder,
                "task_arithmetic",
                {"one": 0.2, "two": 0.5},
                base_model=base,
                parameters=arithmetic,
            ),
            "mergekit task_arithmetic onto 0.5, -0.5": mergekit(
                folder,
                "task_arithmetic",
                {"one": 0.5, "base": -0.5},
                base_model=onto,
                parameters=arithmetic,
            ),
            "mergekit slerp 0.3": mergekit(
                folder, "slerp", {"one": 1.0}, base_model=base, parameters={"t": 0.3}
            ),
            "mergekit ties 0.5": mergekit(
                folder, "ties", {"one": 1.0}, base_model=base, parameters=sparse | {"lambda": 0.5}
            ),
            "mergekit ties 0.2, 0.5": mergekit(
                folder,
                "ties",
                {"one": 0.2, "two": 0.5},
                base_model=base,
                parameters=sparse | {"lambda": 0.7},
            ),
            "mergekit dare_linear 0.2, 0.5": mergekit(
                folder,
                "dare_linear",
                {"one": 0.2, "two": 0.5},
                base_model=base,
                parameters=arithmetic | sparse | {"rescale": False},
            ),
        }
    by_block = {
        name: sd_mecha("weighted_sum", BASE, ONE, weight)
        for name, weight in ((SWAPPED, 0.75), (KEPT, 0.0))
    }
    merges |= {
        "sd-mecha weighted_sum 0.3": shown({"w": sd_mecha("weighted_sum", BASE, ONE, 0.3)}),
        "sd-mecha weighted_sum by block": shown(by_block),
        "sd-mecha add_difference onto 0.5": shown(
            {"w": sd_mecha("add_difference", ONTO, ONE - BASE, 0.5)}
        ),
    }
    for title, found in merges.items():
        print(f"{title}:{found}")


if __name__ == "__main__":
    main()
