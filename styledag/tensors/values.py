"""The version of a model's weights by their values, whatever file holds them."""

import hashlib
from pathlib import Path

from styledag.errors import ModelError
from styledag.store.items import Items, item_key

_NAMESPACE = "weights_versions"


def weights_version(folder: Path, *, known_as: str | None, items: Items) -> str:
    """Return the sha256 of a UNet's tensors as float32 values.

    A blend at weight 0 has the base's values in a file of another header, and the last snapshot
    those of the model: images that are remembered by this version are drawn once for both.

    Args:
        folder: Folder in diffusers' layout, with its safetensors.
        known_as: Version of the artifact or model that holds the folder; asked again under it,
            the answer is remembered. Nothing is remembered of ``None``.
        items: Where it is remembered.

    Raises:
        ModelError: If the folder holds no safetensors, or a file is damaged.
    """
    if known_as is None:
        return _digest(folder)
    key = item_key(artifact=known_as, part=folder.name)
    known = items.get_json(_NAMESPACE, key)
    if isinstance(known, str):
        return known
    version = _digest(folder)
    items.put_json(_NAMESPACE, key, version)
    return version


def _digest(folder: Path) -> str:
    from safetensors import SafetensorError, safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(f"{folder} holds no safetensors: is it a UNet in diffusers' layout?")
    digest = hashlib.sha256()
    for file in files:
        try:
            with safe_open(file, framework="pt") as tensors:
                for name in sorted(tensors.keys()):
                    tensor = tensors.get_tensor(name).float()
                    digest.update(f"{name}{list(tensor.shape)}".encode())
                    digest.update(tensor.numpy().data)
        except SafetensorError as exc:
            raise ModelError(f"{file} is no sound safetensors file: {exc}") from exc
    return digest.hexdigest()
