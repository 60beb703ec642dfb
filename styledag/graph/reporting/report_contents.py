"""Fills the page about a model from what it is made of."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any

from styledag.captions.records import CaptionedImage
from styledag.collect.records import Origin
from styledag.graph.blending.swept import SWEEP, base_share_of
from styledag.graph.blends import Blend, amount_of
from styledag.graph.lineage import Ancestor, nearest, sources_first, trace_among
from styledag.graph.reporting.report_data import data_section
from styledag.graph.reporting.reported_samples import samples_by_name
from styledag.graph.snapshots import TRAINING_LOG, read_snapshots
from styledag.graph.stage import Inputs
from styledag.graph.tracing.difference import changes_between
from styledag.manifest import Manifest, read_rows
from styledag.merging.blend import blend_amount
from styledag.merging.settings import BlendSettings
from styledag.report.model import (
    BlendSection,
    DrawnFamily,
    FormerModel,
    LineageStep,
    LossLog,
    ModelReport,
    NearestPair,
    Recommendation,
    SnapshotSection,
    UntrainedBase,
)
from styledag.report.wording import number
from styledag.sampling.index import read_frames, read_gifs, read_samples, read_swept
from styledag.sampling.settings import SampleSettings
from styledag.scoring import records
from styledag.scoring.records import styled
from styledag.scoring.score import (
    CLASSIFIER,
    FAMILIES,
    IP_ADAPTER,
    NEAREST,
    SCORER,
    SCORES,
    STYLE_PROMPT,
    read_summary,
)
from styledag.store.artifact import Artifact
from styledag.store.workspace import Workspace

_NEAREST = 12
_SHOWN_OF_FAMILY = 3


def model_report(inputs: Inputs, workspace: Workspace) -> ModelReport:
    """Return what the page about a model shows."""
    model, settings = inputs.upstream["ema_unet"], inputs.settings
    samples = settings.of(SampleSettings)
    scores = read_rows(inputs.folder("scores") / SCORES, records.ScoreRow)
    summary = read_summary(inputs.folder("scores"))
    recipe: dict[str, Any] = dict(model.build.settings["Recipe"])
    if settings["decoder"] is not None:
        recipe["decoder"] = asdict(settings["decoder"])
    return ModelReport(
        model=inputs.partition.key,
        description=settings["description"],
        version=model.version,
        prompts=samples.prompts,
        seeds=samples.seeds,
        data=data_section(inputs.ancestors),
        recommended=_recommendation(scores, summary["rule"]),
        blends=_blends(inputs),
        block_weights=settings.of(BlendSettings).block_weights,
        snapshots=_snapshots(inputs),
        evolution=_gifs(inputs, "evolution", samples.prompts, None),
        denoising=_gifs(inputs, "denoising", samples.prompts, samples.seeds[0]),
        loss=_loss(model),
        scores=tuple(scores),
        scorer=settings["scorer"],
        scorer_gap=records.Estimate(**summary["gaps"].get(SCORER, {})),
        classifier_gap=records.Estimate(**summary["gaps"].get(CLASSIFIER, {})),
        other_styles=tuple(summary.get("other_styles", ())),
        classifier=settings["classifier"],
        untrained=_untrained(inputs, samples.prompts),
        families_drawn=_families_drawn(inputs, workspace),
        score_notes=tuple(summary["notes"]),
        nearest=_nearest(inputs, workspace, scores),
        copy_similarity=summary["copying_threshold"],
        recipe=recipe,
        former=_former(inputs),
        lineage=tuple(_step(each) for each in sources_first(inputs.ancestors)),
    )


def _former(inputs: Inputs) -> FormerModel | None:
    """Return the model that this one follows; ``None`` for a first one."""
    if not inputs.former:
        return None
    model, scores = (nearest(inputs.former, asset) for asset in ("ema_unet", "scores"))
    ours = trace_among(inputs.ancestors, inputs.upstream["ema_unet"])
    # A remote store would have all images of both datasets copied.
    changes: tuple[str, ...] = ("not compared in a remote store",)
    if model.files.is_local:
        changes = changes_between(trace_among(inputs.former, model), ours)
    summary = read_summary(scores.folder)
    return FormerModel(
        version=model.version,
        changes=changes,
        shown=records.shown_row(read_rows(scores.folder / SCORES, records.ScoreRow)),
        training_images=summary["training_images"],
    )


def _recommendation(scores: list[records.ScoreRow], rule: str) -> Recommendation | None:
    for row in scores:
        if row.recommended:
            return Recommendation(name=row.name, rule=rule)
    return None


def _untrained(inputs: Inputs, prompts: Sequence[str]) -> tuple[UntrainedBase, ...]:
    scores, found = inputs.folder("scores"), []
    words, adapter = inputs.settings["style_prompt"], inputs.settings["ip_adapter"]
    if words is not None:
        drawn = read_samples(scores / STYLE_PROMPT)
        told = {styled(prompt, words): prompt for prompt in prompts}
        samples = {(told[prompt], seed): path for (prompt, seed), path in drawn.items()}
        found.append(
            UntrainedBase(kind="prompt", given=f"“{words}” added to each", samples=samples)
        )
    if adapter is not None:
        shown = "a training image" if adapter.images == 1 else f"{adapter.images} training images"
        found.append(
            UntrainedBase(
                kind="ip_adapter",
                given=f"{shown} beside each, by {PurePosixPath(adapter.weights).stem} "
                f"at scale {number(adapter.scale, 2)}",
                samples=read_samples(scores / IP_ADAPTER),
            )
        )
    return tuple(found)


def _families_drawn(inputs: Inputs, workspace: Workspace) -> tuple[DrawnFamily, ...]:
    """Return each family by the row that shows it most, the most frequent first."""
    rows = read_rows(inputs.folder("scores") / FAMILIES, records.FamilyRow)
    most: dict[str, records.FamilyRow] = {}
    for row in sorted(rows, key=lambda row: -(row.share.value or 0)):
        most.setdefault(row.family, row)
    samples = samples_by_name(inputs.upstream)
    origins = _origins(inputs.ancestors)
    return tuple(
        DrawnFamily(
            medoid_jpeg=workspace.blobs.read(row.family),
            images=row.images,
            title=origins[row.family].title if row.family in origins else "",
            row=row.name,
            share=row.share.value or 0.0,
            samples=tuple(
                (prompt, samples[row.name][prompt, seed])
                for prompt, seed in list(zip(row.prompts, row.seeds, strict=True))[
                    :_SHOWN_OF_FAMILY
                ]
            ),
        )
        for row in most.values()
    )


def _blends(inputs: Inputs) -> tuple[BlendSection, ...]:
    merged = inputs.every("merged_unet")
    sections = []
    for key, grid in inputs.every("sample_grid").items():
        blend = Blend.parse(key)
        sections.append(
            BlendSection(
                name=blend.name,
                weight=None if blend.mixed else blend.weight,
                length=blend.length,
                amount=amount_of(merged[key].folder),
                samples=read_samples(grid.folder),
            )
        )
    if SWEEP in inputs.upstream:
        share = base_share_of(inputs)
        sections += [
            BlendSection(
                name=Blend(weight=weight).name,
                weight=weight,
                amount=blend_amount(weight, share),
                samples=samples,
            )
            for weight, samples in read_swept(inputs.folder(SWEEP)).items()
        ]
    # Of blends by weight, those of a sweep stand between those that are stored.
    return tuple(
        sorted(sections, key=lambda each: (each.weight is None, each.length or 0, each.weight or 0))
    )


def _snapshots(inputs: Inputs) -> tuple[SnapshotSection, ...]:
    frames = read_frames(inputs.folder("evolution"))
    base = SnapshotSection(epoch=0, base_share=1.0, samples=frames[0])
    return (
        base,
        *(
            SnapshotSection(
                epoch=each.epoch,
                loss=each.loss,
                validation_loss=each.validation_loss,
                base_share=each.base_share,
                samples=frames[each.epoch],
            )
            for each in read_snapshots(inputs.upstream["ema_unet"])
        ),
    )


def _gifs(inputs: Inputs, asset: str, prompts: Sequence[str], seed: int | None) -> dict[str, Any]:
    gifs = read_gifs(inputs.folder(asset))
    return {prompt: gifs[prompt, seed] for prompt in prompts}


def _loss(model: Artifact) -> LossLog:
    log = json.loads((model.folder / TRAINING_LOG).read_text(encoding="utf-8"))
    return LossLog(
        steps=tuple(step["step"] for step in log),
        losses=tuple(step["loss"] for step in log),
        steps_per_epoch=len(log) / log[-1]["epoch"],
    )


def _nearest(
    inputs: Inputs, workspace: Workspace, scores: list[records.ScoreRow]
) -> tuple[NearestPair, ...]:
    """Return the images of what is recommended beside what they are most like."""
    shown = records.shown_row(scores)
    samples = samples_by_name(inputs.upstream)[shown.name]
    origins = _origins(inputs.ancestors)
    rows = read_rows(inputs.folder("scores") / NEAREST, records.NearestRow)
    most_alike = sorted(
        (row for row in rows if row.name == shown.name), key=lambda row: -row.similarity
    )
    return tuple(
        NearestPair(
            sample=samples[row.prompt, row.seed],
            prompt=row.prompt,
            seed=row.seed,
            training_jpeg=workspace.blobs.read(row.training_sha256),
            similarity=row.similarity,
            url=origins[row.training_sha256].url,
            title=origins[row.training_sha256].title,
            is_copy=row.is_copy,
        )
        for row in most_alike[:_NEAREST]
    )


def _origins(ancestors: Sequence[Ancestor]) -> dict[str, Origin]:
    captions = next(
        each.artifact for each in ancestors if each.artifact and each.input.name == "captions"
    )
    rows = Manifest.read(captions.folder, CaptionedImage).rows
    return {row.image.sha256: row.image.origin for row in rows}


def _step(ancestor: Ancestor) -> LineageStep:
    return LineageStep(
        asset=ancestor.input.name,
        partition=ancestor.input.partition,
        version=ancestor.input.version,
        code_version=ancestor.artifact.build.code_version if ancestor.artifact else "",
        inputs=ancestor.artifact.build.inputs if ancestor.artifact else (),
    )
