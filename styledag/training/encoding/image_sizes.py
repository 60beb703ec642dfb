"""How large images are, read once from each one's header."""

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from styledag.errors import DataError
from styledag.store.items import item_key
from styledag.store.workspace import Workspace

if TYPE_CHECKING:
    from styledag.training.encoding.samples import EncodeSample

_NAMESPACE = "image_size"


def image_sizes(
    samples: "Iterable[EncodeSample]", workspace: Workspace
) -> dict[str, tuple[int, int]]:
    """Return by blob the width and height of each sample's image.

    Raises:
        DataError: If a blob is no image.
    """
    names = {sample.image_sha256: sample.name for sample in samples}
    keys = {sha256: item_key(image=sha256) for sha256 in names}
    known = workspace.items.get_many_json(_NAMESPACE, list(keys.values()))
    sizes: dict[str, tuple[int, int]] = {}
    for sha256, key in keys.items():
        size = known.get(key)
        if size is None:
            size = _size(names[sha256], workspace.blobs.read(sha256))
            workspace.items.put_json(_NAMESPACE, key, size)
        sizes[sha256] = (size[0], size[1])
    return sizes


def _size(name: str, content: bytes) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.size
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as exc:
        raise DataError(f"image {name} cannot be decoded: {exc}") from exc
