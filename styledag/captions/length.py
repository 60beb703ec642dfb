"""Cut captions to what the base reads, since it never reads what its tokenizer cuts off."""

from collections.abc import Callable

from styledag.bases.base import Tokens
from styledag.errors import StyleFileError

CAPTION_MARK = "{caption}"


def say_within(caption: str, template: str, tokens: Tokens) -> tuple[str, bool]:
    """Return the caption in its template, and whether it had to be cut to fit.

    The caption is cut and the template stays whole, since the template holds what all share. Whole
    words are taken off its end; a first word that is too long by itself is cut inside.

    Args:
        caption: Cleaned caption.
        template: Text in which ``{caption}`` stands for it.
        tokens: Counts and limits.

    Raises:
        StyleFileError: If the template leaves no room for a caption.
    """

    def said(length: int) -> str:
        return template.replace(CAPTION_MARK, caption[:length])

    def fits(length: int) -> bool:
        return tokens.count(said(length)) <= tokens.limit

    if fits(len(caption)):
        return said(len(caption)), False
    ends = [0, *(at for at, letter in enumerate(caption) if letter == " ")]
    length = ends[_longest(len(ends) - 1, lambda index: fits(ends[index]))]
    if length == 0:
        length = _longest(len(caption), fits)
    if length == 0:
        raise StyleFileError(
            f"captions' template {template!r} is {tokens.count(said(0))} tokens by itself, and the "
            f"base reads {tokens.limit}: it leaves no room for a caption, so shorten it"
        )
    return said(length), True


def _longest(most: int, fits: Callable[[int], bool]) -> int:
    """Return the largest number up to ``most`` that fits, where all below a fitting one fit."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low
