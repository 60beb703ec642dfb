"""The starter's BLIP: an image's caption, from a small vision tower and a small text decoder."""

from pathlib import Path
from typing import TYPE_CHECKING

from tools.starter.clip import SIZE_PX
from tools.starter.vocabulary import MAX_TOKENS
from tools.starter.weights import save_half

if TYPE_CHECKING:
    from transformers import BertTokenizer, BlipForConditionalGeneration

_WIDTH = 128


def build_blip(tokenizer: "BertTokenizer") -> "BlipForConditionalGeneration":
    """Return a BLIP with random weights: three vision layers of 8 px patches, three text layers.

    Args:
        tokenizer: Decides the vocabulary's size and the special tokens.
    """
    from transformers import BlipConfig, BlipForConditionalGeneration

    tower = {
        "hidden_size": _WIDTH,
        "intermediate_size": 4 * _WIDTH,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "projection_dim": _WIDTH,
    }
    text = {
        **tower,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": MAX_TOKENS,
        "bos_token_id": tokenizer.bos_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    # The default range, 1e-10, is meant for weights that are loaded afterwards.
    vision = {**tower, "image_size": SIZE_PX, "patch_size": 8, "initializer_range": 0.02}
    config = BlipConfig(
        text_config=text,
        vision_config=vision,
        projection_dim=_WIDTH,
        image_text_hidden_size=_WIDTH,
    )
    return BlipForConditionalGeneration(config).eval()


def save_blip(
    model: "BlipForConditionalGeneration", tokenizer: "BertTokenizer", folder: Path
) -> None:
    """Write a BLIP as ``BlipForConditionalGeneration`` and ``BlipProcessor`` read it."""
    from transformers import BlipProcessor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    save_half(model, folder)
    image_processor = BlipImageProcessorPil(size={"height": SIZE_PX, "width": SIZE_PX})
    BlipProcessor(image_processor=image_processor, tokenizer=tokenizer).save_pretrained(folder)
