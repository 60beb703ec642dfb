"""What a lone file says of its origin: an image that was drawn, or weights that were made."""

import json
from collections.abc import Mapping
from pathlib import Path

from styledag.errors import ModelError, StorageError, StyledagError
from styledag.sampling.provenance import PREFIX, read_provenance
from styledag.store.artifact import Artifact
from styledag.store.digest import file_digest
from styledag.store.store import Store

SUFFIXES = (".png", ".safetensors")
_OWN_FIRST = ("model_version", "merged_unet", "ema_unet", "checkpoint", "tuned")
"""Names in a file by which the model itself is known, rather than its base."""


def read_marks(path: Path) -> Mapping[str, str]:
    """Return what a PNG or a safetensors file states of its origin; nothing else is needed for it.

    Empty if it states nothing, as a labelled grid, a whole checkpoint, or another program's file.

    Raises:
        StorageError: If the file cannot be read.
        ModelError: If it is no safetensors file.
    """
    try:
        return _png_marks(path) if path.suffix.lower() == ".png" else _header_marks(path)
    except OSError as exc:
        raise StorageError(f"{path} cannot be read: {exc.strerror or exc}") from exc


def find_file(store: Store, path: Path) -> Artifact | None:
    """Return the artifact of a store that has a file of this very content, if there is one."""
    digest = file_digest(path)
    found = (build for _, build in store.builds() if digest in build.files.values())
    build = next(found, None)
    return None if build is None else Artifact(build, store.files)


def find_marked(store: Store, marks: Mapping[str, str]) -> Artifact | None:
    """Return the artifact of a store that a file was drawn with or made from, if it is there."""
    wanted = [marks[name] for name in _OWN_FIRST if name in marks]
    found: dict[str, Artifact] = {}
    for _, build in store.builds():
        made = [build.facts.get("weights_version"), *build.facts.get("weights_versions", [])]
        for version in (build.version, *made):
            if version in wanted:
                found.setdefault(str(version), Artifact(build, store.files))
    return next((found[version] for version in wanted if version in found), None)


def _png_marks(path: Path) -> Mapping[str, str]:
    content = path.read_bytes()
    try:
        return read_provenance(content)
    except StyledagError as exc:
        raise StorageError(f"{path} cannot be read: it is no PNG") from exc


def _header_marks(path: Path) -> Mapping[str, str]:
    from styledag.tensors.header import header_json

    try:
        metadata = json.loads(header_json(path)).get("__metadata__", {})
    except (ValueError, OverflowError, MemoryError) as exc:
        raise ModelError(f"{path} is no safetensors file: {exc}") from exc
    return {
        name.removeprefix(PREFIX): text
        for name, text in metadata.items()
        if name.startswith((PREFIX, "modelspec."))
    }
