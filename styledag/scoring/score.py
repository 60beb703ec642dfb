"""Every checkpoint and blend judged: style, retention, copying, and the one to take."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

from styledag.errors import DataError, StorageError
from styledag.images.embedding import Embedder
from styledag.images.looks import embed_jpegs
from styledag.images.similarity import Float32
from styledag.manifest import write_rows
from styledag.scoring.classifier import StyleClassifier
from styledag.scoring.embeddings import Scorer, image_embeddings, sha256_of, text_embeddings
from styledag.scoring.judge import Judge, threshold_for
from styledag.scoring.pareto import RULE, balances, pareto_front, recommended
from styledag.scoring.records import Candidate, NearestRow, Pair, ScoreRow
from styledag.scoring.settings import ScoreSettings
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace

CODE_VERSION = "4"
SCORES = "scores.parquet"
NEAREST = "nearest.parquet"
SUMMARY = "scores.json"

_MIN_HELDOUT = 2
NO_HELDOUT = (
    "fewer than two images were held out of training: style is measured against the training "
    "images themselves, and copying cannot be judged"
)
NO_STYLE = "style needs two samples of each model and two images of the style: it has no score"
STYLE, TAKEN = "style", "what the classifier takes for the style"
BASE_IN_STYLE = (
    "the base's images are no further from the style's than these are from one another: how "
    "much nearer a model comes has no measure"
)


def score_model(
    candidates: Sequence[Candidate],
    *,
    base_samples: Mapping[Pair, Path],
    style_train: Sequence[str],
    style_heldout: Sequence[str],
    scorer: Scorer,
    settings: ScoreSettings,
    workspace: Workspace,
    classifier: StyleClassifier | None = None,
) -> Facts:
    """Judge blends and checkpoints by their images and return the recommendation.

    Writes ``scores.parquet`` (:class:`~styledag.scoring.records.ScoreRow`), ``nearest.parquet``
    (:class:`~styledag.scoring.records.NearestRow`) and ``scores.json``, the summary.

    Args:
        candidates: Blends and checkpoints with the images that they drew.
        base_samples: The base's own image of every prompt and seed.
        style_train: Blobs of the training images, JPEG.
        style_heldout: Blobs of the style's images that were held out of training, JPEG.
        scorer: Embeds images and texts.
        settings: The copying percentile and the batch size.
        workspace: Holds the blobs, and takes the scores.
        classifier: Says what it takes for the style, if there is one.

    Raises:
        DataError: If there is no candidate or no image of the style, or the base lacks a
            image of a candidate's prompt and seed.
        ModelError: If scorer or classifier cannot be loaded, or gives NaN, or if the classifier
            has no such label.
        StorageError: If an image's file is missing.
    """
    _check(candidates, base_samples, style_train, style_heldout)
    files = _Files(workspace, scorer, settings.batch_size)
    base = dict(zip(base_samples, files.embed(list(base_samples.values())), strict=True))
    training = embed_jpegs(style_train, scorer, workspace)
    heldout = embed_jpegs(style_heldout, scorer, workspace)
    threshold = threshold_for(heldout, training, settings.copying_percentile)
    judge = Judge(
        reference=heldout if len(heldout) >= _MIN_HELDOUT else training,
        training=training,
        training_ids=style_train,
        threshold=threshold,
        base=base,
        prompts=text_embeddings(
            [prompt for prompt, _ in base_samples],
            scorer,
            workspace,
            batch_size=settings.batch_size,
        ),
    )
    rows, nearest = [], []
    for place, candidate in enumerate(candidates):
        paths = list(candidate.samples.values())
        samples = files.embed(paths)
        taken = {} if classifier is None else _taken(candidate, classifier, workspace)
        rows.append(judge.row(place, candidate, samples, taken))
        sha256s = [files.sha256(path) for path in paths]
        nearest += judge.nearest_rows(candidate, sha256s, samples)
    rows = _compared(rows)
    notes = _notes(rows, heldout)
    write_rows(workspace.folder / SCORES, rows, ScoreRow)
    write_rows(workspace.folder / NEAREST, nearest, NearestRow)
    facts = {
        "recommended": next((row.name for row in rows if row.recommended), None),
        "rule": RULE.format(style=STYLE if _taken_shares(rows) is None else TAKEN),
        "notes": notes,
        "candidates": len(rows),
        "style_reference": "held-out" if len(heldout) >= _MIN_HELDOUT else "training",
        "training_images": len(training),
        "heldout_images": len(heldout),
        "copying_threshold": None if threshold is None else round(threshold, 5),
        "copies": sum(row.is_copy is True for row in nearest),
        "scorer": scorer.version,
        "classifier": None if classifier is None else classifier.version,
    }
    summary = {**facts, "scores": [asdict(row) for row in rows]}
    (workspace.folder / SUMMARY).write_text(
        json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return facts


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
    files = _Files(workspace, classifier, classifier.batch_size, work="classifications")
    likeliest = files.embed(list(samples.values())).argmax(axis=1)
    return dict(zip(samples, (likeliest == classifier.label).tolist(), strict=True))


class _Files:
    """Embeddings of images' files, each by the sha256 of its bytes."""

    def __init__(
        self, workspace: Workspace, scorer: Embedder, batch_size: int, work: str = "embeddings"
    ) -> None:
        self._embed = partial(
            image_embeddings, scorer=scorer, workspace=workspace, batch_size=batch_size, work=work
        )
        self._sha256s: dict[Path, str] = {}

    def sha256(self, path: Path) -> str:
        """Return the sha256 of an image's file, which is read once."""
        if path not in self._sha256s:
            self._sha256s[path] = sha256_of(_read(path))
        return self._sha256s[path]

    def embed(self, paths: Sequence[Path]) -> Float32:
        """Return the unit embeddings of images, [n, d]."""
        embeddings = self._embed({self.sha256(path): partial(_read, path) for path in paths})
        return np.stack([embeddings[self.sha256(path)] for path in paths])


def _compared(rows: Sequence[ScoreRow]) -> list[ScoreRow]:
    """Return rows with what follows from comparing them; as they are where style is missing.

    A classifier that was trained to know the style is a better judge of it than embeddings of
    everything, so where it tells the rows apart, they are balanced by what it says.
    """
    styles = _complete([row.style.value for row in rows])
    retentions = _complete([row.retention.value for row in rows])
    if retentions is None:
        return list(rows)
    if styles is not None:
        fronts = pareto_front(list(zip(styles, retentions, strict=True)))
        rows = [replace(row, on_front=front) for row, front in zip(rows, fronts, strict=True)]
    judged = _taken_shares(rows) or styles
    if judged is None:
        return list(rows)
    points = list(zip(judged, retentions, strict=True))
    place = recommended(points, [row.amount for row in rows])
    return [
        replace(row, balance=round(balance, 5), recommended=row.place == place)
        for row, balance in zip(rows, balances(points), strict=True)
    ]


def _taken_shares(rows: Sequence[ScoreRow]) -> list[float] | None:
    """Return the shares that a classifier takes for the style, unless they are all the same."""
    shares = _complete([row.taken_for_style.value for row in rows])
    return None if shares is None or len(set(shares)) == 1 else shares


def _complete(values: Sequence[float | None]) -> list[float] | None:
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None


def _notes(rows: Sequence[ScoreRow], heldout: Float32) -> list[str]:
    notes = [] if len(heldout) >= _MIN_HELDOUT else [NO_HELDOUT]
    if any(row.cmmd.value is None for row in rows):
        notes.append(NO_STYLE)
    elif any(row.style.value is None for row in rows):
        notes.append(BASE_IN_STYLE)
    return notes


def _check(
    candidates: Sequence[Candidate],
    base_samples: Mapping[Pair, Path],
    style_train: Sequence[str],
    style_heldout: Sequence[str],
) -> None:
    if not candidates:
        raise DataError("there is no blend and no checkpoint to judge: make sample grids first")
    if not style_train and not style_heldout:
        raise DataError("there is no image of the style to judge by: the dataset is empty")
    for candidate in candidates:
        if not candidate.samples:
            raise DataError(f"{candidate.name} has no samples to judge: draw them first")
        for prompt, seed in candidate.samples.keys() - base_samples.keys():
            raise DataError(
                f"the base has no image of {prompt!r} with seed {seed}, which {candidate.name} "
                "has: draw both with the same prompts and seeds"
            )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise StorageError(f"{path} cannot be read: {exc.strerror}") from exc
