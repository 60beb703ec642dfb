"""Images in rows and columns, each row and column with its label."""

from collections.abc import Sequence

from PIL import Image

from styledag.sampling.cells import cell
from styledag.sampling.lettering import label_font, line_height_px, text_image, wrapped

_PAPER = "#ffffff"
_GAP_PX = 6
_MARGIN_PX = 16
_MIN_FONT_PX = 14
_MAX_HEADER_LINES = 3


def contact_sheet(
    images: Sequence[Sequence[Image.Image]],
    *,
    title: str,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
) -> Image.Image:
    """Return one image of many, row labels at the left and column labels above.

    Args:
        images: Rows of images of one size.
        title: Headline.
        row_labels: One a row, wrapped to the row's height.
        column_labels: One a column, wrapped to three lines.
    """
    rows = [[cell(image) for image in row] for row in images]
    width, height = rows[0][0].size
    font_px = max(_MIN_FONT_PX, width // 16)
    label_width = max(160, width * 2 // 3)
    title_height = 2 * line_height_px(font_px + 4)
    font = label_font(font_px)
    header_lines = max(
        len(wrapped(label, font, width, _MAX_HEADER_LINES)) for label in column_labels
    )
    header_height = header_lines * line_height_px(font_px) + _GAP_PX
    left = _MARGIN_PX + label_width + 2 * _GAP_PX
    top = _MARGIN_PX + title_height + header_height
    sheet = Image.new(
        "RGB",
        (
            left + len(rows[0]) * (width + _GAP_PX) - _GAP_PX + _MARGIN_PX,
            top + len(rows) * (height + _GAP_PX) - _GAP_PX + _MARGIN_PX,
        ),
        _PAPER,
    )
    headline = (sheet.width - 2 * _MARGIN_PX, title_height)
    sheet.paste(text_image(title, headline, font_px + 4, centred=False), (_MARGIN_PX, _MARGIN_PX))
    for column, label in enumerate(column_labels):
        header = text_image(label, (width, header_height), font_px, centred=True)
        sheet.paste(header, (left + column * (width + _GAP_PX), top - header_height))
    for row, (label, cells) in enumerate(zip(row_labels, rows, strict=True)):
        y = top + row * (height + _GAP_PX)
        sheet.paste(
            text_image(label, (label_width, height), font_px, centred=False), (_MARGIN_PX, y)
        )
        for column, image in enumerate(cells):
            sheet.paste(image, (left + column * (width + _GAP_PX), y))
    return sheet
