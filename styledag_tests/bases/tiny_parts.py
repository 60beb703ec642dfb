"""Parts that several tiny bases have: tokenizers, text encoders, autoencoders, their index."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPTextConfig,
    CLIPTokenizer,
    GemmaTokenizerFast,
    Qwen2TokenizerFast,
    Qwen3Config,
    T5TokenizerFast,
)

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


def write_index(folder: Path, pipeline: str, **parts: tuple[str, str] | None) -> None:
    """Write ``model_index.json``: each part's library and class, or that the base lacks it."""
    named = {name: [None, None] if each is None else list(each) for name, each in parts.items()}
    text = json.dumps({"_class_name": pipeline, **named})
    (folder / "model_index.json").write_text(text, encoding="utf-8")


def change(path: Path, **changed: object) -> None:
    """Change some keys of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changed), encoding="utf-8")


def write_clip_tokenizers(folder: Path, tokenizer: Path) -> CLIPTokenizer:
    """Write a tokenizer, and one that pads with another token as the second; return it."""
    shutil.copytree(tokenizer, folder / "tokenizer")
    shutil.copytree(tokenizer, folder / "tokenizer_2")
    tokens = CLIPTokenizer.from_pretrained(folder / "tokenizer_2")
    tokens.pad_token = "!"
    tokens.save_pretrained(folder / "tokenizer_2")
    return tokens


def clip_config(tokens: CLIPTokenizer, width: int, projected: int) -> CLIPTextConfig:
    """Return the configuration of a CLIP text encoder."""
    return CLIPTextConfig(
        vocab_size=len(tokens),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3,
        num_attention_heads=2,
        projection_dim=projected,
        bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
    )


def write_t5_tokenizer(folder: Path) -> int:
    """Write a tokenizer of T5's kind that knows letters, and return how many tokens it has."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(letter, -3.0) for letter in "abcdefghijklmnopqrstuvwxyz'"]
    tokenizer = T5TokenizerFast(vocab=pieces, extra_ids=0, additional_special_tokens=[])
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def write_qwen_tokenizer(folder: Path) -> int:
    """Write a tokenizer of Qwen's kind that knows bytes, and return how many tokens it has."""
    vocabulary = {letter: at for at, letter in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Qwen2TokenizerFast(
        vocab=vocabulary,
        merges=[],
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
        chat_template=CHAT_TEMPLATE,
        model_max_length=1024,
    )
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def write_gemma_tokenizer(folder: Path) -> int:
    """Write a tokenizer of Gemma's kind that knows letters, and return how many tokens it has."""
    special = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
    letters = ("▁", *map(chr, range(33, 127)))
    vocabulary = {piece: at for at, piece in enumerate((*special, *letters))}
    tokenizer = GemmaTokenizerFast(vocab=vocabulary, merges=[])
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def qwen_config(vocabulary: int, *, layers: int) -> Qwen3Config:
    """Return the configuration of a Qwen3."""
    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
    )


def tiny_autoencoder(**settings: Any) -> AutoencoderKL:
    """Return an autoencoder of two levels."""
    autoencoder = AutoencoderKL(
        sample_size=16,
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        **settings,
    )
    if not settings.get("use_quant_conv", True):
        little_variance(autoencoder)
    return autoencoder


@torch.no_grad()
def little_variance(autoencoder: Any) -> None:
    """Make the posterior narrow, as that of trained autoencoders is."""
    for parameter, constant in (
        (autoencoder.encoder.conv_out.weight, 0.0),
        (autoencoder.encoder.conv_out.bias, -12.0),
    ):
        parameter[len(parameter) // 2 :] = constant


class seeded:  # noqa: N801 - used as a context manager
    """Random weights that are the same each time, without touching the global random state."""

    def __enter__(self) -> None:
        self._fork = torch.random.fork_rng(devices=[])
        self._fork.__enter__()
        torch.manual_seed(0)

    def __exit__(self, *error: object) -> None:
        self._fork.__exit__(*error)
