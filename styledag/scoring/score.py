"""Every checkpoint and blend judged: style, retention, copying, and the one to take."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from styledag.errors import DataError
from styledag.images.embedding import Embedder
from styledag.images.looks import embed_jpegs
from styledag.images.similarity import Float32
from styledag.manifest import write_rows
from styledag.sampling.index import Pair
from styledag.scoring.classifier import StyleClassifier
from styledag.scoring.copying import copying_threshold
from styledag.scoring.discrimination import discrimination_gap, embedding_nearness, least
from styledag.scoring.embeddings import SampleFiles, Scorer, text_embeddings
from styledag.scoring.families import families_drawn
from styledag.scoring.judge import Judge
from styledag.scoring.pareto import RULE, balances, pareto_front, recommended
from styledag.scoring.records import (
    UNTRAINED,
    BaseScores,
    Candidate,
    Estimate,
    FamilyRow,
    NearestRow,
    ScoreRow,
    rounded,
)
from styledag.scoring.settings import ScoreSettings
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace

CODE_VERSION = "8"
SCORES = "scores.parquet"
NEAREST = "nearest.parquet"
FAMILIES = "families.parquet"
SUMMARY = "scores.json"
STYLE_PROMPT = "style_prompt"
"""Folder of the images that the base draws with the style prompt, beside these files."""
IP_ADAPTER = "ip_adapter"
"""The same of those that it draws with the IP-Adapter."""
SCORER, CLASSIFIER = "scorer", "classifier"
"""Names of the scores beside the base's, under which their discrimination gaps are summarised."""

_MIN_HELDOUT = 2
NO_HELDOUT = (
    "fewer than two images were held out of training (dataset.validation_share): what was learned "
    "of the style and what is copied cannot be told, and nothing is recommended"
)
NOT_LEARNED = (
    "no blend and no checkpoint has learned of the style beyond the error, so none is recommended: "
    "train longer or at a higher rate, or hold out more images"
)
NO_STYLE = "style needs two samples of each model and two images of the style: it has no score"
BASE_IN_STYLE = (
    "the base's images are no further from the style's than these are from one another: how "
    "much nearer a model comes has no measure"
)


def read_summary(folder: Path) -> dict[str, Any]:
    """Return what an artifact of scores states of all its rows together."""
    summary: dict[str, Any] = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    return summary


def score_model(
    candidates: Sequence[Candidate],
    *,
    base_scores: Mapping[str, BaseScores],
    base_samples: Mapping[Pair, Path],
    style_train: Mapping[str, str],
    style_heldout: Mapping[str, str],
    scorer: Scorer,
    settings: ScoreSettings,
    workspace: Workspace,
    classifier: StyleClassifier | None = None,
    other_styles: Mapping[str, Mapping[str, str]] | None = None,
    mirrored: bool = False,
) -> Facts:
    """Judge blends and checkpoints by their images and return the recommendation.

    Writes ``scores.parquet`` (:class:`~styledag.scoring.records.ScoreRow`), ``nearest.parquet``
    (:class:`~styledag.scoring.records.NearestRow`), ``families.parquet``
    (:class:`~styledag.scoring.records.FamilyRow`) and ``scores.json``, the summary.

    Args:
        candidates: Blends and checkpoints with the images that they drew.
        base_scores: What the base's denoising loss says of each candidate, by its name.
        base_samples: The base's own image of every prompt and seed.
        style_train: The family of each training image by its blob, JPEG.
        style_heldout: The same of the style's images that were held out of training.
        scorer: Embeds images and texts.
        settings: The copying percentile and the batch size.
        workspace: Holds the blobs, and takes the scores.
        classifier: Says what it takes for the style, if there is one.
        other_styles: The family of each held-out image of further styles, by style and blob.
        mirrored: Whether training saw mirror images too, of which copies are looked for then.

    Raises:
        DataError: If there is no candidate or no image of the style, or the base lacks a
            image of a candidate's prompt and seed.
        ModelError: If scorer or classifier cannot be loaded, or gives NaN, or if the classifier
            has no such label.
        StorageError: If an image's file is missing.
    """
    _check(candidates, base_samples, style_train, style_heldout)
    files = SampleFiles(workspace, scorer, settings.batch_size)
    base = dict(zip(base_samples, files.embed(list(base_samples.values())), strict=True))
    training = embed_jpegs(list(style_train), scorer, workspace)
    heldout = embed_jpegs(list(style_heldout), scorer, workspace)
    seen, seen_ids = training, list(style_train)
    if mirrored:
        seen = np.concatenate([seen, embed_jpegs(seen_ids, scorer, workspace, mirrored=True)])
        seen_ids = 2 * seen_ids
    threshold = None
    if len(heldout) >= _MIN_HELDOUT and len(seen):
        threshold = copying_threshold(heldout, seen, settings.copying_percentile)
    prompts = [prompt for prompt, _ in base_samples]
    read = [
        each for each in dict.fromkeys(prompts) if scorer.reads_text and scorer.reads_whole(each)
    ]
    judge = Judge(
        reference=heldout if len(heldout) >= _MIN_HELDOUT else training,
        training=seen,
        training_ids=seen_ids,
        threshold=threshold,
        base=base,
        prompts=text_embeddings(read, scorer, workspace, batch_size=settings.batch_size)
        if read
        else {},
    )
    rows, nearest, families = [], [], []
    for place, candidate in enumerate(candidates):
        paths = list(candidate.samples.values())
        samples = files.embed(paths)
        taken = {} if classifier is None else _taken(candidate, classifier, workspace)
        by_base = base_scores[candidate.name]
        rows.append(judge.row(place, candidate, samples, by_base, taken))
        sha256s = [files.sha256(path) for path in paths]
        nearest += judge.nearest_rows(candidate, sha256s, samples)
        if candidate.amount > 0:
            families += families_drawn(
                candidate.name,
                list(candidate.samples),
                samples,
                np.stack([base[pair] for pair in candidate.samples]),
                training,
                list(style_train.values()),
            )
    rows = _compared(rows)
    others = other_styles or {}
    shown = [_Others(np.stack(list(base.values())), prompts)]
    shown += [_Others.of(each, scorer, workspace) for each in others.values()]
    gaps = {SCORER: _scorer_gap(shown, heldout, training, style_heldout)}
    if classifier is not None:
        drawn = SampleFiles(workspace, classifier, classifier.batch_size, work="classifications")
        shown = [_Others(drawn.embed(list(base_samples.values())), prompts)]
        shown += [_Others.of(each, classifier, workspace) for each in others.values()]
        gaps[CLASSIFIER] = _classifier_gap(shown, classifier, style_heldout, workspace)
    notes = _notes(rows, heldout, candidates)
    if scorer.reads_text and len(read) < len(set(prompts)):
        notes.append(
            f"{len(set(prompts)) - len(read)} of {len(set(prompts))} prompts are longer than the "
            "scorer reads: how well their images show them is not measured"
        )
    write_rows(workspace.folder / SCORES, rows, ScoreRow)
    write_rows(workspace.folder / NEAREST, nearest, NearestRow)
    write_rows(workspace.folder / FAMILIES, families, FamilyRow)
    facts = {
        "recommended": next((row.name for row in rows if row.recommended), None),
        "rule": RULE,
        "notes": notes,
        "candidates": len(rows),
        "style_reference": "held-out" if len(heldout) >= _MIN_HELDOUT else "training",
        "training_images": len(training),
        "heldout_images": len(heldout),
        "copying_threshold": None if threshold is None else round(threshold, 5),
        "copies": sum(row.is_copy is True for row in nearest),
        "families_drawn": len({row.family for row in families}),
        "gaps": {name: asdict(gap) for name, gap in gaps.items()},
        **({"other_styles": sorted(others)} if others else {}),
        "scorer": scorer.version,
        "classifier": None if classifier is None else classifier.version,
    }
    summary = {**facts, "scores": [asdict(row) for row in rows]}
    (workspace.folder / SUMMARY).write_text(
        json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return facts


@dataclass(frozen=True)
class _Others:
    """Images that are not of the style.

    Attributes:
        rows: What a model sees in each.
        groups: The prompt or the family of each; those of one are resampled together.
    """

    rows: Float32
    groups: Sequence[str]

    @classmethod
    def of(cls, images: Mapping[str, str], model: Embedder, workspace: Workspace) -> "_Others":
        """Return another style's images, given the family of each by its blob."""
        return cls(embed_jpegs(list(images), model, workspace), list(images.values()))


def _scorer_gap(
    others: Sequence[_Others],
    heldout: Float32,
    training: Float32,
    style_heldout: Mapping[str, str],
) -> Estimate:
    if len(heldout) < _MIN_HELDOUT or not len(training):
        return Estimate()
    pool = np.concatenate([heldout, *(each.rows for each in others)])
    of_style, *of_others = (
        embedding_nearness(rows, training, pool)
        for rows in (heldout, *(each.rows for each in others))
    )
    families = list(style_heldout.values())
    return least(
        [
            discrimination_gap(of_style, nearness, families, each.groups, SCORER)
            for each, nearness in zip(others, of_others, strict=True)
        ]
    )


def _classifier_gap(
    others: Sequence[_Others],
    classifier: StyleClassifier,
    style_heldout: Mapping[str, str],
    workspace: Workspace,
) -> Estimate:
    heldout = embed_jpegs(list(style_heldout), classifier, workspace)
    if len(heldout) < _MIN_HELDOUT:
        return Estimate()
    families = list(style_heldout.values())
    of_style, *of_others = (
        rows[:, classifier.label].astype(np.float64)
        for rows in (heldout, *(each.rows for each in others))
    )
    return least(
        [
            discrimination_gap(of_style, taken, families, each.groups, CLASSIFIER)
            for each, taken in zip(others, of_others, strict=True)
        ]
    )


def _taken(
    candidate: Candidate, classifier: StyleClassifier, workspace: Workspace
) -> dict[Pair, bool]:
    """Return whether a sample is taken for the style, of prompts that are asked about."""
    asked = classifier.settings.prompts
    samples = {
        pair: path for pair, path in candidate.samples.items() if not asked or pair[0] in asked
    }
    if not samples:
        return {}
    files = SampleFiles(workspace, classifier, classifier.batch_size, work="classifications")
    taken = classifier.takes(files.embed(list(samples.values())))
    return dict(zip(samples, taken.tolist(), strict=True))


def _compared(rows: Sequence[ScoreRow]) -> list[ScoreRow]:
    """Return rows with what follows from comparing them; as they are where a score is missing."""
    compared = [row for row in rows if row.kind not in UNTRAINED]
    points = [
        (row.style_learned.value, row.base_remembered.value)
        for row in compared
        if row.style_learned.value is not None and row.base_remembered.value is not None
    ]
    if not points or len(points) < len(compared):
        return list(rows)
    balanced = balances(points)
    place = recommended(
        balanced,
        [row.amount for row in compared],
        [row.amount > 0 and row.style_learned.is_above_zero for row in compared],
    )
    judged = {
        row.name: replace(row, balance=rounded(balance), on_front=front, recommended=at == place)
        for at, (row, balance, front) in enumerate(
            zip(compared, balanced, pareto_front(points), strict=True)
        )
    }
    return [judged.get(row.name, row) for row in rows]


def _notes(
    rows: Sequence[ScoreRow], heldout: Float32, candidates: Sequence[Candidate]
) -> list[str]:
    notes = []
    if len(heldout) < _MIN_HELDOUT:
        notes.append(NO_HELDOUT)
    elif not any(row.recommended for row in rows):
        notes.append(NOT_LEARNED)
    notes += [
        f"{row.name} is recommended and not stored, being one of blends.sweep: add "
        f"{row.weight:g} to blends.weights to keep it"
        for row in rows
        if row.recommended and not candidates[row.place].is_stored
    ]
    if any(row.cmmd.value is None for row in rows):
        notes.append(NO_STYLE)
    elif any(row.style.value is None for row in rows):
        notes.append(BASE_IN_STYLE)
    return notes


def _check(
    candidates: Sequence[Candidate],
    base_samples: Mapping[Pair, Path],
    style_train: Mapping[str, str],
    style_heldout: Mapping[str, str],
) -> None:
    if not candidates:
        raise DataError("there is no blend and no checkpoint to judge: make sample grids first")
    if not style_train and not style_heldout:
        raise DataError("there is no image of the style to judge by: the dataset is empty")
    for candidate in candidates:
        if not candidate.samples:
            raise DataError(f"{candidate.name} has no samples to judge: draw them first")
        for prompt, seed in sorted(candidate.samples.keys() - base_samples.keys()):
            raise DataError(
                f"the base has no image of {prompt!r} with seed {seed}, which {candidate.name} "
                "has: draw both with the same prompts and seeds"
            )
