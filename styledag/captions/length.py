"""How long a caption may be: what the base's tokenizer cuts off, the model never reads."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from styledag.errors import StyleFileError

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

CAPTION_MARK = "{caption}"


class Tokens(Protocol):
    """Counts tokens as the base's text encoder will."""

    @property
    def limit(self) -> int:
        """Most tokens that the text encoder reads, its two special ones included."""

    def count(self, text: str) -> int:
        """Return how many tokens a text is, the two special ones included."""


class ClipTokens:
    """The tokens of a base's tokenizer, loaded at the first question.

    Args:
        base: Folder in diffusers' layout; only its ``tokenizer`` is read.
    """

    def __init__(self, base: Path) -> None:
        self._base = base

    @property
    def limit(self) -> int:
        """Most tokens that the text encoder reads; 77 for CLIP."""
        return int(self._tokenizer.model_max_length)

    def count(self, text: str) -> int:
        """Return how many tokens a text is, the two special ones included."""
        # Not through the tokenizer's own call, which warns of every text above its limit.
        return len(self._tokenizer.backend_tokenizer.encode(text).ids)

    @cached_property
    def _tokenizer(self) -> "CLIPTokenizer":
        from styledag.bases.parts import load_tokenizer

        return load_tokenizer(self._base)


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
