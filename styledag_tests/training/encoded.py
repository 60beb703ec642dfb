"""Encoded datasets of random moments, made without any model."""

import hashlib
from collections.abc import Mapping

import torch
from diffusers import DDPMScheduler

from styledag.bases.conditioning import Conditioning
from styledag.bases.diffusion_objective import DiffusionObjective
from styledag.bases.latents import LatentScale, Moments
from styledag.bases.texts.clip import STATES
from styledag.training.encoding.dataset import EncodedDataset, EncodedSample

OBJECTIVE = DiffusionObjective(DDPMScheduler())


def encoded_dataset(
    counts: Mapping[str, int],
    *,
    validation: int = 0,
    prior: int = 0,
    variants: int = 1,
    families: int = 0,
    flip: bool = False,
    text_width: int = 16,
) -> EncodedDataset:
    """Return so many images of each width and height, such as ``64x56``.

    Args:
        counts: Images of the style by bucket.
        validation: How many of them are held out, in the order of their ids.
        prior: Images of the prior in each bucket.
        variants: Captions of each image; the first is ``caption 0``.
        families: Families that they belong to by turns; none if 0.
        flip: Whether there are mirrored ones.
        text_width: Width of the text states.
    """
    generator = torch.Generator().manual_seed(0)
    named = sorted(
        (hashlib.sha256(f"{split} {bucket} {number}".encode()).hexdigest(), bucket, split)
        for split, extra in (("style", None), ("prior", prior))
        for bucket, count in counts.items()
        for number in range(count if extra is None else extra)
    )
    rows = dict.fromkeys(counts, 0)
    samples = []
    for sample_id, bucket, kind in named:
        held_out = kind == "style" and sum(each.split == "validation" for each in samples)
        style = "validation" if held_out is not False and held_out < validation else "train"
        samples.append(
            EncodedSample(
                id=sample_id,
                captions=tuple(range(1, 1 + variants)),
                split=kind if kind == "prior" else style,
                family=f"family {len(samples) % families}" if families else "",
                bucket=bucket,
                row=rows[bucket],
            )
        )
        rows[bucket] += 1
    return EncodedDataset(
        samples=tuple(samples),
        captions=("", *(f"caption {at}" for at in range(variants))),
        flip=flip,
        scale=LatentScale(0.5),
        moments={
            bucket: Moments(
                _random(count, bucket, flip, generator), _random(count, bucket, flip, generator)
            )
            for bucket, count in rows.items()
        },
        conditioning=Conditioning(
            {STATES: torch.randn(1 + variants, 77, text_width, generator=generator)}
        ),
    )


def _random(count: int, bucket: str, flip: bool, generator: torch.Generator) -> torch.Tensor:
    width, height = (int(side) // 8 for side in bucket.split("x"))
    return torch.randn(count, 1 + flip, 4, height, width, generator=generator)
