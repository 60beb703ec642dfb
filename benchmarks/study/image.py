"""The recipes' samples side by side, in one small image."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from styledag.sampling.lettering import text_image

CELL_PX = 64
LABEL_PX = 110
HEADER_PX = 34
FONT_PX = 12
COLOURS = 128


def side_by_side(rows: Mapping[str, Sequence[Path]], columns: Sequence[str]) -> Image.Image:
    """Return rows of samples with their labels, in few colours.

    Args:
        rows: Files of samples by label.
        columns: Label of each column.
    """
    sheet = Image.new(
        "RGB",
        (LABEL_PX + CELL_PX * len(columns), HEADER_PX + CELL_PX * len(rows)),
        "#ffffff",
    )
    for column, label in enumerate(columns):
        header = text_image(label, (CELL_PX, HEADER_PX), FONT_PX, centred=True)
        sheet.paste(header, (LABEL_PX + CELL_PX * column, 0))
    for row, (label, files) in enumerate(rows.items()):
        top = HEADER_PX + CELL_PX * row
        sheet.paste(text_image(label, (LABEL_PX - 8, CELL_PX), FONT_PX, centred=False), (4, top))
        for column, path in enumerate(files):
            with Image.open(path) as image:
                cell = image.convert("RGB").resize((CELL_PX, CELL_PX))
            sheet.paste(cell, (LABEL_PX + CELL_PX * column, top))
    return sheet.quantize(COLOURS, dither=Image.Dither.NONE)
