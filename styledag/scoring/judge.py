"""All scores of one candidate from embeddings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from styledag.images.similarity import Float32
from styledag.sampling.index import Pair
from styledag.scoring.bootstrap import Counts, bootstrap, units_of, weighted_mean
from styledag.scoring.copying import nearest
from styledag.scoring.records import (
    DECIMALS,
    BaseScores,
    Candidate,
    Estimate,
    NearestRow,
    ScoreRow,
    rounded,
)
from styledag.scoring.style import (
    Float64,
    Kernel,
    StyleDistance,
    polynomial_kernel,
    rbf_kernel,
    style_gain,
)


@dataclass(frozen=True, kw_only=True)
class Judge:
    """What candidates are measured against.

    Attributes:
        reference: Unit embeddings of the style's images; fewer than 2 leave style unmeasured.
        training: Unit embeddings of the training images as training saw them, [m, d].
        training_ids: sha256 of the training image of each, twice if mirrored ones are among them.
        threshold: Similarity above which a sample is a copy; ``None`` leaves copying unmeasured.
        base: Unit embedding of the base's image of each prompt and seed.
        prompts: Unit embedding of the text of each prompt; of those without one it stays unmeasured
            how well they are shown.
    """

    reference: Float32
    training: Float32
    training_ids: Sequence[str]
    threshold: float | None
    base: Mapping[Pair, Float32]
    prompts: Mapping[str, Float32]

    def row(
        self,
        place: int,
        candidate: Candidate,
        samples: Float32,
        by_base: BaseScores,
        taken: Mapping[Pair, bool],
    ) -> ScoreRow:
        """Return a candidate's scores, not yet compared with the others.

        Args:
            place: The candidate's place among all.
            candidate: It.
            samples: Unit embeddings of its samples, in their order.
            by_base: What the base's denoising loss says of it.
            taken: Whether a classifier takes a sample for the style; of none without one.
        """
        pairs = list(candidate.samples)
        kept = row_cosines(samples, np.stack([self.base[pair] for pair in pairs]))
        shown, shown_of_base = self._shown(pairs, samples)
        cmmd, style = self._style(pairs, samples)
        return ScoreRow(
            place=place,
            name=candidate.name,
            kind=candidate.kind,
            weight=candidate.weight,
            epoch=candidate.epoch,
            length=candidate.length,
            amount=candidate.amount,
            samples=len(pairs),
            style_learned=by_base.style_learned,
            base_remembered=by_base.base_remembered,
            cmmd=cmmd,
            kid=self._kid(pairs, samples),
            style=style,
            retention=_mean("retention", pairs, kept),
            text_similarity=shown,
            text_retention=shown_of_base,
            copying=self._copying(pairs, samples),
            diversity=rounded(diversity(samples, [prompt for prompt, _ in pairs])),
            taken_for_style=_mean(
                "taken_for_style", list(taken), np.array([*taken.values()], np.float64)
            ),
        )

    def nearest_rows(
        self, candidate: Candidate, sha256s: Sequence[str], samples: Float32
    ) -> list[NearestRow]:
        """Return the nearest training image of each sample; none without training images.

        Args:
            candidate: Whose samples they are.
            sha256s: sha256 of each sample's file.
            samples: Unit embeddings of its samples, in their order.
        """
        if not self.training_ids:
            return []
        found = nearest(samples, self.training)
        return [
            NearestRow(
                name=candidate.name,
                prompt=prompt,
                seed=seed,
                sample_sha256=sha256s[number],
                training_sha256=self.training_ids[int(found.index[number])],
                similarity=round(float(found.similarity[number]), DECIMALS),
                is_copy=self._is_copy(float(found.similarity[number])),
            )
            for number, (prompt, seed) in enumerate(candidate.samples)
        ]

    def _is_copy(self, similarity: float) -> bool | None:
        return None if self.threshold is None else similarity > self.threshold

    def _copying(self, pairs: Sequence[Pair], samples: Float32) -> Estimate:
        if self.threshold is None:
            return Estimate()
        copied = nearest(samples, self.training).similarity > self.threshold
        return _mean("copying", pairs, copied.astype(np.float64))

    def _shown(self, pairs: Sequence[Pair], samples: Float32) -> tuple[Estimate, float | None]:
        """Return how well samples show their prompts, and that over the base's."""
        read = [at for at, (prompt, _) in enumerate(pairs) if prompt in self.prompts]
        if not read:
            return Estimate(), None
        told = [pairs[at] for at in read]
        texts = np.stack([self.prompts[prompt] for prompt, _ in told])
        shown = row_cosines(samples[read], texts)
        base_shown = row_cosines(np.stack([self.base[pair] for pair in told]), texts)
        share = text_retention(float(shown.mean()), float(base_shown.mean()))
        return _mean("text_similarity", told, shown), rounded(share)

    def _distance(
        self, pairs: Sequence[Pair], samples: Float32, kernel: Kernel = rbf_kernel
    ) -> StyleDistance | None:
        if min(len(samples), len(self.reference)) < 2:
            return None
        units = units_of([prompt for prompt, _ in pairs], [seed for _, seed in pairs])
        return StyleDistance(samples, self.reference, kernel, units)

    def _kid(self, pairs: Sequence[Pair], samples: Float32) -> Estimate:
        distance = self._distance(pairs, samples, polynomial_kernel)
        return Estimate() if distance is None else _estimate(distance(), distance, pairs, "kid")

    def _style(self, pairs: Sequence[Pair], samples: Float32) -> tuple[Estimate, Estimate]:
        """Return CMMD and style; a resample takes the same prompts of the base's images."""
        distance = self._distance(pairs, samples)
        base = self._distance(pairs, np.stack([self.base[pair] for pair in pairs]))
        if distance is None or base is None:
            return Estimate(), Estimate()

        def gain(counts: Counts | None = None) -> float | None:
            own, bases = distance(counts), base(counts)
            return None if own is None or bases is None else style_gain(own, bases)

        return (
            _estimate(distance(), distance, pairs, "cmmd"),
            _estimate(gain(), gain, pairs, "style"),
        )


def _mean(field: str, pairs: Sequence[Pair], values: Float64) -> Estimate:
    if not pairs:
        return Estimate()
    return _estimate(float(values.mean()), weighted_mean(values), pairs, field)


def _estimate(
    value: float | None,
    statistic: Callable[[Counts], float | None],
    pairs: Sequence[Pair],
    field: str,
) -> Estimate:
    prompts, seeds = zip(*pairs, strict=True)
    low, high = bootstrap(statistic, prompts, seeds, field)
    return Estimate(rounded(value), rounded(low), rounded(high))


def diversity(samples: Float32, prompts: Sequence[str]) -> float | None:
    """Return the mean cosine distance between two seeds of one prompt, averaged over prompts.

    0 is the same image for every seed.

    Args:
        samples: Unit embeddings [n, d].
        prompts: The prompt of each row.

    Returns:
        The distance, 0 to 2, or ``None`` if no prompt has two seeds.
    """
    means = []
    for prompt in sorted(set(prompts)):
        own = samples[[each == prompt for each in prompts]].astype(np.float64)
        count = len(own)
        if count < 2:
            continue
        similarity = own @ own.T
        between = (similarity.sum() - np.trace(similarity)) / (count * (count - 1))
        means.append(1 - between)
    return float(np.mean(means)) if means else None


def row_cosines(first: Float32, second: Float32) -> Float64:
    """Return the cosine of each row of two sets of unit embeddings, -1 to 1, [n].

    Of samples and the base's own of the same prompt and seed it is *retention*. Style moves that as
    well as subject does, so it falls with style even where the subject survives. Of samples and
    their prompts it is *text similarity*: CLIPScore (Hessel et al. 2021) without the factor 2.5 and
    without cutting off at 0.

    Args:
        first: Unit embeddings [n, d].
        second: Unit embeddings [n, d], row by row.
    """
    cosines: Float64 = (first.astype(np.float64) * second.astype(np.float64)).sum(1)
    return cosines


def text_retention(similarity: float, base_similarity: float) -> float | None:
    """Return a model's mean text similarity over the base's.

    1 is as much as the base showed. It is ``None`` where the base's mean is not above 0: such a
    scorer sees nothing of the prompts in the base's images, and a ratio would mean nothing.
    """
    return similarity / base_similarity if base_similarity > 0 else None
