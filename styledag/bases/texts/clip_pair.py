"""Two CLIPs whose penultimate states are joined, as Stable Diffusion XL and 3 read texts."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.parts import load_transformers
from styledag.bases.texts.clip import ClipTokens

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from torch import Tensor

POOLED = "pooled_text_states"
"""Name of projected states in a conditioning. # [texts, width]"""

_ENCODERS = {"text_encoder": "tokenizer", "text_encoder_2": "tokenizer_2"}
"""The tokenizer of each text encoder, in the order in which their states are joined."""


def pair_tokens(base: Path) -> list[ClipTokens]:
    """Return the tokens of both text encoders of a base."""
    return [
        ClipTokens(base, tokenizer=tokenizer, text_encoder=text_encoder)
        for text_encoder, tokenizer in _ENCODERS.items()
    ]


class LongerTokens:
    """The tokens of several tokenizers, of which the one that makes most of a text counts."""

    def __init__(self, each: Sequence[ClipTokens]) -> None:
        self._each = tuple(each)

    @cached_property
    def limit(self) -> int:
        """Most tokens that every text encoder reads, special ones included."""
        return min(tokens.limit for tokens in self._each)

    def count(self, text: str) -> int:
        """Return the largest number of tokens that a text has, special ones included."""
        return max(tokens.count(text) for tokens in self._each)

    def backends(self) -> "Sequence[Tokenizer]":
        """Return what counts a text: the backends of all."""
        return tuple(backend for tokens in self._each for backend in tokens.backends())


class ClipPair:
    """Both text encoders of a base.

    Attributes:
        models: Them, by their parts.

    Raises:
        ModelError: If one is missing, damaged or incomplete.
    """

    def __init__(
        self,
        base: Path,
        kinds: Sequence[Any],
        *,
        device: "torch.device | str",
        dtype: "torch.dtype | None",
    ) -> None:
        self._tokens = pair_tokens(base)
        self.models: dict[str, Any] = {
            part: load_transformers(kind, base / part, device=device, dtype=dtype)
            for kind, part in zip(kinds, _ENCODERS, strict=True)
        }

    def encode(self, texts: Sequence[str]) -> "tuple[Tensor, list[Any]]":
        """Return the joined penultimate states of texts, and what each model returned."""
        import torch

        with torch.no_grad():
            # No attention mask, as in the pipelines: padding is attended to.
            outputs = [
                model(tokens.padded(texts, model.device)[0], output_hidden_states=True)
                for tokens, model in zip(self._tokens, self.models.values(), strict=True)
            ]
        return torch.cat([each.hidden_states[-2] for each in outputs], dim=-1), outputs
