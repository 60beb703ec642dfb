"""Random captioners of the real classes, small enough for a test."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers

_WORDS = "[PAD] <s> </s> [UNK] <image> user assistant : describe a red fox the cat blue in on it"
WORDS: tuple[str, ...] = tuple(_WORDS.split(" "))
_CHAT = (
    "{% for m in messages %}user : {% for c in m.content %}"
    "{% if c.type == 'image' %}<image> {% else %}{{ c.text }} {% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}assistant : {% endif %}"
)


def _tokenizer():
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="[UNK]",
        additional_special_tokens=["<image>"],
        extra_special_tokens={"image_token": "<image>"},
    )


def _image_processor(side: int):
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    return CLIPImageProcessorPil(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )


def save_llava(folder: Path) -> Path:
    """A LLaVA, the kind of model that JoyCaption is."""
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    torch.manual_seed(0)
    tokenizer = _tokenizer()
    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=vision.to_dict(),
            text_config=text.to_dict(),
            image_token_index=WORDS.index("<image>"),
            image_seq_length=4,
        )
    )
    _spread(model)
    processor = LlavaProcessor(
        _image_processor(32),
        tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        image_token="<image>",
        num_additional_image_tokens=1,
        chat_template=_CHAT,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def save_florence(folder: Path) -> Path:
    """A Florence-2."""
    from transformers import (
        BartConfig,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
    )

    torch.manual_seed(0)
    tokenizer = _tokenizer()
    text = BartConfig(
        vocab_size=len(tokenizer),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=64,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
    )
    vision = {
        "depths": [1, 1],
        "patch_size": [7, 3],
        "patch_stride": [4, 2],
        "patch_padding": [3, 1],
        "patch_prenorm": [False, True],
        "embed_dim": [8, 16],
        "num_heads": [2, 2],
        "num_groups": [2, 2],
        "window_size": 4,
        "projection_dim": 16,
        "max_temporal_embeddings": 4,
        "max_position_embeddings": 8,
    }
    model = Florence2ForConditionalGeneration(
        Florence2Config(
            text_config=text.to_dict(),
            vision_config=vision,
            image_token_id=WORDS.index("<image>"),
            tie_word_embeddings=False,
        )
    )
    _spread(model)
    image_processor = _image_processor(32)
    image_processor.image_seq_length = 17
    model.save_pretrained(folder)
    Florence2Processor(image_processor, tokenizer).save_pretrained(folder)
    return folder


def _spread(model: torch.nn.Module) -> None:
    """Make the random weights large, so that different images get different words."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(12)
