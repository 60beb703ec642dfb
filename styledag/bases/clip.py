"""CLIP's tokenizer, and its text encoder as bases use it that read its last hidden states."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.conditioning import Conditioning
from styledag.bases.parts import (
    count_tokens,
    counting_backend,
    load_tokenizer,
    load_transformers,
)
from styledag.errors import ModelError
from styledag.models.config import read_config

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from torch import Tensor

STATES = "text_states"
"""Name of the hidden states in a conditioning. # [texts, tokens, width]"""

_WORDS = 49408
"""Tokens that CLIP embeds, where the configuration does not state it."""
_POSITIONS = 77
"""Tokens that CLIP reads, which configurations of its first versions leave out."""


def text_positions(base: Path, text_encoder: str = "text_encoder") -> int:
    """Return how many tokens a text encoder of a base reads.

    Raises:
        ModelError: If its configuration is damaged.
    """
    path = base / text_encoder / "config.json"
    config = read_config(path) if path.is_file() else {}
    return int(config.get("max_position_embeddings", _POSITIONS))


class ClipTokens:
    """The tokens of a base's CLIP tokenizer, which is loaded when first needed."""

    def __init__(
        self, base: Path, *, tokenizer: str = "tokenizer", text_encoder: str = "text_encoder"
    ) -> None:
        self._base = base
        self._folder = base / tokenizer
        self._text_encoder = text_encoder

    @cached_property
    def limit(self) -> int:
        """Most tokens that the text encoder reads, the two special ones included."""
        positions = text_positions(self._base, self._text_encoder)
        return min(int(self._tokenizer.model_max_length), positions)

    def count(self, text: str) -> int:
        """Return how many tokens a text has, the two special ones included."""
        return count_tokens(self._tokenizer, text)

    def backends(self) -> "Sequence[Tokenizer]":
        """Return what counts a text."""
        return (counting_backend(self._tokenizer),)

    def padded(self, texts: Sequence[str], model: Any) -> "tuple[Tensor, Tensor]":
        """Return token ids and attention mask of texts on a text encoder's device: [B, limit] each.

        Of texts that are too long, the start is read. On the device ``meta`` they are shapes, and
        no tokenizer is read.
        """
        import torch

        if model.device.type == "meta":
            shape = (len(texts), model.config.max_position_embeddings)
            ids = torch.zeros(shape, dtype=torch.int64, device="meta")
            return ids, torch.ones_like(ids)
        tokens = self._tokenizer(
            list(texts),
            padding="max_length",
            max_length=self.limit,
            truncation=True,
            return_tensors="pt",
        )
        return tokens.input_ids.to(model.device), tokens.attention_mask.to(model.device)

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import CLIPTokenizer

        tokenizer = load_tokenizer(CLIPTokenizer, self._folder)
        path = self._base / self._text_encoder / "config.json"
        embedded = int(read_config(path).get("vocab_size", _WORDS)) if path.is_file() else _WORDS
        highest = max(tokenizer.get_vocab().values())
        if highest >= embedded:
            raise ModelError(
                f"{self._folder} has tokens up to id {highest}, but {path.parent} embeds "
                f"{embedded} tokens: save the text encoder with the embeddings of the tokens that "
                "were added, or restore the tokenizer"
            )
        return tokenizer


class ClipTextEncoder:
    """A base's CLIP text encoder.

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

    @property
    def models(self) -> Mapping[str, Any]:
        """The model, by its part."""
        return {"text_encoder": self._model}

    def encode(self, texts: Sequence[str]) -> Conditioning:
        """Return the last hidden states of texts; see the protocol."""
        import torch

        input_ids, mask = self._tokens.padded(texts, self._model)
        # As StableDiffusionPipeline does: padding is attended to unless the configuration differs.
        uses_mask = getattr(self._model.config, "use_attention_mask", False)
        with torch.no_grad():
            states = self._model(input_ids, attention_mask=mask if uses_mask else None)[0]
        return Conditioning({STATES: states})
