import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    BitImageProcessor,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    Siglip2Config,
    Siglip2ImageProcessor,
    Siglip2Model,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from styledag.errors import ModelError, StyleFileError
from styledag.models.compute import Compute
from styledag.scoring.embedding_scorer import EmbeddingScorer, check_scorer

CPU = Compute(torch.device("cpu"), torch.float32)


@pytest.fixture
def scorer(starter: Path) -> EmbeddingScorer:
    return EmbeddingScorer(starter / "clip", "v" * 64, CPU, batch_size=2)


def some_images(count: int) -> list[Image.Image]:
    random = np.random.default_rng(0)
    return [
        Image.fromarray(random.integers(0, 256, (80, 70, 3), dtype=np.uint8)) for _ in range(count)
    ]


def test_products_are_clips_own_logits(scorer: EmbeddingScorer, starter: Path) -> None:
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


def test_rows_are_unit_vectors_whatever_the_batch(scorer: EmbeddingScorer, starter: Path) -> None:
    images = some_images(5)
    rows = scorer(images)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    alone = EmbeddingScorer(starter / "clip", "v", CPU, batch_size=5)
    np.testing.assert_allclose(alone(images), rows, atol=1e-5)
    texts = ["a", "a much longer text about a red apple on a hill"]
    together = scorer.embed_texts(texts)
    np.testing.assert_allclose(scorer.embed_texts(texts[:1]), together[:1], atol=1e-5)


def test_no_image_is_no_row(scorer: EmbeddingScorer) -> None:
    assert len(scorer([])) == 0


def test_nothing_is_loaded_before_it_is_needed(tmp_path: Path) -> None:
    scorer = EmbeddingScorer(tmp_path, "v", CPU)
    assert scorer.version.endswith("v")
    with pytest.raises(ModelError, match="holds no CLIP, SigLIP or DINOv2"):
        scorer.embed_texts(["a"])


def test_a_tower_too_few_is_refused(starter: Path) -> None:
    scorer = EmbeddingScorer(starter / "stable-diffusion" / "text_encoder", "v", CPU)
    for look in (lambda: scorer(some_images(1)), lambda: check_scorer(scorer.folder)):
        with pytest.raises(ModelError, match="a CLIPTextModel, which embeds no images"):
            look()
    assert check_scorer(starter / "clip") == "CLIPModel"


def test_code_of_a_models_own_is_neither_run_nor_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a terminal, transformers asks whether to run it, as of Jina's CLIP."""
    auto_map = {"AutoConfig": "own.Config", "AutoModel": "own.Model"}
    config = {"model_type": "of_its_own", "auto_map": auto_map}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text("raise SystemExit('the code was run')")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(ModelError, match=r"runs code of its own repository.*name a scorer that"):
        EmbeddingScorer(tmp_path, "v", CPU)(some_images(1))
    with pytest.raises(ModelError, match="runs code of its own repository"):
        check_scorer(tmp_path)


def test_a_text_that_would_be_cut_is_refused(scorer: EmbeddingScorer) -> None:
    with pytest.raises(StyleFileError, match="the scorer reads 77"):
        scorer.embed_texts(["a", "apple " * 200])


@pytest.fixture(scope="module")
def siglip(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("siglip")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    config = SiglipConfig(
        text_config={**small, "num_hidden_layers": 1, "max_position_embeddings": 16},
        vision_config={**small, "num_hidden_layers": 1, "image_size": 32, "patch_size": 8},
    )
    SiglipModel(config).save_pretrained(folder)
    SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    AutoTokenizer.from_pretrained(starter / "clip").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dinov2")
    config = Dinov2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    Dinov2Model(config).save_pretrained(folder)
    BitImageProcessor(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}
    ).save_pretrained(folder)
    return folder


def test_siglips_products_are_its_own_logits(siglip: Path) -> None:
    images, texts = some_images(3), ["a red apple", "a dog on a hill"]
    scorer = EmbeddingScorer(siglip, "v", CPU, batch_size=2)
    assert scorer.reads_text
    model = SiglipModel.from_pretrained(siglip).eval()
    inputs = AutoTokenizer.from_pretrained(siglip)(
        texts, padding="max_length", max_length=16, return_tensors="pt"
    )
    pixels = AutoImageProcessor.from_pretrained(siglip, backend="pil")(images, return_tensors="pt")
    with torch.inference_mode():
        # As it was trained: without a mask, texts are read with what they are filled up by.
        logits = model(input_ids=inputs["input_ids"], **pixels).logits_per_image
        expected = ((logits - model.logit_bias) / model.logit_scale.exp()).numpy()
    np.testing.assert_allclose(scorer(images) @ scorer.embed_texts(texts).T, expected, atol=1e-5)


def test_siglip_reads_texts_in_small_letters(siglip: Path) -> None:
    small, large = EmbeddingScorer(siglip, "v", CPU).embed_texts(["a red fox", "A Red FOX"])
    np.testing.assert_array_equal(small, large)


def test_siglip_of_many_shapes_embeds_images_of_each(starter: Path, tmp_path: Path) -> None:
    small = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    config = Siglip2Config(
        text_config={**small, "num_hidden_layers": 1, "max_position_embeddings": 16},
        vision_config={**small, "num_hidden_layers": 1, "num_patches": 16, "patch_size": 8},
    )
    Siglip2Model(config).save_pretrained(tmp_path)
    Siglip2ImageProcessor(patch_size=8, max_num_patches=16).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(starter / "clip").save_pretrained(tmp_path)
    wide, tall = Image.new("RGB", (96, 32), "red"), Image.new("RGB", (32, 96), "red")
    together = EmbeddingScorer(tmp_path, "v", CPU)([wide, tall])
    assert together.shape == (2, 16)
    np.testing.assert_allclose(EmbeddingScorer(tmp_path, "v", CPU)([tall]), together[1:], atol=1e-5)


def test_dinov2_embeds_images_and_reads_no_text(dinov2: Path) -> None:
    images = some_images(3)
    scorer = EmbeddingScorer(dinov2, "v", CPU, batch_size=2)
    assert not scorer.reads_text
    pixels = AutoImageProcessor.from_pretrained(dinov2, backend="pil")(images, return_tensors="pt")
    with torch.inference_mode():
        pooled = Dinov2Model.from_pretrained(dinov2).eval()(**pixels).pooler_output
    expected = torch.nn.functional.normalize(pooled, dim=-1).numpy()
    np.testing.assert_allclose(scorer(images), expected, atol=1e-5)
