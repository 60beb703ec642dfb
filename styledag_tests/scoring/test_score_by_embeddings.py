"""What is measured by embeddings, where mirror images and long prompts are in the way."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from styledag.manifest import read_rows
from styledag.models.compute import Compute
from styledag.scoring.embedding_scorer import EmbeddingScorer
from styledag.scoring.records import Estimate, NearestRow
from styledag.scoring.score import NEAREST
from styledag.store.workspace import Workspace
from styledag_tests.scoring.test_score import PROMPTS, blend, jpeg, judged, png, rows_of


@pytest.fixture
def scorer(starter: Path) -> EmbeddingScorer:
    return EmbeddingScorer(starter / "clip", "v" * 64, Compute(torch.device("cpu"), torch.float32))


class Pixels:
    """Images by their pixels, in which left and right are unlike."""

    version = "pixels"
    reads_text = False

    def __call__(self, images: Sequence[Image.Image]) -> np.ndarray:
        small = [np.asarray(each.convert("RGB").resize((16, 16)), np.float32) for each in images]
        rows = np.stack([each.ravel() - each.mean() for each in small])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_planted_mirror_image_is_found_where_training_saw_them(
    workspace: Workspace, tmp_path: Path
) -> None:
    def half(number: int) -> Image.Image:
        """A pattern whose left and right are unlike."""
        random = np.random.default_rng([number, 7])
        pixels = random.integers(0, 256, (4, 4, 3)).repeat(16, 0).repeat(16, 1)
        pixels[:, 40:] = 255
        return Image.fromarray(pixels.astype(np.uint8))

    def stored(first: int, count: int) -> dict[str, str]:
        numbers = range(first, first + count)
        return {each: each for each in (workspace.blobs.put(jpeg(half(at))) for at in numbers)}

    training = stored(0, 8)
    candidates = [blend(tmp_path, weight) for weight in (0.0, 0.5)]
    copied = candidates[1].samples["a small dog", 1]
    with Image.open(io.BytesIO(workspace.blobs.read(list(training)[3]))) as original:
        copied.write_bytes(png(ImageOps.mirror(original)))
    found = {}
    for mirrored in (False, True):
        judged(
            *(workspace, Pixels(), candidates),
            style_train=training,
            style_heldout=stored(100, 6),
            mirrored=mirrored,
        )
        nearest = read_rows(workspace.folder / NEAREST, NearestRow)
        asked = ("weight 0.5", "a small dog", 1)
        found[mirrored] = next(row for row in nearest if (row.name, row.prompt, row.seed) == asked)
    assert found[True].is_copy
    assert not found[False].is_copy
    assert found[True].training_sha256 == list(training)[3]
    assert found[True].similarity > 0.99


def test_prompts_that_are_longer_than_the_scorer_reads_are_left_out_of_their_score_alone(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates = [blend(tmp_path, weight) for weight in (0.0, 1.0)]
    judged(workspace, scorer, candidates)
    before = rows_of(workspace)[1]
    assert [scorer.reads_whole(each) for each in (*PROMPTS, "fox " * 80)] == [True] * 3 + [False]
    monkeypatch.setattr(EmbeddingScorer, "reads_whole", lambda _, text: text != PROMPTS[0])
    facts = judged(workspace, scorer, candidates)
    after = rows_of(workspace)[1]
    assert "1 of 3 prompts are longer than the scorer reads" in facts["notes"][-1]
    assert after.text_similarity.value != before.text_similarity.value
    assert replace(after, text_similarity=Estimate(), text_retention=None) == replace(
        before, text_similarity=Estimate(), text_retention=None
    )
    monkeypatch.setattr(EmbeddingScorer, "reads_whole", lambda *_: False)
    judged(workspace, scorer, candidates)
    assert rows_of(workspace)[1].text_similarity == Estimate()
