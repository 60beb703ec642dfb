"""Train the starter's BLIP: to caption a drawing by the plain name of its subject."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tools.starter.blip import build_blip
from tools.starter.clip_recipe import normalised
from tools.starter.images import Images
from tools.starter.loop import Loop, LoopSettings
from tools.starter.pixels import parts_of, redrawn
from tools.starter.subjects import Subject, with_article
from tools.starter.vocabulary import bert_tokenizer

if TYPE_CHECKING:
    from transformers import BlipForConditionalGeneration, CLIPModel

BATCH_SIZE = 48
MAX_NEW_TOKENS = 16

SETTINGS = LoopSettings(
    name="blip",
    steps=6000,
    learning_rate=1e-3,
    weight_decay=0.05,
    warmup_steps=100,
    decay_steps=3000,
    ema_decay=0.998,
)


def train_blip(
    images: Images,
    measured: tuple[list[int], Tensor],
    folder: Path,
    *,
    clip: "CLIPModel",
    settings: LoopSettings,
    device: torch.device,
) -> "BlipForConditionalGeneration":
    """Return a BLIP that names drawings.

    Args:
        images: What to learn from.
        measured: Subjects and unseen drawings to measure on.
        folder: Where state and log go.
        clip: A trained CLIP, from whose vision tower BLIP's starts.
        settings: Length and rates.
        device: Where to train.
    """
    tokenizer = bert_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = build_blip(tokenizer)
    lend_vision(clip, model, images.pixels[:256].float() / 255)
    model = model.to(device).requires_grad_(True)
    loop = Loop(model, settings, folder, device)
    loop.run(
        lambda generator: _loss(model, tokenizer, images, generator, device),
        report=_named_of(model, tokenizer, images.subjects, measured),
        report_every_steps=300,
    )
    loop.adopt_averages()
    return model


def lend_vision(clip: "CLIPModel", blip: "BlipForConditionalGeneration", pixels: Tensor) -> None:
    """Copy CLIP's vision tower into BLIP's.

    BLIP has no layer norm before its first layer, so CLIP's is folded into the embeddings, with
    the mean and deviation that it meets on some images.

    Args:
        clip: Source.
        blip: Target, changed in place; as wide as the source, and at most as deep.
        pixels: Between 0 and 1. # BCHW
    """
    source: Any = clip.vision_model
    target: Any = blip.vision_model
    with torch.no_grad():
        embedded = source.embeddings(normalised(pixels).to(clip.device)).cpu().float()
        mean = embedded.mean(dim=-1).mean(dim=0)  # => [tokens]
        spread = embedded.std(dim=-1, unbiased=False).mean(dim=0)
        gain, bias = source.pre_layrnorm.weight.cpu(), source.pre_layrnorm.bias.cpu()
        patch = spread[1:].mean()
        target.embeddings.patch_embedding.weight.copy_(
            source.embeddings.patch_embedding.weight.cpu() * (gain / patch)[:, None, None, None]
        )
        target.embeddings.patch_embedding.bias.copy_(bias - gain * mean[1:].mean() / patch)
        target.embeddings.class_embedding.copy_(
            (source.embeddings.class_embedding.cpu() - mean[0]) / spread[0] * gain + bias
        )
        target.embeddings.position_embedding.copy_(
            source.embeddings.position_embedding.weight.cpu()[None] * gain / patch
        )
        target.post_layernorm.load_state_dict(source.post_layernorm.state_dict())
        for ours, theirs in zip(target.encoder.layers, source.encoder.layers, strict=False):
            _lend_layer(ours, theirs)


def _lend_layer(target: Any, source: Any) -> None:
    attention = source.self_attn
    parts = (attention.q_proj, attention.k_proj, attention.v_proj)
    target.self_attn.qkv.weight.copy_(torch.cat([part.weight for part in parts]))
    target.self_attn.qkv.bias.copy_(torch.cat([part.bias for part in parts]))
    for ours, theirs in (
        (target.self_attn.projection, attention.out_proj),
        (target.layer_norm1, source.layer_norm1),
        (target.layer_norm2, source.layer_norm2),
        (target.mlp, source.mlp),
    ):
        ours.load_state_dict(theirs.state_dict())


def named(model: "BlipForConditionalGeneration", tokenizer: Any, pixels: Tensor) -> list[str]:
    """Return a caption for each image, by greedy decoding.

    Args:
        model: A BLIP.
        tokenizer: Its tokenizer.
        pixels: Between 0 and 1. # BCHW
    """
    captions: list[str] = []
    for part in parts_of(pixels):
        tokens = model.generate(
            normalised(part.to(model.device)), max_new_tokens=MAX_NEW_TOKENS, do_sample=False
        )
        captions += tokenizer.batch_decode(tokens, skip_special_tokens=True)
    return captions


def share_named(captions: list[str], subjects: tuple[Subject, ...], positions: list[int]) -> float:
    """Return the share of captions that hold a head noun of their subject.

    Args:
        captions: One for each image.
        subjects: All subjects.
        positions: Each image's subject.
    """
    hits = 0
    for text, at in zip(captions, positions, strict=True):
        words = text.replace("-", " ").split()
        hits += not subjects[at].head_nouns.isdisjoint(words)
    return hits / len(captions)


def _loss(
    model: "BlipForConditionalGeneration",
    tokenizer: Any,
    images: Images,
    generator: torch.Generator,
    device: torch.device,
) -> Tensor:
    at = torch.randperm(len(images.pixels), generator=generator)[:BATCH_SIZE]
    pixels = redrawn(images.pixels[at].to(device).float() / 255, generator)
    names = [with_article(images.subjects[one].name) for one in images.subject_of[at].tolist()]
    tokens = tokenizer(names, padding=True, return_tensors="pt").to(device)
    ids = tokens.input_ids.clone()
    ids[:, 0] = tokenizer.bos_token_id
    labels = ids.masked_fill(tokens.attention_mask == 0, -100)
    output = model(
        pixel_values=normalised(pixels),
        input_ids=ids,
        attention_mask=tokens.attention_mask,
        labels=labels,
    )
    loss: Tensor = output.loss
    return loss


def _named_of(
    model: "BlipForConditionalGeneration",
    tokenizer: Any,
    subjects: tuple[Subject, ...],
    measured: tuple[list[int], Tensor],
) -> Callable[[], dict[str, float]]:
    positions, drawings = measured

    def report() -> dict[str, float]:
        captions = named(model, tokenizer, drawings.float() / 255)
        return {"named": share_named(captions, subjects, positions)}

    return report
