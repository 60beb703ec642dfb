"""Style, memory of the base and a family's share, each with the interval that ``scores`` gives."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks.study.experiments import PROMPT, Experiment
from benchmarks.study.images import Role
from benchmarks.study.study import CLIP, Study
from styledag.images.embedding import PixelEmbedder
from styledag.images.looks import embed_jpegs
from styledag.images.similarity import Float32
from styledag.models.reference import ModelReference
from styledag.sampling.index import Pair
from styledag.scoring.base_remembered import base_remembered
from styledag.scoring.bootstrap import Counts, bootstrap, weighted_mean
from styledag.scoring.copying import copying_threshold, nearest
from styledag.scoring.embeddings import Scorer, image_embeddings, sha256_of
from styledag.scoring.judge import row_cosines
from styledag.scoring.records import Estimate
from styledag.scoring.settings import ScoreSettings
from styledag.scoring.style import Float64, StyleDistance, style_gain
from styledag.scoring.style_learned import style_learned
from styledag.store.workspace import Workspace

Statistic = Callable[[Counts], float | None]
_Losses = Mapping[str, Sequence[float]]
"""Losses at each timestep, by image."""

_DECIMALS = 4


@dataclass(frozen=True)
class Measure:
    """A figure of samples that can be resampled by subject.

    Attributes:
        statistic: The figure of the samples, each taken as often as the counts say.
        pairs: Subject and seed of each sample.
    """

    statistic: Statistic
    pairs: Sequence[Pair]

    def estimate(self) -> Estimate:
        """Return the figure with its 95 % interval; all intervals rest on the same resamples."""
        subjects, seeds = zip(*self.pairs, strict=True)
        value = self.statistic(np.ones(len(self.pairs), np.int64))
        low, high = bootstrap(self.statistic, subjects, seeds, "claims")
        return Estimate(
            *(None if each is None else round(each, _DECIMALS) for each in (value, low, high))
        )

    def minus(self, other: "Measure") -> "Measure":
        """Return the difference to another measure of the same subjects and seeds."""

        def difference(counts: Counts) -> float | None:
            own, others = self.statistic(counts), other.statistic(counts)
            return None if own is None or others is None else own - others

        return Measure(difference, self.pairs)


def mean_of(measures: Sequence[Measure]) -> Measure:
    """Return the mean over repeated trainings, whose samples are resampled together."""

    def mean(counts: Counts) -> float | None:
        values = [each.statistic(counts) for each in measures]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if len(known) == len(values) else None

    return Measure(mean, measures[0].pairs)


class Judges:
    """What all experiments are measured against.

    Args:
        study: Where images and samples come from.
        folder: For work in progress; nothing stays there.
    """

    def __init__(self, study: Study, folder: Path) -> None:
        self._study = study
        self._workspace = Workspace(folder, folder, study.store.blobs, study.store.items)

    def measures(self, experiment: Experiment, seed: int) -> Mapping[str, Measure]:
        """Return an experiment's measures by name.

        ``style``, ``retention`` and ``copying`` are those of the stage ``scores``: style and copies
        for subjects inside the style, against its held-out drawings, and retention for subjects
        outside it. ``style_outside`` is for these, against Twemoji's own drawings of such. ``text``
        is the likeness of image and prompt over the base's. ``learned`` is the share of the
        base's loss on Twemoji's drawings outside the style that is gone, and ``remembered`` the
        base's loss on its own drawings over the experiment's. ``family`` is the share of samples
        whose nearest drawing, of the style's and the whole family's, is one of the family, and
        ``family_likeness`` how like the nearest of the family is; both are for subjects outside
        the style and for vague ones, ``family_vague`` for these alone, and with ``pixels`` by
        outlines and colours instead of CLIP.

        Args:
            experiment: Whose samples.
            seed: Run seed of the training.
        """
        files = self._study.samples(experiment, seed)
        scale = self._study.scale
        outside, inside, vague = (
            _Drawn(self, files, each) for each in (scale.outside, scale.in_style, scale.vague)
        )
        elsewhere = _Drawn(self, files, scale.outside + scale.vague)
        losses, base_losses = self._study.losses(experiment, seed), self._base_losses
        measures = {
            "learned": _gain(losses["outside"], base_losses["outside"]),
            "remembered": _kept(losses["own"], base_losses["own"]),
            "style": inside.style(self._of_role("validation")),
            "style_outside": outside.style(self._of_role("outside")),
            "retention": outside.retention(),
            "text": outside.text(),
            "retention_inside": inside.retention(),
            "copying": inside.copying(self._of_role("train"), self._threshold),
        }
        embedders: Mapping[str, Scorer | PixelEmbedder] = {
            "": self.scorer,
            "_pixels": self._pixels,
        }
        for name, drawn in {"family": elsewhere, "family_vague": vague}.items():
            for suffix, embedder in embedders.items():
                references = self._of_role("train", "family", embedder=embedder)
                found = drawn.near_family(references, self._is_family, embedder)
                measures[f"{name}{suffix}"], measures[f"{name}_likeness{suffix}"] = found
        return measures

    @property
    def scorer(self) -> Scorer:
        """The starter's CLIP."""
        return self._study.scorer

    def embeddings(self, paths: Sequence[Path], embedder: "Scorer | PixelEmbedder") -> Float32:
        """Return the unit embeddings of images' files, [n, d]."""
        contents = [path.read_bytes() for path in paths]
        sha256s = [sha256_of(content) for content in contents]
        images = {
            sha256: lambda content=content: content
            for sha256, content in zip(sha256s, contents, strict=True)
        }
        rows = image_embeddings(images, embedder, self._workspace, batch_size=32)
        return np.stack([rows[sha256] for sha256 in sha256s])

    def base_embeddings(self, pairs: Sequence[Pair]) -> Float32:
        """Return the unit embeddings of the base's own images."""
        return self.embeddings([self._base_files[pair] for pair in pairs], self.scorer)

    def text_embeddings(self, subjects: Sequence[str]) -> Float32:
        """Return the unit embeddings of subjects' plain prompts, row by row."""
        return self.scorer.embed_texts([PROMPT.format(subject) for subject in subjects])

    @cached_property
    def _base_files(self) -> Mapping[Pair, Path]:
        return self._study.samples(None, 0)

    @cached_property
    def _base_losses(self) -> Mapping[str, _Losses]:
        return self._study.losses(None, 0)

    @cached_property
    def _pixels(self) -> PixelEmbedder:
        return PixelEmbedder()

    @cached_property
    def _threshold(self) -> float:
        settings = ScoreSettings(scorer=ModelReference(model=CLIP))
        heldout, training = self._of_role("validation"), self._of_role("train")
        return copying_threshold(heldout, training, settings.copying_percentile)

    @property
    def _is_family(self) -> Float64:
        roles = [each.role for each in self._study.images if each.role in ("train", "family")]
        return np.array([role == "family" for role in roles], np.float64)

    def _of_role(self, *roles: Role, embedder: "Scorer | PixelEmbedder | None" = None) -> Float32:
        sha256s = [each.sha256 for each in self._study.images if each.role in roles]
        return embed_jpegs(sha256s, embedder or self.scorer, self._workspace)


class _Drawn:
    """An experiment's samples of some subjects.

    Args:
        judges: What they are measured against.
        files: All of the experiment's samples.
        subjects: Which of them.
    """

    def __init__(self, judges: Judges, files: Mapping[Pair, Path], subjects: Sequence[str]) -> None:
        self._judges = judges
        self._pairs = [pair for pair in files if pair[0] in subjects]
        self._paths = [files[pair] for pair in self._pairs]
        self._samples = judges.embeddings(self._paths, judges.scorer)

    def style(self, reference: Float32) -> Measure:
        own = StyleDistance(self._samples, reference)
        base = StyleDistance(self._judges.base_embeddings(self._pairs), reference)

        def gain(counts: Counts) -> float | None:
            distance, base_distance = own(counts), base(counts)
            if distance is None or base_distance is None:
                return None
            return style_gain(distance, base_distance)

        return Measure(gain, self._pairs)

    def retention(self) -> Measure:
        kept = row_cosines(self._samples, self._judges.base_embeddings(self._pairs))
        return Measure(weighted_mean(kept), self._pairs)

    def text(self) -> Measure:
        prompts = self._judges.text_embeddings([subject for subject, _ in self._pairs])
        own = weighted_mean(row_cosines(self._samples, prompts))
        base = weighted_mean(row_cosines(self._judges.base_embeddings(self._pairs), prompts))

        def share(counts: Counts) -> float | None:
            shown, base_shown = own(counts), base(counts)
            return shown / base_shown if shown is not None and base_shown else None

        return Measure(share, self._pairs)

    def copying(self, training: Float32, threshold: float) -> Measure:
        copied = nearest(self._samples, training).similarity > threshold
        return Measure(weighted_mean(copied.astype(np.float64)), self._pairs)

    def near_family(
        self, references: Float32, is_family: Float64, embedder: "Scorer | PixelEmbedder"
    ) -> tuple[Measure, Measure]:
        samples = self._judges.embeddings(self._paths, embedder)
        of_family = is_family[nearest(samples, references).index]
        likeness = nearest(samples, references[is_family > 0]).similarity
        return (
            Measure(weighted_mean(of_family), self._pairs),
            Measure(weighted_mean(likeness), self._pairs),
        )


def _gain(losses: _Losses, base_losses: _Losses) -> Measure:
    """Return the share of the base's loss that is gone."""
    statistic = style_learned(_rows(losses, losses), _rows(base_losses, losses))
    return Measure(statistic, [(name, 0) for name in losses])


def _kept(losses: _Losses, base_losses: _Losses) -> Measure:
    """Return the base's loss over the experiment's."""
    pairs = [(name.rpartition(" ")[0], int(name.rpartition(" ")[2])) for name in losses]
    statistic = base_remembered(_rows(losses, losses), _rows(base_losses, losses))
    return Measure(statistic, pairs)


def _rows(losses: _Losses, names: Iterable[str]) -> Float64:
    return np.array([losses[name] for name in names], np.float64)
