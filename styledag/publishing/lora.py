"""Copy a run's LoRA file for another program, with a header that describes it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.bases.find import find_base
from styledag.bases.stable_diffusion import StableDiffusion
from styledag.bases.stable_diffusion_xl import StableDiffusionXL
from styledag.errors import ModelError
from styledag.models.config import read_config
from styledag.publishing.model_file import DType, ModelDescription, cast_finite, write_model_file
from styledag.publishing.single_file.parts import architecture_of, read_configs
from styledag.store.artifact import Facts
from styledag.tensors.layout import CONFIG_FILE, DIFFUSERS_LORA_FILE, KOHYA_LORA_FILE

if TYPE_CHECKING:
    from styledag.tensors.reader import TensorReader

_IMPLEMENTATIONS = {
    KOHYA_LORA_FILE: "https://github.com/kohya-ss/sd-scripts",
    DIFFUSERS_LORA_FILE: "https://github.com/huggingface/diffusers",
}
_KOHYA_VERSIONS = {
    "stable-diffusion-v1": "sd_v1",
    "stable-diffusion-v2-512": "sd_v2",
    "stable-diffusion-v2-768-v": "sd_v2_v",
    "stable-diffusion-xl-v1-base": "sdxl_base_v1-0",
}
"""Kohya's names of architectures, by which A1111 decides beside which checkpoints it lists a LoRA;
without one it takes it for Stable Diffusion 1.x."""
_DOWN, _ALPHA = ".lora_down.weight", ".alpha"
_PIECE_ELEMENTS = 1 << 22


def export_lora(
    adapters: Path,
    to: Path,
    description: ModelDescription,
    *,
    base: Path,
    dtype: DType = "float16",
    provenance: Mapping[str, str] | None = None,
) -> Facts:
    """Write a LoRA file with ModelSpec's keys in its header and return its facts.

    Of a UNet, its tensors are named as by kohya's tools, which A1111, ComfyUI and diffusers'
    ``load_lora_weights`` read; its header states architecture, rank and alpha under their ``ss_*``
    keys. Of a transformer, they are named as by diffusers.

    Args:
        adapters: Folder with the adapters of a checkpoint, as training writes it.
        to: The file, ending in ``.safetensors``; replaced if it is there.
        description: Title and more for the header.
        base: Folder of the base that the adapters belong to, in diffusers' layout.
        dtype: Of all tensors.
        provenance: Further strings for the header, by key.

    Raises:
        ModelError: If the folder contains no adapters, the base cannot be read, or an element is
            NaN or too large for the dtype.
        StorageError: If the file cannot be written.
    """
    import torch

    from styledag.tensors.reader import TensorSpec, open_tensors
    from styledag.tensors.writer import in_file_order

    path = next((adapters / name for name in _IMPLEMENTATIONS if (adapters / name).is_file()), None)
    if path is None:
        raise ModelError(
            f"{adapters} contains no {KOHYA_LORA_FILE}: only a recipe with 'lora' trains adapters, "
            "and blends contain none; export the model in another format"
        )
    wanted: torch.dtype = getattr(torch, dtype)
    architecture = _architecture(base)
    with open_tensors(path) as reader:
        specs = in_file_order(
            TensorSpec(spec.name, wanted, spec.shape) for spec in reader.specs.values()
        )
        header = {
            **reader.metadata,
            **(_kohya_keys(reader, architecture) if path.name == KOHYA_LORA_FILE else {}),
            **(provenance or {}),
            **description.keys(),
            "modelspec.architecture": f"{architecture}/lora",
            "modelspec.implementation": _IMPLEMENTATIONS[path.name],
        }
        pieces = (
            cast_finite(reader.read(spec.name, start, stop), wanted, spec.name)
            for spec in specs
            for start, stop in spec.pieces(_PIECE_ELEMENTS)
        )
        digest = write_model_file(to, specs, header, pieces)
    return {
        "tensors": len(specs),
        "parameters": sum(spec.numel for spec in specs),
        "bytes": to.stat().st_size,
        "architecture": header["modelspec.architecture"],
        "tensor_sha256": digest,
    }


def _architecture(base: Path) -> str:
    """Return ModelSpec's name of a base's architecture, or the family's where it has none."""
    found = find_base(base)
    if found.family in (StableDiffusion.family, StableDiffusionXL.family):
        return architecture_of(read_configs(base))
    names = found.elsewhere.tensors
    if names is None:
        return found.family.lower()
    return names.architecture(read_config(base / found.parts.denoiser / CONFIG_FILE))


def _kohya_keys(reader: "TensorReader", architecture: str) -> dict[str, str]:
    downs = [spec for name, spec in reader.specs.items() if name.endswith(_DOWN)]
    alphas = [name for name in reader.specs if name.endswith(_ALPHA)]
    if not downs or not alphas:
        raise ModelError(f"{reader.path} contains no adapters in kohya's layout")
    version = _KOHYA_VERSIONS[architecture]
    return {
        "ss_base_model_version": version,
        "ss_v2": str(version.startswith("sd_v2")),
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(max(spec.shape[0] for spec in downs)),
        "ss_network_alpha": str(float(reader.read(alphas[0]))),
    }
