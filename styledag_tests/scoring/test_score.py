import io
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from styledag.errors import DataError, StorageError
from styledag.manifest import read_rows
from styledag.models.compute import Compute
from styledag.models.reference import ModelReference
from styledag.sampling.index import Pair
from styledag.sampling.weights import Weights
from styledag.scoring.embedding_scorer import EmbeddingScorer
from styledag.scoring.records import (
    BaseScores,
    Candidate,
    Estimate,
    FamilyRow,
    NearestRow,
    ScoreRow,
)
from styledag.scoring.score import (
    FAMILIES,
    NEAREST,
    NO_HELDOUT,
    NO_STYLE,
    NOT_LEARNED,
    SCORES,
    SUMMARY,
    score_model,
)
from styledag.scoring.settings import ScoreSettings
from styledag.settings import canonical_json
from styledag.store.workspace import Workspace

PROMPTS = ("a red apple", "a small dog", "a blue car")
SEEDS = (0, 1)


@pytest.fixture
def scorer(starter: Path) -> EmbeddingScorer:
    return EmbeddingScorer(starter / "clip", "v" * 64, Compute(torch.device("cpu"), torch.float32))


def image(subject: str, seed: int, style: float) -> Image.Image:
    """Subject and seed as grey stripes; style turns it towards a yellow plane."""
    random = np.random.default_rng([*subject.encode(), seed])
    stripes = random.integers(0, 256, (16, 1, 1)).repeat(4, 0).repeat(64, 1).repeat(3, 2)
    yellow = np.array([255, 220, 0]) + random.integers(-20, 1, (64, 64, 1))
    mixed = (1 - style) * stripes + style * yellow
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def drawn(
    folder: Path, style: float, prompts: tuple[str, ...] = PROMPTS, seeds: tuple[int, ...] = SEEDS
) -> Mapping[Pair, Path]:
    samples = {}
    for prompt in prompts:
        for seed in seeds:
            path = folder / f"{style}-{prompt}-{seed}.png"
            path.write_bytes(png(image(prompt, seed, style)))
            samples[prompt, seed] = path
    return samples


WEIGHTS = Weights.stored("weights", Path("unet"))


def by_base(amount: float) -> BaseScores:
    """More fine-tune learns more of the style, and forgets the base faster and faster."""
    learned, remembered = 0.2 * amount, 1 - 0.4 * amount**2
    return BaseScores(
        style_learned=Estimate(learned, learned - 0.01, learned + 0.01),
        base_remembered=Estimate(remembered, remembered - 0.01, remembered + 0.01),
    )


def blend(folder: Path, weight: float, **drawing: tuple) -> Candidate:
    return Candidate(
        name=f"weight {weight}",
        kind="blend",
        weight=weight,
        amount=weight,
        samples=drawn(folder, 0.8 * weight, **drawing),
        weights=WEIGHTS,
    )


def style_images(
    workspace: Workspace, first: int, count: int, style: float = 0.85
) -> dict[str, str]:
    """Store images, each a family of its own."""
    stored = [
        workspace.blobs.put(jpeg(image("of the style", number, style)))
        for number in range(first, first + count)
    ]
    return {sha256: sha256 for sha256 in stored}


def judged(
    workspace: Workspace, scorer: EmbeddingScorer, candidates: list[Candidate], **changed: object
) -> dict:
    arguments = {
        "base_scores": {each.name: by_base(each.amount) for each in candidates},
        "base_samples": candidates[0].samples if candidates else {},
        "style_train": style_images(workspace, 0, 8),
        "style_heldout": style_images(workspace, 100, 6),
        "scorer": scorer,
        "settings": ScoreSettings(scorer=ModelReference(model="clip")),
        "workspace": workspace,
        **changed,
    }
    return dict(score_model(candidates, **arguments))  # type: ignore[arg-type]


def rows_of(workspace: Workspace) -> list[ScoreRow]:
    return read_rows(workspace.folder / SCORES, ScoreRow)


def test_style_rises_and_retention_falls_with_weight(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path
) -> None:
    weights = (0.0, 0.25, 0.5, 0.75, 1.0)
    facts = judged(workspace, scorer, [blend(tmp_path, weight) for weight in weights])
    rows = rows_of(workspace)
    styles = [row.style.value for row in rows]
    retentions = [row.retention.value for row in rows]
    assert styles == sorted(styles)
    assert retentions == sorted(retentions, reverse=True)
    assert styles[0] == pytest.approx(0, abs=1e-5)
    assert retentions[0] == pytest.approx(1, abs=1e-5)
    assert rows[0].text_retention in (None, 1)
    for row in rows:
        assert row.samples == 6
        assert row.style.low <= row.style.value <= row.style.high
        assert row.retention.low <= row.retention.value <= row.retention.high
        assert row.diversity > 0
    taken = [row for row in rows if row.recommended]
    assert [row.name for row in taken] == [facts["recommended"]]
    assert 0 < taken[0].weight < 1
    assert taken[0].on_front
    assert facts["notes"] == []
    canonical_json(facts)
    summary = json.loads((workspace.folder / SUMMARY).read_text())
    assert summary["recommended"] == facts["recommended"]
    assert len(summary["scores"]) == 5


def test_a_planted_copy_is_found_and_named(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path
) -> None:
    training = list(style_images(workspace, 0, 8))
    candidates = [blend(tmp_path, weight) for weight in (0.0, 0.5)]
    copied = candidates[1].samples["a small dog", 1]
    copied.write_bytes(workspace.blobs.read(training[3]))
    facts = judged(workspace, scorer, candidates)
    nearest = read_rows(workspace.folder / NEAREST, NearestRow)
    copies = [row for row in nearest if row.is_copy]
    assert [(row.name, row.prompt, row.seed) for row in copies] == [
        ("weight 0.5", "a small dog", 1)
    ]
    assert copies[0].training_sha256 == training[3]
    assert copies[0].similarity == pytest.approx(1, abs=1e-5)
    assert len(nearest) == 12
    assert facts["copies"] == 1
    assert [row.copying.value for row in rows_of(workspace)] == pytest.approx([0, 1 / 6], abs=1e-5)


def test_a_planted_family_of_20_near_duplicates_is_reported(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path
) -> None:
    planted = list(style_images(workspace, 50, 20))
    training = {**style_images(workspace, 0, 8, style=0.2), **dict.fromkeys(planted, planted[0])}
    candidates = [blend(tmp_path, weight) for weight in (0.0, 1.0)]
    for path in candidates[1].samples.values():
        path.write_bytes(png(image("of the style", 50, 0.86)))
    facts = judged(workspace, scorer, candidates, style_train=training)
    assert facts["families_drawn"] == 1
    (row,) = read_rows(workspace.folder / FAMILIES, FamilyRow)
    assert (row.name, row.family, row.images) == ("weight 1.0", planted[0], 20)
    assert row.share.value == 1
    assert set(zip(row.prompts, row.seeds, strict=True)) == candidates[1].samples.keys()


def test_a_scorer_that_reads_no_text_leaves_prompts_unmeasured(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EmbeddingScorer, "reads_text", False)
    judged(workspace, scorer, [blend(tmp_path, weight) for weight in (0.0, 1.0)])
    for row in rows_of(workspace):
        assert row.text_similarity == Estimate()
        assert row.text_retention is None
        assert row.retention.value is not None


def test_checkpoints_stand_beside_blends(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path
) -> None:
    checkpoint = Candidate(
        name="epoch 3",
        kind="checkpoint",
        epoch=3,
        amount=0.6,
        samples=drawn(tmp_path, 0.6),
        weights=WEIGHTS,
    )
    judged(workspace, scorer, [blend(tmp_path, 0.0), blend(tmp_path, 1.0), checkpoint])
    row = rows_of(workspace)[2]
    assert (row.kind, row.epoch, row.weight, row.amount) == ("checkpoint", 3, None, 0.6)
    assert row.recommended


def test_a_second_run_embeds_nothing(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path
) -> None:
    candidates = [blend(tmp_path, weight) for weight in (0.0, 1.0)]
    first = judged(workspace, scorer, candidates)
    assert workspace.work["embeddings"] == 12 + 14 + 3
    before = rows_of(workspace)
    workspace.work.clear()
    assert judged(workspace, scorer, candidates) == first
    assert not workspace.work
    assert rows_of(workspace) == before


def test_without_held_out_images_style_is_measured_on_training(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path
) -> None:
    candidates = [blend(tmp_path, weight) for weight in (0.0, 0.5, 1.0)]
    unmeasured = {
        each.name: replace(by_base(each.amount), style_learned=Estimate()) for each in candidates
    }
    facts = judged(workspace, scorer, candidates, style_heldout={}, base_scores=unmeasured)
    assert facts["notes"] == [NO_HELDOUT]
    assert facts["recommended"] is None
    assert facts["style_reference"] == "training"
    rows = rows_of(workspace)
    assert all(row.copying.value is None for row in rows)
    assert all(row.style.value is not None for row in rows)
    assert {row.is_copy for row in read_rows(workspace.folder / NEAREST, NearestRow)} == {None}


def test_a_single_image_of_each_model_has_no_style_by_clip(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path
) -> None:
    candidates = [
        blend(tmp_path, weight, prompts=("a red apple",), seeds=(0,)) for weight in (0.0, 1.0)
    ]
    facts = judged(workspace, scorer, candidates)
    assert facts["notes"] == [NO_STYLE]
    row = rows_of(workspace)[1]
    assert row.style.value is None
    assert row.diversity is None
    assert row.retention.value is not None
    assert row.retention.low is None


def test_of_models_that_learned_alike_the_one_with_the_least_fine_tune_is_recommended(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path
) -> None:
    candidates = [blend(tmp_path, weight) for weight in (0.0, 0.5, 1.0)]
    alike = {each.name: by_base(0.5 if each.amount else 0.0) for each in candidates}
    facts = judged(workspace, scorer, candidates, base_scores=alike)
    assert facts["recommended"] == "weight 0.5"


def test_what_clip_sees_decides_nothing(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path
) -> None:
    candidates = [blend(tmp_path, weight) for weight in (0.0, 0.5, 1.0)]
    reversed_samples = [
        replace(each, samples=other.samples)
        for each, other in zip(candidates, candidates[::-1], strict=True)
    ]
    facts = judged(workspace, scorer, candidates)
    other = judged(workspace, scorer, reversed_samples, base_samples=candidates[0].samples)
    assert facts["recommended"] == other["recommended"] == "weight 0.5"


def test_nothing_is_recommended_that_learned_no_more_than_chance(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path
) -> None:
    candidates = [blend(tmp_path, weight) for weight in (0.0, 0.5)]
    chance = {
        each.name: replace(by_base(each.amount), style_learned=Estimate(0.02, -0.01, 0.05))
        for each in candidates
    }
    facts = judged(workspace, scorer, candidates, base_scores=chance)
    assert facts["recommended"] is None
    assert facts["notes"] == [NOT_LEARNED]


def test_the_base_under_a_style_prompt_is_a_row_and_never_recommended(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path
) -> None:
    prompted = Candidate(
        name="base, “yellow”",
        kind="prompt",
        amount=0.0,
        samples=drawn(tmp_path, 0.7),
        weights=WEIGHTS,
        style_prompt="yellow",
    )
    assert prompted.told("a house") == "a house, yellow"
    candidates = [blend(tmp_path, 0.0), blend(tmp_path, 0.5), prompted]
    best = {each.name: by_base(each.amount) for each in candidates}
    best[prompted.name] = BaseScores(
        style_learned=Estimate(0.9, 0.8, 1.0), base_remembered=Estimate(1.0, 1.0, 1.0)
    )
    facts = judged(workspace, scorer, candidates, base_scores=best)
    assert facts["recommended"] == "weight 0.5"
    row = rows_of(workspace)[2]
    assert (row.kind, row.on_front, row.balance) == ("prompt", False, None)
    assert row.style_learned.value == 0.9
    assert row.style.value > 0


def test_the_base_with_an_ip_adapter_is_a_row_that_the_bases_loss_leaves_open(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path
) -> None:
    shown = Candidate(
        name="base, IP-Adapter plus",
        kind="ip_adapter",
        amount=0.0,
        samples=drawn(tmp_path, 0.7),
        weights=None,
    )
    candidates = [blend(tmp_path, 0.0), blend(tmp_path, 0.5), shown]
    given = {each.name: by_base(each.amount) for each in candidates}
    given[shown.name] = BaseScores(style_learned=Estimate(), base_remembered=Estimate())
    facts = judged(workspace, scorer, candidates, base_scores=given)
    assert facts["recommended"] == "weight 0.5"
    row = rows_of(workspace)[2]
    assert (row.kind, row.on_front, row.balance) == ("ip_adapter", False, None)
    assert row.style_learned == row.base_remembered == Estimate()
    assert row.style.value > 0
    assert row.copying.value is not None


def test_a_image_that_the_base_lacks_is_named(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path
) -> None:
    more = blend(tmp_path, 1.0, seeds=(0, 1, 2))
    with pytest.raises(DataError, match=r"no image of '.*' with seed 2, which weight 1\.0 has"):
        judged(workspace, scorer, [blend(tmp_path, 0.0), more])


def test_nothing_to_judge_by_is_said(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path
) -> None:
    candidates = [blend(tmp_path, 0.0)]
    with pytest.raises(DataError, match="no blend and no checkpoint"):
        judged(workspace, scorer, [])
    with pytest.raises(DataError, match="no image of the style"):
        judged(workspace, scorer, candidates, style_train={}, style_heldout={})
    next(iter(candidates[0].samples.values())).unlink()
    with pytest.raises(StorageError, match="cannot be read"):
        judged(workspace, scorer, candidates)


def test_the_module_is_importable_without_torch() -> None:
    code = "import styledag.scoring.score, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
