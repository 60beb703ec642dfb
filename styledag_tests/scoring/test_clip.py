from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from styledag.errors import ModelError, StyleFileError
from styledag.models.compute import Compute
from styledag.scoring.clip import ClipScorer

CPU = Compute(torch.device("cpu"), torch.float32)


@pytest.fixture
def scorer(starter: Path) -> ClipScorer:
    return ClipScorer(starter / "clip", "v" * 64, CPU, batch_size=2)


def some_images(count: int) -> list[Image.Image]:
    random = np.random.default_rng(0)
    return [
        Image.fromarray(random.integers(0, 256, (80, 70, 3), dtype=np.uint8)) for _ in range(count)
    ]


def test_products_are_clips_own_logits(scorer: ClipScorer, starter: Path) -> None:
    images, texts = some_images(3), ["a red apple", "a dog on a hill"]
    model = CLIPModel.from_pretrained(starter / "clip", dtype=torch.float32).eval()
    inputs = AutoTokenizer.from_pretrained(starter / "clip")(
        texts, padding=True, return_tensors="pt"
    )
    processor = CLIPImageProcessorPil.from_pretrained(starter / "clip")
    with torch.inference_mode():
        logits = model(**inputs, **processor(images, return_tensors="pt")).logits_per_image
        expected = (logits / model.logit_scale.exp()).numpy()
    np.testing.assert_allclose(scorer(images) @ scorer.embed_texts(texts).T, expected, atol=1e-5)


def test_rows_are_unit_vectors_whatever_the_batch(scorer: ClipScorer, starter: Path) -> None:
    images = some_images(5)
    rows = scorer(images)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    alone = ClipScorer(starter / "clip", "v", CPU, batch_size=5)
    np.testing.assert_allclose(alone(images), rows, atol=1e-5)
    texts = ["a", "a much longer text about a red apple on a hill"]
    together = scorer.embed_texts(texts)
    np.testing.assert_allclose(scorer.embed_texts(texts[:1]), together[:1], atol=1e-5)


def test_no_image_is_no_row(scorer: ClipScorer) -> None:
    assert scorer([]).shape == (0, 128)


def test_nothing_is_loaded_before_it_is_needed(tmp_path: Path) -> None:
    scorer = ClipScorer(tmp_path, "v", CPU)
    assert scorer.version.endswith("v")
    with pytest.raises(ModelError, match="holds no CLIPModel"):
        scorer.embed_texts(["a"])


def test_a_tower_too_few_is_refused(starter: Path) -> None:
    scorer = ClipScorer(starter / "stable-diffusion" / "text_encoder", "v", CPU)
    with pytest.raises(ModelError):
        scorer(some_images(1))


def test_a_text_that_would_be_cut_is_refused(scorer: ClipScorer) -> None:
    with pytest.raises(StyleFileError, match="the scorer reads 77"):
        scorer.embed_texts(["a", "apple " * 200])
