from collections.abc import Callable
from typing import Any

import pytest

from styledag.errors import StorageError
from styledag.images.looks import measure_looks
from styledag.images.stored_jpeg import read_jpeg
from styledag.images.thumbnails import thumbnail
from styledag.store.workspace import Workspace


@pytest.mark.parametrize(
    "content", [b"", b"not an image", b"\xff\xd8\xff\xe0\x00\x10JFIF"], ids=["empty", "text", "cut"]
)
@pytest.mark.parametrize(
    "use",
    [
        lambda sha256, workspace: read_jpeg(workspace.blobs, sha256),
        thumbnail,
        lambda sha256, workspace: measure_looks([sha256], "1", workspace),
    ],
    ids=["read_jpeg", "thumbnail", "looks"],
)
def test_a_damaged_blob_is_named_with_its_remedy(
    workspace: Workspace, content: bytes, use: Callable[[str, Workspace], Any]
) -> None:
    sha256 = workspace.blobs.put(content)
    with pytest.raises(StorageError, match=f"{sha256} .* materialise jpeg_images again"):
        use(sha256, workspace)
