"""Texts as the token ids that a text encoder reads: one tokenizer of transformers' for each."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.parts import load_tokenizer

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from torch import Tensor


class TextTokens:
    """The tokens of a tokenizer, which is loaded when first needed.

    Args:
        folder: The tokenizer's.
    """

    kind: str
    """Name of its class in transformers."""
    limit: int
    """Most tokens that are read, special ones included."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def width(self) -> int:
        """Tokens of a padded text, known without the tokenizer."""
        return self.limit

    def message(self, text: str) -> str:
        """Return a text as the tokenizer reads it."""
        return text

    def count(self, text: str) -> int:
        """Return how many tokens a text has, special ones included."""
        # Not through the tokenizer's own call, which warns of every text above its limit.
        return len(self._backend.encode(self.message(text)).ids)

    def backends(self) -> "Sequence[Tokenizer]":
        """Return what counts a text."""
        return (self._backend,)

    def padded(self, texts: Sequence[str], device: "torch.device") -> "tuple[Tensor, Tensor]":
        """Return token ids and attention mask of texts: [texts, tokens] each.

        Of texts that are too long, the start is read. On the device ``meta`` they are shapes, and
        no tokenizer is read.
        """
        import torch

        if device.type == "meta":
            ids = torch.zeros((len(texts), self.width), dtype=torch.int64, device=device)
            return ids, torch.ones_like(ids)
        return self._padded([self.message(text) for text in texts], self.limit, device)

    def _padded(
        self, texts: list[str], tokens: int, device: "torch.device"
    ) -> "tuple[Tensor, Tensor]":
        read = self._tokenizer(
            texts, padding="max_length", max_length=tokens, truncation=True, return_tensors="pt"
        )
        return read.input_ids.to(device), read.attention_mask.to(device)

    @cached_property
    def _tokenizer(self) -> Any:
        import transformers

        return load_tokenizer(getattr(transformers, self.kind), self._folder)

    @property
    def _backend(self) -> "Tokenizer":
        """Counts texts, whatever was padded before."""
        backend: Tokenizer = self._tokenizer.backend_tokenizer
        backend.no_padding()
        backend.no_truncation()
        return backend
