"""The version of a model's weights by their values, whatever file holds them."""

import hashlib
from pathlib import Path

from styledag.store.items import Items, item_key
from styledag.tensors.reader import open_tensors

_NAMESPACE = "weights_versions"


def weights_version(folder: Path, *, known_as: str | None, items: Items) -> str:
    """Return the sha256 of a UNet's tensors as float32 values.

    A blend at weight 0 has the base's values in a file of another header, and the last snapshot
    those of the model: images that are cached by this version are drawn once for both.

    Args:
        folder: Folder in diffusers' layout, its weights in one safetensors file or in shards.
        known_as: Version of the artifact or model that contains the folder, under which the
            result is cached. Nothing is cached for ``None``.
        items: The cache.

    Raises:
        ModelError: If the folder has no safetensors, or a file is damaged.
    """
    if known_as is None:
        return _digest(folder)
    version = cached_version(folder.name, known_as=known_as, items=items)
    if version is None:
        version = _digest(folder)
        items.put_json(_NAMESPACE, item_key(artifact=known_as, part=folder.name), version)
    return version


def cached_version(part: str, *, known_as: str, items: Items) -> str | None:
    """Return what :func:`weights_version` cached of a folder of this name, without reading it."""
    known = items.get_json(_NAMESPACE, item_key(artifact=known_as, part=part))
    return known if isinstance(known, str) else None


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    with open_tensors(folder) as tensors:
        for name, spec in sorted(tensors.specs.items()):
            digest.update(f"{name}{list(spec.shape)}".encode())
            digest.update(tensors.read(name).float().contiguous().numpy().data)
    return digest.hexdigest()
