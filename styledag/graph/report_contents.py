"""Fills the page about a model from the artifacts that it came from."""

import json
from typing import Any

from styledag.captions.records import CaptionedImage
from styledag.collect.records import Origin
from styledag.graph.blends import Blend
from styledag.graph.decoder_stages import decoder_ancestors, decoder_settings
from styledag.graph.graph import Graph
from styledag.graph.lineage import Ancestor, find_ancestor, trace
from styledag.graph.model_stages import TRAINING_LOG
from styledag.graph.names import ModelName
from styledag.graph.plan import Plan
from styledag.graph.report_data import data_section
from styledag.graph.score_stage import grids_of
from styledag.graph.snapshots import read_snapshots
from styledag.manifest import Manifest, read_rows
from styledag.report.model import (
    BlendSection,
    Classifier,
    LineageStep,
    LossLog,
    ModelReport,
    NearestPair,
    Recommendation,
    ScoreRow,
    SnapshotSection,
)
from styledag.report.report import write_report
from styledag.sampling.index import read_frames, read_gifs, read_samples
from styledag.scoring import records
from styledag.scoring.score import NEAREST, SCORES
from styledag.store.artifact import Artifact, Facts
from styledag.store.workspace import Workspace

_NEAREST = 12


def write_model_report(graph: Graph, plan: Plan, workspace: Workspace) -> Facts:
    """Write the page about a model."""
    return write_report(_report(graph, plan), workspace.folder)


def _report(graph: Graph, plan: Plan) -> ModelReport:
    model = plan.upstream["ema_unet"]
    samples = plan.style.samples
    scores = read_rows(plan.folder("scores") / SCORES, records.ScoreRow)
    ancestors = trace(graph.store, model)
    ancestors += decoder_ancestors(graph, plan, ancestors)
    facts = plan.upstream["scores"].facts
    recipe: dict[str, Any] = {**model.build.settings["Recipe"], **decoder_settings(plan)}
    return ModelReport(
        model=str(ModelName.parse(model.partition)),
        description=plan.style.description,
        version=model.version,
        prompts=samples.prompts,
        seeds=samples.seeds,
        data=data_section(ancestors),
        recommended=_recommendation(scores, facts["rule"]),
        blends=_blends(plan),
        block_weights=plan.style.blends.block_weights,
        snapshots=_snapshots(plan),
        evolution=_gifs(plan, "evolution", None),
        denoising=_gifs(plan, "denoising", samples.seeds[0]),
        loss=_loss(model),
        scores=tuple(_score_row(row) for row in scores),
        classifier=_classifier(plan),
        score_notes=tuple(facts["notes"]),
        nearest=_nearest(graph, plan, scores),
        copy_similarity=facts["copying_threshold"],
        recipe=recipe,
        lineage=tuple(_step(each) for each in reversed(ancestors)),
    )


def _recommendation(scores: list[records.ScoreRow], rule: str) -> Recommendation | None:
    for row in scores:
        if row.recommended:
            return Recommendation(
                name=row.name, rule=rule, weight=row.weight, epoch=row.epoch, length=row.length
            )
    return None


def _classifier(plan: Plan) -> Classifier | None:
    asked = plan.style.scores.classifier
    if asked is None:
        return None
    return Classifier(name=asked.model, label=asked.label, prompts=asked.prompts)


def _blends(plan: Plan) -> tuple[BlendSection, ...]:
    return tuple(
        BlendSection(
            weight=blend.weight,
            length=blend.length,
            amount=grid.facts["amount"],
            samples=read_samples(grid.folder),
        )
        for blend, grid in grids_of(plan).items()
    )


def _snapshots(plan: Plan) -> tuple[SnapshotSection, ...]:
    frames = read_frames(plan.folder("evolution"))
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
            for each in read_snapshots(plan.upstream["ema_unet"])
        ),
    )


def _gifs(plan: Plan, asset: str, seed: int | None) -> dict[str, Any]:
    gifs = read_gifs(plan.folder(asset))
    return {prompt: gifs[prompt, seed] for prompt in plan.style.samples.prompts}


def _loss(model: Artifact) -> LossLog:
    log = json.loads((model.folder / TRAINING_LOG).read_text(encoding="utf-8"))
    return LossLog(
        steps=tuple(step["step"] for step in log),
        losses=tuple(step["loss"] for step in log),
        steps_per_epoch=len(log) / model.facts["epochs"],
    )


def _score_row(row: records.ScoreRow) -> ScoreRow:
    return ScoreRow(
        name=row.name,
        kind="blend" if row.kind == "blend" else "checkpoint",
        weight=row.weight,
        epoch=row.epoch,
        length=row.length,
        amount=row.amount,
        style=row.style.value,
        style_low=row.style.low,
        style_high=row.style.high,
        cmmd=row.cmmd.value,
        retention=row.retention.value,
        retention_low=row.retention.low,
        retention_high=row.retention.high,
        text_similarity=row.text_similarity.value,
        copying=row.copying.value,
        diversity=row.diversity,
        taken_for_style=row.taken_for_style.value,
        taken_for_style_low=row.taken_for_style.low,
        taken_for_style_high=row.taken_for_style.high,
        on_front=row.on_front,
    )


def _nearest(graph: Graph, plan: Plan, scores: list[records.ScoreRow]) -> tuple[NearestPair, ...]:
    """Return the images of what is recommended beside what they are most like."""
    shown = next((row for row in scores if row.recommended), scores[-1])
    if shown.weight is not None:
        grid = grids_of(plan)[Blend(shown.weight, shown.length)]
        samples = read_samples(grid.folder)
    else:
        samples = read_frames(plan.folder("evolution"))[shown.epoch or 0]
    captions = find_ancestor(graph.store, plan.upstream["ema_unet"], "captions")
    origins = _origins(captions)
    rows = read_rows(plan.folder("scores") / NEAREST, records.NearestRow)
    most_alike = sorted(
        (row for row in rows if row.name == shown.name), key=lambda row: -row.similarity
    )
    return tuple(
        NearestPair(
            sample=samples[row.prompt, row.seed],
            prompt=row.prompt,
            seed=row.seed,
            training_jpeg=graph.store.blobs.read(row.training_sha256),
            similarity=row.similarity,
            url=origins[row.training_sha256].url,
            title=origins[row.training_sha256].title,
            is_copy=row.is_copy,
        )
        for row in most_alike[:_NEAREST]
    )


def _origins(captions: Artifact) -> dict[str, Origin]:
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
