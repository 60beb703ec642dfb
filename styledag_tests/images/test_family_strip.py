import io

import numpy as np
from PIL import Image

from styledag.images.contact_sheet import STRIP_BYTES, family_strip
from styledag.images.thumbnails import thumbnail
from styledag.store.workspace import Workspace
from styledag_tests.images.images import jpeg_image, noisy, plain


def test_it_stays_small_whatever_the_images(workspace: Workspace) -> None:
    random = np.random.default_rng(0)
    noise = [
        jpeg_image(
            Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8)),
            str(at),
            workspace,
        ).sha256
        for at in range(20)
    ]
    content = family_strip([noise] * 20, workspace)
    assert len(content) <= STRIP_BYTES
    assert Image.open(io.BytesIO(content)).format == "JPEG"


def test_one_row_a_family(workspace: Workspace) -> None:
    red, blue = (jpeg_image(plain(c, (64, 64)), c, workspace).sha256 for c in ("red", "blue"))
    image = Image.open(io.BytesIO(family_strip([[red, blue, blue], [blue]], workspace)))
    assert image.size == (28 + 3 * 48, 2 * 48)
    centres = [image.getpixel((28 + 48 * column + 24, 24)) for column in range(3)]
    assert [colour[0] > 200 for colour in centres] == [True, False, False]
    assert min(image.getpixel((28 + 48 + 24, 48 + 24))) > 240


def test_thumbnails_are_made_once(workspace: Workspace) -> None:
    sha256 = jpeg_image(noisy(1, (512, 512)), "a", workspace).sha256
    first = thumbnail(sha256, workspace)
    assert thumbnail(sha256, workspace) == first
    assert workspace.work == {"thumbnails": 1}
    assert Image.open(io.BytesIO(first)).size == (64, 64)
