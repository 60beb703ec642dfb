"""Images in rows and columns, each row and column with its label."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from PIL import Image

from styledag.sampling.cells import MAX_CELL_PX, MIN_CELL_PX, cell
from styledag.sampling.lettering import label_font, line_height_px, text_image, wrapped

MAX_SIDE_PX = 30_000
"""Firefox shows no image with more than 32,767 pixels along a side."""
MAX_PIXELS = 80_000_000
"""Pillow warns of one with more than 89 million, and refuses to read twice as many."""

_PAPER = "#ffffff"
_GAP_PX = 6
_MARGIN_PX = 16
_MIN_FONT_PX = 14
_MAX_HEADER_LINES = 3
_CELLS_PX = (MAX_CELL_PX, 448, 384, 320, 256, 192, 160, 128, 96, 64)
"""Longer sides of cells that are tried until a sheet is not too large."""


def contact_sheet(
    images: Iterable[Sequence[Image.Image]],
    *,
    title: str,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
) -> Image.Image:
    """Return one image of many, row labels at the left and column labels above.

    Where there are too many for one image that browsers show, all are made smaller; what still
    finds no room at 64 pixels is left out, and the headline states how many are shown.

    Args:
        images: Rows of images of one size, of which one row at a time is kept.
        title: Headline.
        row_labels: One a row, wrapped to the row's height.
        column_labels: One a column, wrapped to three lines.
    """
    rows = iter(images)
    first = next(rows)
    sheet = _Sheet.of(first[0], len(row_labels), column_labels)
    shown = [
        f"the first {count} of {len(labels)} {kind}"
        for kind, count, labels in (
            ("rows", sheet.rows, row_labels),
            ("columns", sheet.columns, column_labels),
        )
        if count < len(labels)
    ]
    image = Image.new("RGB", sheet.size, _PAPER)
    headline = (sheet.size[0] - 2 * _MARGIN_PX, sheet.title_height)
    words = ", ".join([title, *shown])
    image.paste(
        text_image(words, headline, sheet.font_px + 4, centred=False), (_MARGIN_PX, _MARGIN_PX)
    )
    for column, label in enumerate(column_labels[: sheet.columns]):
        header = text_image(label, (sheet.width, sheet.header_height), sheet.font_px, centred=True)
        image.paste(header, (sheet.x(column), sheet.top - sheet.header_height))
    for row, (label, cells) in enumerate(
        zip(row_labels[: sheet.rows], chain([first], rows), strict=False)
    ):
        beside = (sheet.label_width, sheet.height)
        label_image = text_image(label, beside, sheet.font_px, centred=False)
        image.paste(label_image, (_MARGIN_PX, sheet.y(row)))
        for column, each in enumerate(cells[: sheet.columns]):
            image.paste(sheet.cell(each), (sheet.x(column), sheet.y(row)))
    return image


@dataclass(frozen=True, kw_only=True)
class _Sheet:
    """Where everything lies on a sheet whose cells have one size."""

    cell_px: int
    width: int
    height: int
    rows: int
    columns: int
    header_lines: int

    @classmethod
    def of(cls, image: Image.Image, rows: int, column_labels: Sequence[str]) -> "_Sheet":
        """Return the largest sheet that browsers show, or the smallest with what finds room."""
        for cell_px in _CELLS_PX:
            sheet = cls._sized(image, cell_px, rows, column_labels)
            if sheet._fits:
                return sheet
        while not sheet._fits:
            # The longer direction first; nobody looks at thousands of columns.
            is_wide = sheet.size[0] > sheet.size[1]
            rows -= 0 if is_wide else max(1, rows // 50)
            column_labels = column_labels[: -max(1, len(column_labels) // 50) if is_wide else None]
            sheet = cls._sized(image, cell_px, rows, column_labels)
        return sheet

    @classmethod
    def _sized(
        cls, image: Image.Image, cell_px: int, rows: int, column_labels: Sequence[str]
    ) -> "_Sheet":
        width, height = cell(image, min_px=min(MIN_CELL_PX, cell_px), max_px=cell_px).size
        font = label_font(max(_MIN_FONT_PX, width // 16))
        lines = (wrapped(label, font, width, _MAX_HEADER_LINES) for label in column_labels)
        return cls(
            cell_px=cell_px,
            width=width,
            height=height,
            rows=rows,
            columns=len(column_labels),
            header_lines=max(len(each) for each in lines),
        )

    def cell(self, image: Image.Image) -> Image.Image:
        return cell(image, min_px=min(MIN_CELL_PX, self.cell_px), max_px=self.cell_px)

    @property
    def _fits(self) -> bool:
        return max(self.size) <= MAX_SIDE_PX and self.size[0] * self.size[1] <= MAX_PIXELS

    @property
    def font_px(self) -> int:
        return max(_MIN_FONT_PX, self.width // 16)

    @property
    def label_width(self) -> int:
        return max(160, self.width * 2 // 3)

    @property
    def title_height(self) -> int:
        return 2 * line_height_px(self.font_px + 4)

    @property
    def header_height(self) -> int:
        return self.header_lines * line_height_px(self.font_px) + _GAP_PX

    @property
    def top(self) -> int:
        return _MARGIN_PX + self.title_height + self.header_height

    def x(self, column: int) -> int:
        return _MARGIN_PX + self.label_width + 2 * _GAP_PX + column * (self.width + _GAP_PX)

    def y(self, row: int) -> int:
        return self.top + row * (self.height + _GAP_PX)

    @property
    def size(self) -> tuple[int, int]:
        return self.x(self.columns) - _GAP_PX + _MARGIN_PX, self.y(self.rows) - _GAP_PX + _MARGIN_PX
