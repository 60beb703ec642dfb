from pathlib import Path

import numpy as np
import pytest

from styledag.images.similarity import Float32
from styledag.scoring.discrimination import discrimination_gap, embedding_nearness
from styledag.scoring.embedding_scorer import EmbeddingScorer
from styledag.scoring.records import Estimate
from styledag.store.workspace import Workspace
from styledag_tests.scoring import test_score
from styledag_tests.scoring.test_score import blend, judged, style_images
from styledag_tests.scoring.vectors import normalised

DIMENSIONS = 24
scorer = test_score.scorer


def artist(direction: int, count: int, seed: int, share: float = 1.5) -> Float32:
    """Images of many subjects that share one direction."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, DIMENSIONS))
    rows[:, direction] += share * np.sqrt(DIMENSIONS)
    return normalised(rows)


def gap_of(heldout: Float32, training: Float32, others: Float32) -> Estimate:
    pool = np.concatenate([heldout, others])
    nearness = embedding_nearness(pool, training, pool)
    return discrimination_gap(
        nearness[: len(heldout)],
        nearness[len(heldout) :],
        [f"family {at}" for at in range(len(heldout))],
        [f"prompt {at // 2}" for at in range(len(others))],
        "scorer",
    )


def test_images_of_the_style_are_told_from_others() -> None:
    gap = gap_of(artist(0, 12, 1), artist(0, 40, 2), artist(1, 16, 3))
    assert gap.is_above_zero
    assert gap.value is not None
    assert gap.value > 0


def test_another_artists_images_as_the_held_out_set_make_the_gap_collapse() -> None:
    gap = gap_of(artist(2, 12, 1), artist(0, 40, 2), artist(1, 16, 3))
    assert not gap.is_above_zero
    assert gap.low is not None
    assert gap.low < 0 < (gap.high or 0)


def test_an_embedding_that_sees_no_style_tells_nothing() -> None:
    gap = gap_of(artist(0, 12, 1, 0.0), artist(0, 40, 2, 0.0), artist(1, 16, 3, 0.0))
    assert not gap.is_above_zero


def test_a_family_and_a_prompt_by_themselves_are_resampled_over_their_images() -> None:
    """Taken whole, they would come once each in every resample: an interval without any width."""
    gap = discrimination_gap(
        np.array([3.0, 5.0, 4.0]), np.array([1.0, 4.5]), ["f"] * 3, ["p"] * 2, "scorer"
    )
    assert gap.value == pytest.approx(1.25)
    assert gap.low is not None
    assert gap.high is not None
    assert gap.low < 0 < gap.value < gap.high


def test_too_few_images_have_no_gap() -> None:
    gap = discrimination_gap(np.ones(1), np.zeros(4), ["a"], ["b", "c", "d", "e"], "scorer")
    assert gap == Estimate()
    assert not gap.is_above_zero


def test_nearness_by_hand() -> None:
    training = normalised(np.array([[1.0, 0.0], [0.0, 1.0]]))
    image = normalised(np.array([[1.0, 1.0]]))
    # Cosines to training 0.7071 each; training's neighbours are each other (0) and the image.
    (nearness,) = embedding_nearness(image, training, image)
    cosine = np.sqrt(0.5)
    assert nearness == pytest.approx(2 * cosine - cosine - cosine / 2)


def test_the_gap_is_the_difference_of_means_and_families_are_resampled_whole() -> None:
    gap = discrimination_gap(
        np.array([1.0, 1.0, 3.0]), np.array([0.5, 0.5]), ["a", "a", "b"], ["p", "q"], "x"
    )
    assert gap.value == pytest.approx(5 / 3 - 0.5, abs=1e-5)
    assert (gap.low, gap.high) == (0.5, 2.5)


def test_a_shuffled_label_makes_the_gap_collapse(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path
) -> None:
    candidates = [blend(tmp_path, weight) for weight in (0.0, 1.0)]
    facts = judged(workspace, scorer, candidates)
    assert Estimate(**facts["gaps"]["scorer"]).is_above_zero
    another = style_images(workspace, 200, 6, style=0.0)
    shuffled = judged(workspace, scorer, candidates, style_heldout=another)
    assert not Estimate(**shuffled["gaps"]["scorer"]).is_above_zero


def test_a_style_that_the_score_does_not_tell_from_another_has_no_gap(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path
) -> None:
    candidates = [blend(tmp_path, weight) for weight in (0.0, 1.0)]
    facts = judged(workspace, scorer, candidates)
    alone = Estimate(**facts["gaps"]["scorer"])
    assert alone.is_above_zero
    assert "other_styles" not in facts
    unlike = style_images(workspace, 300, 6, style=0.0)
    told = judged(workspace, scorer, candidates, other_styles={"grey": unlike})
    assert Estimate(**told["gaps"]["scorer"]).is_above_zero
    alike = style_images(workspace, 400, 6)
    both = {"yellow": alike, "grey": unlike}
    taken = judged(workspace, scorer, candidates, other_styles=both)
    assert taken["other_styles"] == ["grey", "yellow"]
    assert not Estimate(**taken["gaps"]["scorer"]).is_above_zero
    single = dict(list(alike.items())[:1])
    unmeasured = judged(workspace, scorer, candidates, other_styles={"yellow": single})
    assert unmeasured["gaps"]["scorer"] == {"value": None, "low": None, "high": None}
