"""One small image of the largest families, for where only a thumbnail fits."""

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw

from styledag.images.encode import encode_jpeg
from styledag.images.thumbnails import thumbnail
from styledag.store.workspace import Workspace

MOST_BYTES = 60_000

_CELL_PX, _LABEL_PX = 48, 28
_ROWS, _COLUMNS = 8, 12
_QUALITIES = (85, 75, 60, 45, 30, 15)
_INK, _PAPER = (70, 70, 70), (255, 255, 255)


def family_strip(families: Sequence[Sequence[str]], workspace: Workspace) -> bytes:
    """Return a JPEG of at most 60 KB: one row a family, its size and its first members.

    Args:
        families: JPEG blobs' sha256s, family by family, the largest first.
        workspace: Where thumbnails are kept.
    """
    rows = families[:_ROWS]
    columns = min(_COLUMNS, max(len(row) for row in rows))
    sheet = Image.new("RGB", (_LABEL_PX + columns * _CELL_PX, len(rows) * _CELL_PX), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for row, members in enumerate(rows):
        top = row * _CELL_PX
        draw.text((4, top + _CELL_PX // 2), str(len(members)), fill=_INK, anchor="lm")
        for column, sha256 in enumerate(members[:columns]):
            with Image.open(io.BytesIO(thumbnail(sha256, workspace))) as small:
                cell = small.resize((_CELL_PX - 2, _CELL_PX - 2), Image.Resampling.LANCZOS)
            sheet.paste(cell, (_LABEL_PX + column * _CELL_PX + 1, top + 1))
    encoded = (encode_jpeg(sheet, quality=quality) for quality in _QUALITIES)
    return next(content for content in encoded if len(content) <= MOST_BYTES)
