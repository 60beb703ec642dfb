"""Train the starter's CLIP: names and drawings of the same subject find each other."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from tools.starter.clip import build_clip
from tools.starter.images import DRAWN_ARTISTS, Images
from tools.starter.loop import Loop, LoopSettings
from tools.starter.pixels import parts_of, redrawn
from tools.starter.subjects import Subject, with_article
from tools.starter.vocabulary import clip_tokenizer
from tools.starter.wording import MANNERS, caption

if TYPE_CHECKING:
    from transformers import CLIPModel

BATCH_SUBJECTS = 48
BOTH_ARTISTS = 12
"""Of a batch's subjects, how many Noto and Fluent both show, so that the manner is learned too."""
OTHER_NAMES = 120
"""How many names of subjects outside the batch are negatives as well."""
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's own normalisation, which its image processor applies."""

SETTINGS = LoopSettings(
    name="clip", steps=4000, learning_rate=1e-3, weight_decay=0.1, decay_steps=2000, ema_decay=0.998
)
JUDGE = LoopSettings(
    name="judge",
    steps=1500,
    learning_rate=1e-3,
    weight_decay=0.1,
    decay_steps=500,
    ema_decay=0.998,
    seed=17,
)


def train_clip(
    images: Images,
    measured: tuple[list[int], Tensor],
    folder: Path,
    *,
    settings: LoopSettings,
    device: torch.device,
    shown: Tensor | None = None,
) -> "CLIPModel":
    """Return a CLIP that was trained contrastively on drawings and names.

    Args:
        images: What to learn from.
        measured: Subjects and unseen drawings to measure on.
        folder: Where state and log go.
        settings: Length and rates.
        device: Where to train.
        shown: Which drawings may be shown; all, if not given. # B, bool
    """
    tokenizer = clip_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = build_clip(tokenizer).to(device).requires_grad_(True)
    position = images.position
    if shown is not None:
        hidden = (position >= 0) & ~shown[position.clamp(min=0)]
        position = position.masked_fill(hidden, -1)
    # Written out, attention's backward pass is faster on a CPU than torch's own.
    model.set_attn_implementation("eager")
    loop = Loop(model, settings, folder, device)
    loop.run(
        lambda generator: contrastive_loss(model, tokenizer, images, position, generator, device),
        report=_top_of(model, tokenizer, images.subjects, measured, device),
        report_every_steps=250,
    )
    loop.adopt_averages()
    return model


def contrastive_loss(
    model: "CLIPModel",
    tokenizer: Any,
    images: Images,
    position: Tensor,
    generator: torch.Generator,
    device: torch.device,
) -> Tensor:
    """Return CLIP's loss on a random batch: no two subjects alike, but by two artists for some.

    Args:
        model: A CLIP.
        tokenizer: Its tokenizer.
        images: What to show.
        position: Drawings by subject and artist, or -1. # [subjects, artists]
        generator: Decides which, their captions and how they are changed.
        device: Where the model is.
    """
    usable = (position >= 0).any(dim=1).nonzero()[:, 0]
    usable = usable[torch.randperm(len(usable), generator=generator)]
    chosen, others = usable[:BATCH_SUBJECTS], usable[BATCH_SUBJECTS:][:OTHER_NAMES]
    at, captions = [], []
    for rank, subject in enumerate(chosen.tolist()):
        both = rank < BOTH_ARTISTS and bool((position[subject, :DRAWN_ARTISTS] >= 0).all())
        if both:
            artists = list(range(DRAWN_ARTISTS))
        else:
            drew = (position[subject] >= 0).nonzero()[:, 0]
            artists = [int(drew[torch.randint(len(drew), (), generator=generator)])]
        for one in artists:
            at.append(int(position[subject, one]))
            shown_subject = images.subjects[subject]
            captions.append(caption(shown_subject, MANNERS[one], generator, named=both))
    pixels = redrawn(images.pixels[at].to(device).float() / 255, generator)
    captions += [with_article(images.subjects[one].name) for one in others.tolist()]
    tokens = tokenizer(captions, padding=True, return_tensors="pt").to(device)
    output = model(pixel_values=normalised(pixels), **tokens)
    logits = output.logits_per_image.float()
    same = torch.arange(len(logits), device=device)
    return (
        functional.cross_entropy(logits, same, label_smoothing=0.05)
        + functional.cross_entropy(logits[:, : len(logits)].T, same, label_smoothing=0.05)
    ) / 2


def normalised(pixels: Tensor) -> Tensor:
    """Return images as CLIP and BLIP expect them.

    Args:
        pixels: Between 0 and 1. # BCHW
    """
    mean = pixels.new_tensor(MEAN)[:, None, None]
    return (pixels - mean) / pixels.new_tensor(STD)[:, None, None]


def name_embeddings(model: "CLIPModel", tokenizer: Any, subjects: tuple[Subject, ...]) -> Tensor:
    """Return a unit vector for each subject's plain name; [subjects, width]."""
    device = model.device
    names = [with_article(subject.name) for subject in subjects]
    tokens = tokenizer(names, padding=True, return_tensors="pt").to(device)
    with torch.no_grad():
        return functional.normalize(model.get_text_features(**tokens).pooler_output.float(), dim=-1)


def image_embeddings(model: "CLIPModel", pixels: Tensor) -> Tensor:
    """Return a unit vector for each image.

    Args:
        model: A CLIP.
        pixels: Between 0 and 1. # BCHW
    """
    parts = []
    with torch.no_grad():
        for part in parts_of(pixels):
            features = model.get_image_features(pixel_values=normalised(part.to(model.device)))
            parts.append(functional.normalize(features.pooler_output.float(), dim=-1))
    return torch.cat(parts)


def top_share(images: Tensor, names: Tensor, right: Tensor, *, top: int = 5) -> float:
    """Return the share of images of which the right name is among the nearest.

    Args:
        images: Unit vectors. # [images, width]
        names: Unit vectors. # [names, width]
        right: Each image's name. # [images]
        top: How many names count as nearest.
    """
    nearest = (images @ names.T).topk(top, dim=1).indices
    return float((nearest == right[:, None]).any(dim=1).float().mean())


def _top_of(
    model: "CLIPModel",
    tokenizer: Any,
    subjects: tuple[Subject, ...],
    measured: tuple[list[int], Tensor],
    device: torch.device,
) -> Callable[[], dict[str, float]]:
    positions, drawings = measured
    chosen = tuple(subjects[at] for at in positions)
    right = torch.arange(len(chosen), device=device)

    def report() -> dict[str, float]:
        names = name_embeddings(model, tokenizer, chosen)
        found = image_embeddings(model, drawings.float() / 255)
        return {
            "top5": top_share(found, names, right),
            "top1": top_share(found, names, right, top=1),
        }

    return report
