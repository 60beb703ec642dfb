"""A small report with everything in it, on images made for it."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from styledag.report.data import CaptionSample, DataSection, Family, SourceCount, StageCount
from styledag.report.model import (
    BlendSection,
    FormerModel,
    LineageStep,
    LossLog,
    ModelReport,
    NearestPair,
    Recommendation,
    SnapshotSection,
)
from styledag.scoring.records import Estimate, ScoreRow
from styledag.store.artifact import Input

PROMPTS = ("a red fox", "a lighthouse at night")
SEEDS = (0, 1, 7)
WEIGHTS = (0.0, 0.5, 1.0)
EPOCHS = (0, 1, 2)


def image(name: str, size_px: int = 24) -> Image.Image:
    """An image of noise that follows from its name."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    noise = np.random.default_rng(seed).integers(0, 256, (size_px, size_px, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def png(folder: Path, name: str, size_px: int = 24) -> Path:
    path = folder / f"{name}.png"
    image(name, size_px).save(path)
    return path


def jpeg(name: str, size_px: int = 24) -> bytes:
    buffer = io.BytesIO()
    image(name, size_px).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def gif(folder: Path, name: str, frames: int = 4, size_px: int = 24) -> Path:
    path = folder / f"{name}.gif"
    first, *others = [image(f"{name}{index}", size_px) for index in range(frames)]
    first.save(path, save_all=True, append_images=others, duration=80, loop=0)
    return path


def samples(folder: Path, name: str, size_px: int = 24) -> Mapping[tuple[str, int], Path]:
    return {
        (prompt, seed): png(folder, f"{name}-{index}-{seed}", size_px)
        for index, prompt in enumerate(PROMPTS)
        for seed in SEEDS
    }


def version(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def example_report(folder: Path, size_px: int = 24) -> ModelReport:
    blends = tuple(
        BlendSection(
            name=f"weight {weight:.2f}",
            weight=weight,
            amount=0.8 * weight,
            samples=samples(folder, f"w{weight}", size_px),
        )
        for weight in WEIGHTS
    )
    snapshots = tuple(
        SnapshotSection(
            epoch=epoch,
            loss=0.2 - 0.01 * epoch if epoch else None,
            validation_loss=0.25 - 0.01 * epoch,
            base_share=1 - 0.4 * epoch,
            samples=samples(folder, f"e{epoch}", size_px),
        )
        for epoch in EPOCHS
    )
    return ModelReport(
        model="twemoji.full",
        description="Flat, friendly emoji.",
        version=version("ema_unet"),
        prompts=PROMPTS,
        seeds=SEEDS,
        data=example_data(),
        recommended=Recommendation(name="weight 0.50", rule="It is nearest to the style."),
        blends=blends,
        snapshots=snapshots,
        evolution={prompt: gif(folder, f"evo{i}") for i, prompt in enumerate(PROMPTS)},
        denoising={prompt: gif(folder, f"den{i}") for i, prompt in enumerate(PROMPTS)},
        loss=LossLog(steps=(1, 2, 3, 4), losses=(0.3, 0.25, 0.22, 0.2), steps_per_epoch=2),
        scores=example_scores(),
        former=FormerModel(
            version=version("former"),
            changes=("12 images added", "<b>epochs</b>: 1 is now 2"),
            shown=replace(example_scores()[2], style_learned=Estimate(0.15, 0.14, 0.16)),
            training_images=340,
        ),
        scorer="data/starter/clip",
        nearest=(
            NearestPair(
                sample=blends[1].samples[PROMPTS[0], 0],
                prompt=PROMPTS[0],
                seed=0,
                training_jpeg=jpeg("nearest"),
                similarity=0.97,
                url="https://example.org/wiki/fox",
                title="Fox",
                is_copy=True,
            ),
        ),
        copy_similarity=0.95,
        recipe={"trained": "unet", "learning_rate": 1e-4, "ema": {"mode": "base"}},
        lineage=(
            LineageStep(
                asset="captions", partition="twemoji", version=version("captions"), code_version="3"
            ),
            LineageStep(
                asset="ema_unet",
                partition="twemoji.full",
                version=version("ema_unet"),
                code_version="1",
                inputs=(
                    Input(name="captions", partition="twemoji", version=version("captions")),
                    Input(name="base", partition="data/starter", version=version("base")),
                ),
            ),
        ),
    )


def with_length(report: ModelReport, folder: Path) -> ModelReport:
    """Add an average of length 0.15 as one more blend, scored above all others."""
    blend = BlendSection(
        name="length 0.150",
        weight=1.0,
        length=0.15,
        amount=1.0,
        samples=samples(folder, "l0.15"),
    )
    score = replace(
        report.scores[-2],
        name="length 0.150",
        length=0.15,
        amount=1.0,
        style_learned=replace(report.scores[-2].style_learned, value=0.9),
    )
    return replace(report, blends=(*report.blends, blend), scores=(*report.scores, score))


def score_row(name: str, kind: str, **scores: Any) -> ScoreRow:
    """A row with some scores and no others."""
    unknown = Estimate()
    row = ScoreRow(
        place=0,
        name=name,
        kind=kind,
        weight=None,
        epoch=None,
        length=None,
        amount=0.0,
        samples=0,
        style_learned=unknown,
        base_remembered=unknown,
        cmmd=unknown,
        kid=unknown,
        style=unknown,
        retention=unknown,
        text_similarity=unknown,
        text_retention=None,
        copying=unknown,
        diversity=None,
        taken_for_style=unknown,
    )
    return replace(row, **scores)


def example_scores() -> tuple[ScoreRow, ...]:
    blends = (
        score_row(
            f"weight {weight:.2f}",
            "blend",
            weight=weight,
            amount=0.8 * weight,
            style_learned=Estimate(0.2 * weight, 0.2 * weight - 0.01, 0.2 * weight + 0.01),
            base_remembered=Estimate(1 - 0.3 * weight),
            style=Estimate(0.2 + 0.5 * weight, 0.1 + 0.5 * weight, 0.3 + 0.5 * weight),
            retention=Estimate(0.95 - 0.1 * weight),
            copying=Estimate(0.02),
            diversity=0.4,
            taken_for_style=Estimate(0.7 * weight),
            on_front=True,
        )
        for weight in WEIGHTS
    )
    dominated = score_row(
        "epoch 1",
        "checkpoint",
        epoch=1,
        style_learned=Estimate(0.05),
        base_remembered=Estimate(0.6),
        cmmd=Estimate(0.9),
    )
    return (*blends, dominated)


def example_data() -> DataSection:
    return DataSection(
        stages=(
            StageCount(stage="raw_images", found=12, kept=10, rejected={"not_found": 2}),
            StageCount(stage="jpeg_images", found=10, kept=10),
        ),
        families=(Family(medoid_jpeg=jpeg("family"), size=24, title="one o'clock"),),
        caption_sources={"captioner": 6, "title": 2},
        compared_captions=20,
        agreeing_captions=13,
        captions=(
            CaptionSample(
                jpeg=jpeg("caption"),
                caption="a drawing of a fox",
                source="blip",
                url="https://example.org/wiki/fox",
                title="Fox",
            ),
        ),
        licences={"CC BY 4.0": 9, "unknown": 1},
        sources=(SourceCount(address="https://example.org/", kind="html", images=10),),
        training_images=9,
        validation_images=1,
    )
