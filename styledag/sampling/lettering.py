"""Words on images, wrapped to the room there is."""

import unicodedata
from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_LINE_HEIGHT = 1.3
_INK, _PAPER = "#1a1a1a", "#ffffff"
_PROBE_PX = 16
_NO_CHARACTER = "\U0010ffff"
_SPELT = str.maketrans(
    "\N{EN DASH}\N{EM DASH}\N{HYPHEN}\N{MINUS SIGN}øØłŁđĐð",
    "----oOlLdDd",
) | str.maketrans({"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "þ": "th"})
"""What is written in place of letters that have no plain one under an accent."""


def label_font(size_px: int) -> Font:
    """Return the font that Pillow carries, so that labels are the same on every machine."""
    return ImageFont.load_default(size_px)


def prompt_labels(prompts: Sequence[str]) -> list[str]:
    """Return a label for each prompt: itself as the label font can write it, or its number."""
    return [letterable(prompt) or f"prompt {at}" for at, prompt in enumerate(prompts, start=1)]


def letterable(text: str) -> str:
    """Return text as the label font can write it, which has hardly more than ASCII.

    Accents are left out, as are emoji and other symbols. Empty where letters are of a script that
    the font does not have: the rest of such a text would say something else.
    """
    spelt = "".join(
        char if _is_drawn(char) else unicodedata.normalize("NFKD", char.translate(_SPELT))
        for char in text
    )
    kept = ""
    for char in spelt:
        kind = unicodedata.category(char)[0]
        if _is_drawn(char):
            kept += char
        elif kind in "LN":
            return ""
        elif kind == "S":
            kept += " "
    return kept if kept == text else " ".join(kept.split())


@cache
def _is_drawn(char: str) -> bool:
    """Return whether the label font has a character; of others it draws a box."""
    font = label_font(_PROBE_PX)
    if char.isspace():
        return True
    drawn, box = font.getmask(char), font.getmask(_NO_CHARACTER)
    return drawn.size != box.size or bytes(drawn) != bytes(box)


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
