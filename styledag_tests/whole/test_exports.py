"""What a real run made can be exported, with scores and grid on the card."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from diffusers import DiffusionPipeline
from PIL import Image

from styledag.cli.main import cli
from styledag.graph.catalogue import Catalogue
from styledag.graph.lineage import trace
from styledag.graph.tracing.ancestry import find_artifact, lineage_of
from styledag.sampling.grid import GRID
from styledag_tests.bases.loading import load_unet
from styledag_tests.whole.conftest import Undisturbed
from styledag_tests.whole.small_project import MODEL, STYLE


@pytest.fixture
def graph(undisturbed: Undisturbed) -> Catalogue:
    return Catalogue(undisturbed.project)


def call(graph: Catalogue, *arguments: object) -> None:
    given = ["--project", str(graph.project.root), *map(str, arguments)]
    CliRunner().invoke(cli, given, catch_exceptions=False, standalone_mode=False)


def plain(path: Path) -> str:
    return path.read_text(encoding="utf-8").replace("\\", "")


@pytest.mark.parametrize(
    ("name", "unet", "is_scored"),
    [
        (MODEL, "unet", True),
        (f"{MODEL}@1", "unet", False),
        (f"{MODEL}:0.5", ".", True),
    ],
)
def test_each_kind_of_model_draws(
    graph: Catalogue, tmp_path: Path, name: str, unet: str, is_scored: bool
) -> None:
    to = tmp_path / "model"

    call(graph, "export", "model", name, "--dtype", "fp32", "--to", to)

    model = find_artifact(graph.store, name)
    pipeline = DiffusionPipeline.from_pretrained(to)
    expected = load_unet(model.folder / unet, subfolder="").state_dict()
    read = pipeline.unet.state_dict()
    assert all(torch.equal(read[key], each.float()) for key, each in expected.items())
    card = plain(to / "README.md")
    assert lineage_of(trace(graph.store, model)).dataset_versions[0] in card
    assert ("## Scores" in card) == ("| retention |" in card) == is_scored
    assert (to / "samples.png").exists() == is_scored


def test_the_grid_on_the_card_is_the_blend_of_that_weight(graph: Catalogue, tmp_path: Path) -> None:
    to = tmp_path / "model.safetensors"

    call(graph, "export", "model", MODEL, "--format", "single-file", "--to", to)

    grid = graph.store.require("sample_grid", f"{MODEL}/1.00").folder / GRID
    with Image.open(to.with_suffix(".png")) as shown, Image.open(grid) as drawn:
        assert shown.tobytes() == drawn.tobytes()


def test_the_dataset_of_the_run_is_exported(graph: Catalogue, tmp_path: Path) -> None:
    to = tmp_path / "dataset"

    call(graph, "export", "dataset", STYLE, "--for", "diffusers", "--to", to)

    facts = graph.store.require("image_dataset", STYLE).facts
    assert len(list((to / "train").glob("*.jpg"))) == facts["train"]
    assert "--num_train_epochs=2" in (to / "train.sh").read_text()
