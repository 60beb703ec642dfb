"""What samplers of one base share: conditionings of texts, and autoencoders."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.bases.base import Autoencoder, Base, check_length
from styledag.bases.conditioning import Conditioning
from styledag.bases.find import find_base
from styledag.errors import StyleFileError
from styledag.sampling.passes import Passes

if TYPE_CHECKING:
    from styledag.models.compute import Compute


class FrozenParts:
    """The parts of a base that fine-tuning of the denoiser leaves as they are."""

    def __init__(self, folder: Path, compute: "Compute") -> None:
        self.folder = folder
        self.compute = compute
        self._conditionings: dict[str, Conditioning] = {}
        self._autoencoders: dict[Path | None, Autoencoder] = {}

    @cached_property
    def base(self) -> Base:
        """The base.

        Raises:
            ModelError: If there is none in the folder, or its family is not supported.
        """
        return find_base(self.folder)

    @cached_property
    def passes(self) -> Passes:
        """Passes through its denoisers."""
        return Passes(self.base, self.compute)

    def denoiser(self, folder: Path | None = None) -> Any:
        """Return a denoiser, loaded anew.

        Raises:
            ModelError: If it cannot be loaded.
        """
        return self.base.denoiser(folder, device=self.compute.device, dtype=self.compute.dtype)

    def autoencoder(self, folder: Path | None = None) -> Autoencoder:
        """Return an autoencoder, loaded once.

        Raises:
            ModelError: If it cannot be loaded.
        """
        if folder not in self._autoencoders:
            self._autoencoders[folder] = self.base.autoencoder(
                folder, device=self.compute.device, dtype=self.compute.dtype
            )
        return self._autoencoders[folder]

    def conditioning(self, texts: Sequence[str]) -> Conditioning:
        """Return what the denoiser reads for each text; each text is encoded once.

        The text encoders are loaded for the texts that are new, and freed: some are larger than
        the denoiser. So all texts are best encoded at once, before the denoiser is loaded.

        Raises:
            StyleFileError: If a text is longer than the text encoder reads.
        """
        missing = [text for text in dict.fromkeys(texts) if text not in self._conditionings]
        for text in missing:
            check_length(text, self.base.tokens, called="prompt", error=StyleFileError)
        if missing:
            encoder = self.base.text_encoder(device=self.compute.device, dtype=self.compute.dtype)
            self._conditionings |= {text: encoder.encode([text]) for text in missing}
        return Conditioning.concatenated([self._conditionings[text] for text in texts])
