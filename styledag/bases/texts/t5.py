"""T5's tokens and last hidden states, as bases use them that read them unmasked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.parts import load_transformers
from styledag.bases.texts.tokens import TextTokens

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T5_STATES = "t5_text_states"
"""Name of T5's states in a conditioning. # [texts, tokens, width]"""


class T5Tokens(TextTokens):
    """The tokens of a base's T5 tokenizer.

    Args:
        folder: The tokenizer's.
        limit: Most tokens that are read, as in the base's pipeline.
    """

    kind = "T5TokenizerFast"

    def __init__(self, folder: Path, limit: int) -> None:
        super().__init__(folder)
        self.limit = limit


class T5TextEncoder:
    """A base's T5.

    Attributes:
        models: The model, by its part.

    Raises:
        ModelError: If it is missing, damaged or incomplete.
    """

    def __init__(
        self,
        folder: Path,
        tokens: T5Tokens,
        *,
        device: "torch.device | str",
        dtype: "torch.dtype | None",
    ) -> None:
        from transformers import T5EncoderModel

        self._tokens = tokens
        self._model = load_transformers(T5EncoderModel, folder, device=device, dtype=dtype)
        self.models: Mapping[str, Any] = {folder.name: self._model}

    def states(self, texts: Sequence[str]) -> "Tensor":
        """Return the last hidden states of texts, [texts, tokens, width]."""
        import torch

        ids, _ = self._tokens.padded(texts, self._model.device)
        with torch.no_grad():
            # No attention mask, as in the pipelines: padding is attended to.
            states: Tensor = self._model(ids)[0]
        return states
