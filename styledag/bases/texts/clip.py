"""CLIP's tokenizer, and its text encoder as bases use it that read its last hidden states."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.conditioning import Conditioning
from styledag.bases.parts import load_transformers
from styledag.bases.texts.tokens import TextTokens
from styledag.errors import ModelError
from styledag.models.config import read_config

if TYPE_CHECKING:
    import torch

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


class ClipTokens(TextTokens):
    """The tokens of a base's CLIP tokenizer."""

    kind = "CLIPTokenizer"

    def __init__(
        self, base: Path, *, tokenizer: str = "tokenizer", text_encoder: str = "text_encoder"
    ) -> None:
        super().__init__(base / tokenizer)
        self._text_encoder = base / text_encoder

    @property
    def width(self) -> int:
        """Tokens of a padded text: as many as the text encoder has positions."""
        return text_positions(self._text_encoder.parent, self._text_encoder.name)

    @cached_property
    def limit(self) -> int:  # type: ignore[override]
        """Most tokens that the text encoder reads, the two special ones included."""
        return min(int(self._tokenizer.model_max_length), self.width)

    @cached_property
    def _tokenizer(self) -> Any:
        tokenizer = super()._tokenizer
        path = self._text_encoder / "config.json"
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

        input_ids, mask = self._tokens.padded(texts, self._model.device)
        # As StableDiffusionPipeline does: padding is attended to unless the configuration differs.
        uses_mask = getattr(self._model.config, "use_attention_mask", False)
        with torch.no_grad():
            states = self._model(input_ids, attention_mask=mask if uses_mask else None)[0]
        return Conditioning({STATES: states})
