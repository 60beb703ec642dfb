"""What samplers of one base share: text encoder, autoencoder and noise schedule."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.parts import load_text_encoder, load_tokenizer, load_vae
from styledag.errors import ModelError, StyleFileError

if TYPE_CHECKING:
    import torch
    from diffusers import AutoencoderKL

    from styledag.models.compute import Compute


class BaseParts:
    """The parts of a base that fine-tuning leaves alone, each loaded when first needed.

    Args:
        folder: The base, in ``StableDiffusionPipeline``'s layout.
        compute: Where and how to compute.
    """

    def __init__(self, folder: Path, compute: "Compute") -> None:
        self.folder = folder
        self.compute = compute
        self._embeddings: dict[str, torch.Tensor] = {}
        self._vaes: dict[Path, AutoencoderKL] = {}

    @cached_property
    def scheduler_config(self) -> dict[str, Any]:
        """The base's scheduler configuration.

        Raises:
            ModelError: If it is missing or unreadable.
        """
        path = self.folder / "scheduler" / "scheduler_config.json"
        try:
            config = json.loads(path.read_text())
        except (OSError, ValueError) as exc:
            raise ModelError(
                f"{path} is no readable noise schedule ({exc}): restore the base, or name another"
            ) from exc
        return {name: value for name, value in config.items() if not name.startswith("_")}

    def vae(self, folder: Path | None = None) -> "AutoencoderKL":
        """Return an autoencoder, loaded once.

        It is in float32 where the UNet is in float16, which would overflow in it.

        Args:
            folder: The autoencoder's own; the base's when left out.

        Raises:
            ModelError: If it cannot be loaded.
        """
        import torch

        folder = folder or self.folder / "vae"
        if folder not in self._vaes:
            half = self.compute.dtype == torch.float16
            dtype = torch.float32 if half else self.compute.dtype
            self._vaes[folder] = load_vae(
                folder, device=self.compute.device, dtype=dtype, subfolder=""
            )
        return self._vaes[folder]

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self.folder)

    @cached_property
    def _text_encoder(self) -> Any:
        return load_text_encoder(self.folder, device=self.compute.device, dtype=self.compute.dtype)

    def encoder_hidden_states(self, texts: Sequence[str]) -> "torch.Tensor":
        """Return what the UNet reads for each text, computed once a text: [n, tokens, width].

        Raises:
            StyleFileError: If a text is longer than the text encoder reads.
        """
        import torch

        for text in texts:
            if text not in self._embeddings:
                self._embeddings[text] = self._encoded(text)
        return torch.cat([self._embeddings[text] for text in texts])

    def _encoded(self, text: str) -> "torch.Tensor":
        import torch

        longest = self._tokenizer.model_max_length
        tokens = self._tokenizer(
            text, padding="max_length", max_length=longest, return_tensors="pt"
        )
        found = tokens.input_ids.shape[1]
        if found > longest:
            raise StyleFileError(
                f"prompt {text!r} is {found} tokens long, but the base reads {longest}: shorten it"
            )
        # As StableDiffusionPipeline has it: padding is attended to unless the model says not.
        uses_mask = getattr(self._text_encoder.config, "use_attention_mask", False)
        mask = tokens.attention_mask.to(self.compute.device) if uses_mask else None
        with torch.inference_mode():
            states: torch.Tensor = self._text_encoder(
                tokens.input_ids.to(self.compute.device), attention_mask=mask
            )[0]
        return states
