"""Cut captions to what the base reads, since it never reads what its tokenizer cuts off."""

from collections.abc import Callable, Mapping

from styledag.bases.base import Tokens
from styledag.captions.template import CAPTION, fill
from styledag.errors import StyleFileError

MOST_FIELD_LETTERS = 200


def fill_within(
    template: str, values: Mapping[str, str], tokens: Tokens, *, articles: bool = False
) -> tuple[str, bool]:
    """Return a template filled in so that the base reads all of it, and whether words were cut.

    Of all fields but the caption, words behind the first 200 letters are cut; then the parts in
    square brackets go; then the caption is cut. Whole words are taken off its end; a first word
    that is too long by itself is cut inside.

    Raises:
        StyleFileError: If the template leaves no room for a caption.
    """
    caption = values[CAPTION]
    shorter = {
        name: text if name == CAPTION else _cut(text, MOST_FIELD_LETTERS)
        for name, text in values.items()
    }

    def filled(length: int, *, optional: bool) -> str:
        cut = {**shorter, CAPTION: caption[:length]}
        return fill(template, cut, optional=optional, articles=articles)

    def fits(length: int) -> bool:
        return tokens.count(filled(length, optional=False)) <= tokens.limit

    whole = filled(len(caption), optional=True)
    if tokens.count(whole) <= tokens.limit:
        return whole, shorter != values and whole != fill(template, values, articles=articles)
    if fits(len(caption)):
        return filled(len(caption), optional=False), True
    ends = [0, *(at for at, letter in enumerate(caption) if letter == " ")]
    length = ends[_longest(len(ends) - 1, lambda index: fits(ends[index]))]
    if length == 0:
        length = _longest(len(caption), fits)
    if length == 0:
        alone = tokens.count(filled(0, optional=False))
        raise StyleFileError(
            f"captions' template {template!r} is {alone} tokens by itself, and the base reads "
            f"{tokens.limit}: it leaves no room for a caption, so shorten it"
        )
    return filled(length, optional=False), True


def _cut(text: str, letters: int) -> str:
    """Return whole words of a text up to a number of letters."""
    if len(text) <= letters:
        return text
    return text[: letters + 1].rpartition(" ")[0] or text[:letters]


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
