"""Words on images, wrapped to the room there is."""

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_LINE_HEIGHT = 1.3
_INK, _PAPER = "#1a1a1a", "#ffffff"


def label_font(size_px: int) -> Font:
    """Return the font that Pillow carries, so that labels are the same on every machine."""
    return ImageFont.load_default(size_px)


def wrapped(text: str, font: Font, width_px: int, max_lines: int) -> list[str]:
    """Return text in lines that fit a width; what finds no room ends in an ellipsis.

    A word wider than the line is broken.
    """
    lines = [""]
    for word in text.split():
        rest = word
        while rest:
            joined = f"{lines[-1]} {rest}".strip()
            if font.getlength(joined) <= width_px:
                lines[-1], rest = joined, ""
            elif lines[-1]:
                lines.append("")
            else:
                fits = _fitting(rest, font, width_px)
                lines[-1], rest = rest[:fits], rest[fits:]
                if rest:
                    lines.append("")
    if len(lines) <= max_lines:
        return lines
    last = lines[max_lines - 1]
    while last and font.getlength(last + _ELLIPSIS) > width_px:
        last = last[:-1]
    return [*lines[: max_lines - 1], last.rstrip() + _ELLIPSIS]


def line_height_px(size_px: int) -> int:
    """Return the distance between two lines of a font of ``size_px``."""
    return round(size_px * _LINE_HEIGHT)


def text_image(
    text: str,
    size_px: tuple[int, int],
    font_px: int,
    *,
    centred: bool,
) -> Image.Image:
    """Return text on plain paper, wrapped and in the middle of the height.

    Lines stand in the middle of the width if they are ``centred``, else at its left.
    """
    width, height = size_px
    image = Image.new("RGB", size_px, _PAPER)
    draw, font = ImageDraw.Draw(image), label_font(font_px)
    step = line_height_px(font_px)
    lines = wrapped(text, font, width, max(1, height // step))
    top = (height - step * len(lines)) / 2 + step / 2
    for number, line in enumerate(lines):
        position = (width / 2 if centred else 0, top + number * step)
        draw.text(position, line, fill=_INK, font=font, anchor="mm" if centred else "lm")
    return image


def _fitting(word: str, font: Font, width_px: int) -> int:
    """Return how many letters of a word fit a width; at least one."""
    count = len(word)
    while count > 1 and font.getlength(word[:count]) > width_px:
        count -= 1
    return count
