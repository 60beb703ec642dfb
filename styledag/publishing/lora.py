"""Copy a run's LoRA file for another program, with a header that describes it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from styledag.errors import ModelError
from styledag.publishing.model_file import ModelDescription, write_model_file
from styledag.publishing.single_file.parts import architecture_of, read_configs
from styledag.store.artifact import Facts

if TYPE_CHECKING:
    import torch

    from styledag.tensors.reader import TensorReader

LoraFormat = Literal["diffusers", "kohya"]
LORA_FILES: dict[LoraFormat, str] = {
    "diffusers": "pytorch_lora_weights.safetensors",
    "kohya": "kohya_lora.safetensors",
}
_DOWN, _ALPHA = ".lora_down.weight", ".alpha"
_PIECE_ELEMENTS = 1 << 22


def export_lora(
    adapters: Path, to: Path, description: ModelDescription, *, base: Path, layout: LoraFormat
) -> Facts:
    """Write a LoRA file with ModelSpec's keys in its header and return its facts.

    The tensors are copied as they are. A file of layout ``kohya`` also states rank and alpha under
    the ``ss_*`` keys that kohya's tools and the web UIs show.

    Args:
        adapters: Folder with the adapters of a checkpoint, as training writes it.
        to: The file, ending in ``.safetensors``; replaced if it is there.
        description: Title and more for the header.
        base: Folder of the base that the adapters belong to, in diffusers' layout.
        layout: Whose tensor names: diffusers', or those of kohya's tools, A1111 and ComfyUI.

    Raises:
        ModelError: If the folder contains no adapters, or the base cannot be read.
        StorageError: If the file cannot be written.
    """
    from styledag.tensors.reader import open_tensors
    from styledag.tensors.writer import in_file_order

    path = adapters / LORA_FILES[layout]
    if not path.is_file():
        raise ModelError(
            f"{adapters} contains no {LORA_FILES[layout]}: only a recipe with 'lora' trains "
            "adapters; export the model in another format"
        )
    configs = read_configs(base)
    with open_tensors(path) as reader:
        specs = in_file_order(reader.specs.values())
        header = {
            **reader.metadata,
            **(_kohya_keys(reader) if layout == "kohya" else {}),
            **description.keys(),
            "modelspec.architecture": f"{architecture_of(configs)}/lora",
            "modelspec.implementation": "diffusers",
        }
        if layout == "kohya":
            header["modelspec.implementation"] = "https://github.com/kohya-ss/sd-scripts"
        digest = write_model_file(to, specs, header, _pieces(reader))
    return {
        "tensors": len(specs),
        "parameters": sum(spec.numel for spec in specs),
        "bytes": to.stat().st_size,
        "architecture": header["modelspec.architecture"],
        "tensor_sha256": digest,
    }


def _pieces(reader: "TensorReader") -> "Iterator[torch.Tensor]":
    from styledag.tensors.writer import in_file_order

    for spec in in_file_order(reader.specs.values()):
        for start, stop in spec.pieces(_PIECE_ELEMENTS):
            yield reader.read(spec.name, start, stop)


def _kohya_keys(reader: "TensorReader") -> dict[str, str]:
    downs = [spec for name, spec in reader.specs.items() if name.endswith(_DOWN)]
    alphas = [name for name in reader.specs if name.endswith(_ALPHA)]
    if not downs or not alphas:
        raise ModelError(f"{reader.path} contains no adapters in kohya's layout")
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(max(spec.shape[0] for spec in downs)),
        "ss_network_alpha": str(float(reader.read(alphas[0]))),
    }
