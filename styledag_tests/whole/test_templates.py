"""The style file that ``styledag new`` writes for each base, run to its report on a tiny base."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from styledag.cli.main import cli
from styledag.graph.catalogue import Catalogue
from styledag.graph.checking.training_check import check_training
from styledag.graph.names import Partition
from styledag.graph.status import style_status
from styledag.models.compute import ComputeSettings
from styledag.project import Project
from styledag.style.template import base_names
from styledag_tests.bases.families import tiny_families
from styledag_tests.whole.small_project import run_all

STYLE = "s"
FAMILY_OF = {template: each for each in tiny_families().values() for template in each.templates}


def write_project(root: Path, template: str, starter: Path) -> Project:
    """Write a project of ten images with a template's recipes, a few steps each."""
    (root / "images").mkdir(parents=True)
    shutil.copy(Path(__file__).parents[2] / "dagster.yaml", root)
    rng = np.random.default_rng(0)
    for at in range(10):
        pixels = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize((96, 80 + 4 * at), Image.Resampling.NEAREST)
        image.save(root / "images" / f"{at}.png")
        (root / "images" / f"{at}.txt").write_text(f"thing number {at}")
    base = FAMILY_OF[template].write(root / "base", starter / "stable-diffusion" / "tokenizer")
    called = CliRunner().invoke(cli, ["--project", str(root), "new", STYLE, "--base", template])
    assert called.exit_code == 0, called.output
    project = Project.at(root)
    path = project.styles_folder / f"{STYLE}.yaml"
    style = yaml.safe_load(path.read_text("utf-8"))
    style["base"] = {"model": str(base)}
    style["sources"] = [{"type": "folder", "path": "images"}]
    style["images"]["size_px"] = 64
    style["curation"] = {**style["curation"], "min_side_px": 16, "embedding": "pixels"}
    style["captions"] = {"sources": ["caption"]}
    style["dataset"] = {"validation_share": 0.2}
    for recipe in style["recipes"].values():
        recipe |= {
            "epochs": 2,
            "snapshot_every_epochs": 1,
            "batch_size": 4,
            "lr_warmup_steps": 0,
        }
    style["samples"] |= {"prompts": ["a cat"], "seeds": [0, 1], "num_inference_steps": 3}
    style["blends"] = {"weights": [0.0, 0.5, 1.0]}
    style["scores"] = {"scorer": {"model": str(starter / "clip")}, "loss_images": 3}
    path.write_text(yaml.safe_dump(style), "utf-8")
    return project


def test_each_template_has_a_family() -> None:
    assert FAMILY_OF.keys() == set(base_names())


@pytest.mark.parametrize("template", sorted(FAMILY_OF))
def test_its_recipes_fit_a_machine_without_a_gpu(
    template: str, tmp_path: Path, starter: Path
) -> None:
    catalogue = Catalogue(write_project(tmp_path, template, starter))
    for recipe in catalogue.style(STYLE).recipes:
        model = Partition(STYLE, recipe)
        found = list(check_training(catalogue, model, ComputeSettings(device="cpu")))
        assert [each.detail for each in found if not each.is_fine] == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("in_folder")
@pytest.mark.parametrize("template", sorted(FAMILY_OF))
def test_its_recipes_run_to_their_reports(template: str, tmp_path: Path, starter: Path) -> None:
    project = write_project(tmp_path, template, starter)
    run_all(project, STYLE)
    catalogue = Catalogue(project)
    assert {each.state for each in style_status(catalogue, STYLE)} == {"current"}
    for recipe in catalogue.style(STYLE).recipes:
        assert catalogue.store.require("model_report", f"{STYLE}.{recipe}").files
