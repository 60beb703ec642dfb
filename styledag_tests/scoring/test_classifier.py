"""What a classifier takes for the style: counted, asked once for each image, refused if unfit."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

from styledag.demo.judge import COLOURS, ArtistJudge, palette_and_shades
from styledag.errors import ModelError
from styledag.models.compute import Compute
from styledag.models.reference import ModelReference
from styledag.scoring.classifier import StyleClassifier
from styledag.scoring.embedding_scorer import EmbeddingScorer
from styledag.scoring.records import Estimate
from styledag.scoring.settings import ClassifierSettings, ScoreSettings
from styledag.store.workspace import Workspace
from styledag_tests.scoring.test_score import (
    PROMPTS,
    SEEDS,
    blend,
    judged,
    rows_of,
    style_images,
)
from tools.starter.artist_judge import save_artist_judge

CPU = Compute(torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that takes what is nearly one yellow for Twemoji's, and all else for Noto's."""
    folder = tmp_path_factory.mktemp("classifier")
    judge = ArtistJudge().requires_grad_(False)
    for parameter in judge.parameters():
        parameter.zero_()
    pixels = torch.tensor([250, 215, 0])[None, :, None, None].expand(1, 3, 64, 64) / 255
    judge.head[0].weight[0, : COLOURS**3] = palette_and_shades(pixels)[0, : COLOURS**3]
    judge.head[3].weight[2, 0] = 1.0
    judge.head[3].bias[0] = 1.0
    save_artist_judge(judge, folder)
    return folder


def classifier(folder: Path, label: str = "twemoji", *prompts: str) -> StyleClassifier:
    settings = ClassifierSettings(model="classifier", label=label, prompts=prompts)
    return StyleClassifier(folder, "v" * 64, settings, CPU, batch_size=4)


@pytest.fixture
def scorer(starter: Path) -> EmbeddingScorer:
    return EmbeddingScorer(starter / "clip", "v" * 64, CPU)


def test_a_classifier_of_one_label_is_refused(tmp_path: Path) -> None:
    config = ViTConfig(
        num_labels=1, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, image_size=16, patch_size=8,
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="has a single label"):
        _ = classifier(tmp_path, "LABEL_0").label


@pytest.mark.parametrize("several", [True, False])
def test_of_several_labels_an_image_may_have_the_styles_beside_likelier_ones(
    tmp_path: Path, several: bool
) -> None:
    """As of taggers, whose labels are no alternatives: each has a probability of its own."""
    kind = "multi_label_classification" if several else "single_label_classification"
    config = ViTConfig(
        num_labels=3, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, image_size=16, patch_size=8, problem_type=kind,
    )  # fmt: skip
    model = ViTForImageClassification(config)
    model.classifier.weight.data.zero_()
    model.classifier.bias.data = torch.tensor([2.0, 1.0, -1.0])
    model.save_pretrained(tmp_path)
    ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(tmp_path)
    image = Image.new("RGB", (16, 16))
    for label, expected in enumerate([True, several, False]):
        judge = classifier(tmp_path, f"LABEL_{label}")
        assert judge.takes(judge([image])).tolist() == [expected]
    rows = judge([image])[0]
    torch.testing.assert_close(
        torch.tensor(rows),
        torch.tensor([2.0, 1.0, -1.0]).sigmoid()
        if several
        else torch.tensor([2.0, 1.0, -1.0]).softmax(0),
    )


def test_the_share_that_is_taken_for_the_style_rises_with_it(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path, folder: Path
) -> None:
    candidates = [blend(tmp_path, weight) for weight in (0.0, 1.25)]
    facts = judged(workspace, scorer, candidates, classifier=classifier(folder))
    shares = [row.taken_for_style.value for row in rows_of(workspace)]
    assert shares == [0, 1]
    assert facts["classifier"] == classifier(folder).version


def test_its_gap_says_whether_it_knows_the_style_and_it_decides_nothing(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path, folder: Path
) -> None:
    candidates = [blend(tmp_path, weight) for weight in (0.0, 0.5, 1.25)]
    alone = judged(workspace, scorer, candidates)
    yellow = style_images(workspace, 100, 6, style=1.0)
    knows = judged(
        workspace, scorer, candidates, classifier=classifier(folder), style_heldout=yellow
    )
    gap = Estimate(**knows["gaps"]["classifier"])
    assert gap.is_above_zero
    assert gap.value is not None
    assert gap.value > 0.1
    another = judged(workspace, scorer, candidates, classifier=classifier(folder, "fluent"))
    assert not Estimate(**another["gaps"]["classifier"]).is_above_zero
    assert alone["recommended"] == knows["recommended"] == another["recommended"]


def test_only_images_of_its_prompts_are_asked_about_and_each_once(
    workspace: Workspace, scorer: EmbeddingScorer, tmp_path: Path, folder: Path
) -> None:
    candidates = [blend(tmp_path, weight) for weight in (0.0, 1.0)]
    judged(workspace, scorer, candidates)
    assert [row.taken_for_style.value for row in rows_of(workspace)] == [None, None]
    for _ in range(2):
        judged(workspace, scorer, candidates, classifier=classifier(folder, "noto", "a red apple"))
        # The base's images of the other prompts are classified too, for the gap.
        others = (len(PROMPTS) - 1) * len(SEEDS)
        assert workspace.work["classifications"] == len(candidates) * len(SEEDS) + others
    assert rows_of(workspace)[0].taken_for_style.value == 1


def test_a_model_type_of_an_installed_package_is_read(folder: Path) -> None:
    """In a process of its own: this one has imported the model type's module already."""
    code = f"""
import torch
from pathlib import Path
from styledag.models.compute import Compute
from styledag.scoring.classifier import StyleClassifier
from styledag.scoring.settings import ClassifierSettings

settings = ClassifierSettings(model="classifier", label="twemoji")
compute = Compute(torch.device("cpu"), torch.float32)
print(StyleClassifier(Path({str(folder)!r}), "v" * 64, settings, compute).label)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "2", done.stderr


def test_a_label_that_it_does_not_have_is_refused_with_those_it_has(folder: Path) -> None:
    with pytest.raises(ModelError, match="no label 'manga': name one of its own, noto, fluent, tw"):
        assert classifier(folder, "manga").label


def test_a_model_that_is_no_classifier_is_refused(starter: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="of the image classifier"):
        assert classifier(starter / "clip").label
    with pytest.raises(ModelError, match="holds no image classifier"):
        assert classifier(tmp_path).label


def test_damaged_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    judge = ArtistJudge().requires_grad_(False)
    judge.head[3].bias[1] = float("nan")
    save_artist_judge(judge, damaged)
    with pytest.raises(ModelError, match="gives NaN"):
        classifier(damaged)([Image.new("RGB", (64, 64), "yellow")])


def test_settings_name_a_model_and_its_label() -> None:
    settings = ScoreSettings(
        scorer=ModelReference(model="clip"),
        classifier=ClassifierSettings(model="judge", label="twemoji"),
    )
    assert settings.classifier is not None
    assert settings.classifier.prompts == ()
