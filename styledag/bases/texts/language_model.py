"""Language models as text encoders: hidden states of a chat's first message."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.conditioning import Conditioning
from styledag.bases.parts import load_transformers
from styledag.bases.texts.tokens import TextTokens

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from torch import Tensor

STATES, MASK = "text_states", "text_mask"
"""Names of a model's states in a conditioning, and of which of them are of the text."""


class ChatTokens(TextTokens):
    """The tokens of texts as messages to a Qwen model.

    Args:
        folder: The tokenizer's.
        thinks: Whether the model's answer may start with its thoughts, as the template has it.
    """

    kind = "Qwen2TokenizerFast"
    limit = 512  # as in the pipelines

    def __init__(self, folder: Path, *, thinks: bool) -> None:
        super().__init__(folder)
        self._thinks = thinks

    def message(self, text: str) -> str:
        """Return a text in the chat's template."""
        message: str = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=self._thinks,
        )
        return message

    def backends(self) -> "Sequence[Tokenizer]":
        """Return none, as a template makes messages of texts first."""
        return ()


class LanguageModel:
    """A language model of which hidden states are read, without the head that predicts words.

    Raises:
        ModelError: If it is missing, damaged or incomplete.
    """

    kind = "Qwen3Model"
    """Name of its class in transformers."""

    def __init__(
        self,
        folder: Path,
        tokens: TextTokens,
        *,
        device: "torch.device | str",
        dtype: "torch.dtype | None",
    ) -> None:
        import transformers

        self._tokens = tokens
        kind = getattr(transformers, self.kind)
        self._model = load_transformers(kind, folder, device=device, dtype=dtype)
        self._part = folder.name

    @property
    def models(self) -> Mapping[str, Any]:
        """The model, by its part."""
        return {self._part: self._model}

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> Conditioning:
        """Return what the denoiser reads of texts; see the protocol of text encoders."""

    def states(self, texts: Sequence[str]) -> "tuple[Sequence[Tensor], Tensor]":
        """Return the states after each layer, the embeddings first, and the attention mask."""
        import torch

        ids, mask = self._tokens.padded(texts, self._model.device)
        read: Any = mask
        if mask.is_meta:
            # Made already, and causal: transformers makes none of a mask without content.
            read = dict.fromkeys(("full_attention", "sliding_attention"))
        with torch.no_grad():
            output = self._model(
                input_ids=ids, attention_mask=read, output_hidden_states=True, use_cache=False
            )
        states: Sequence[Tensor] = output.hidden_states
        return states, mask


def meta_states(count: int, tokens: int, width: int, *, masked: bool) -> Conditioning:
    """Return text states [count, tokens, width] on the meta device, with their mask if asked."""
    import torch

    tensors = {STATES: torch.empty((count, tokens, width), device="meta")}
    if masked:
        tensors[MASK] = torch.empty((count, tokens), device="meta", dtype=torch.bool)
    return Conditioning(tensors)
