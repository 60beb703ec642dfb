"""The starter's CLIP: the pipeline's text encoder, and with its vision tower the scorer."""

from pathlib import Path
from typing import TYPE_CHECKING

from tools.starter.vocabulary import MAX_TOKENS
from tools.starter.weights import save_half

if TYPE_CHECKING:
    from transformers import CLIPModel, CLIPTokenizer

SIZE_PX = 64
TEXT_WIDTH = 128
"""Width of the text states that the UNet's cross-attention reads."""


def build_clip(tokenizer: "CLIPTokenizer") -> "CLIPModel":
    """Return a CLIP with random weights: three text layers, four vision layers, 8 px patches.

    Args:
        tokenizer: Decides the vocabulary's size and the special tokens.
    """
    from transformers import CLIPConfig, CLIPModel

    tower = {
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 4 * TEXT_WIDTH,
        "num_attention_heads": 4,
        "projection_dim": TEXT_WIDTH,
    }
    text = {
        **tower,
        "num_hidden_layers": 3,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": MAX_TOKENS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {**tower, "num_hidden_layers": 4, "image_size": SIZE_PX, "patch_size": 8}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=TEXT_WIDTH)
    return CLIPModel(config).eval()


def save_clip(model: "CLIPModel", tokenizer: "CLIPTokenizer", folder: Path) -> None:
    """Write a CLIP as ``CLIPModel``, ``CLIPProcessor`` and ``AutoTokenizer`` read it."""
    from transformers import CLIPProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    save_half(model, folder)
    image_processor = CLIPImageProcessorPil(
        size={"shortest_edge": SIZE_PX}, crop_size={"height": SIZE_PX, "width": SIZE_PX}
    )
    CLIPProcessor(image_processor=image_processor, tokenizer=tokenizer).save_pretrained(folder)
