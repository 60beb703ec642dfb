"""CLIP's tokenizer and text encoder, as the bases use them that read its last hidden states."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.base import Conditioning
from styledag.bases.parts import load_tokenizer, load_transformers, read_config

if TYPE_CHECKING:
    import torch

STATES = "text_states"
"""Name of the last hidden states in a conditioning. # [texts, tokens, width]"""

_POSITIONS = 77
"""Tokens that CLIP reads, which configurations of its first versions leave out."""


def text_positions(base: Path) -> int:
    """Return how many tokens the text encoder of a base reads.

    Raises:
        ModelError: If its configuration is damaged.
    """
    path = base / "text_encoder" / "config.json"
    config = read_config(path) if path.is_file() else {}
    return int(config.get("max_position_embeddings", _POSITIONS))


class ClipTokens:
    """The tokens of a base's CLIP tokenizer, which is loaded when first needed.

    Args:
        base: Folder in diffusers' layout; its ``tokenizer`` is read.
    """

    def __init__(self, base: Path) -> None:
        self._base = base

    @cached_property
    def limit(self) -> int:
        """Most tokens that the text encoder reads, the two special ones included."""
        return min(int(self._tokenizer.model_max_length), text_positions(self._base))

    def count(self, text: str) -> int:
        """Return how many tokens a text has, the two special ones included."""
        # Not through the tokenizer's own call, which warns of every text above its limit.
        return len(self._tokenizer.backend_tokenizer.encode(text).ids)

    def padded(self, texts: Sequence[str]) -> Any:
        """Return ``input_ids`` and ``attention_mask`` of texts, [B, limit] each, padded.

        Args:
            texts: None longer than the limit.
        """
        return self._tokenizer(
            list(texts), padding="max_length", max_length=self.limit, return_tensors="pt"
        )

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import CLIPTokenizer

        return load_tokenizer(CLIPTokenizer, self._base / "tokenizer")


class ClipTextEncoder:
    """A base's CLIP text encoder.

    Args:
        base: Folder in diffusers' layout; its ``text_encoder`` is read.
        tokens: The base's.
        device: Where it computes; on ``meta`` no tokenizer is read.
        dtype: Dtype of its weights.

    Raises:
        ModelError: If it is missing, damaged or incomplete.
    """

    def __init__(
        self,
        base: Path,
        tokens: ClipTokens,
        *,
        device: "torch.device | str",
        dtype: "torch.dtype | None",
    ) -> None:
        from transformers import CLIPTextModel

        self._tokens = tokens
        self._model = load_transformers(
            CLIPTextModel, base / "text_encoder", device=device, dtype=dtype
        )

    def encode(self, texts: Sequence[str]) -> Conditioning:
        """Return the last hidden states of texts; see the protocol."""
        import torch

        config, device = self._model.config, self._model.device
        if device.type == "meta":
            shape = (len(texts), config.max_position_embeddings)
            return self._encoded(torch.zeros(shape, dtype=torch.int64, device=device), None)
        tokens = self._tokens.padded(texts)
        # As StableDiffusionPipeline does: padding is attended to unless the configuration differs.
        uses_mask = getattr(config, "use_attention_mask", False)
        mask = tokens.attention_mask.to(device) if uses_mask else None
        return self._encoded(tokens.input_ids.to(device), mask)

    def _encoded(
        self, input_ids: "torch.Tensor", attention_mask: "torch.Tensor | None"
    ) -> Conditioning:
        import torch

        with torch.no_grad():
            return Conditioning({STATES: self._model(input_ids, attention_mask=attention_mask)[0]})
