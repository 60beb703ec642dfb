"""A model's own decoder, as its two stages store it."""

import json
from typing import Any

from styledag.graph.drawing import has_decoder
from styledag.graph.stage import uses_base
from styledag.store.artifact import Artifact, Facts

VAE_OF_BASE = uses_base("base_vae", lambda parts: (parts.autoencoder,), has_decoder)
DECODER_FILE = "decoder.json"
UNTRAINED: Facts = {"trained": False}
"""What a recipe without a decoder leaves: no file, as the base's own is drawn with."""


def base_share_of(tuned: Artifact) -> float:
    """Return the share of the base's decoder that a tuned decoder's average still contains."""
    about: dict[str, Any] = json.loads((tuned.folder / DECODER_FILE).read_text(encoding="utf-8"))
    return float(about["base_share"])
