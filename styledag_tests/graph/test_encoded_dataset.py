"""What encoding is planned from, and what it makes of a recipe for DreamBooth."""

from pathlib import Path
from typing import Any

import pytest
import torch

from styledag.dataset.build import build_image_dataset
from styledag.dataset.settings import DatasetSettings
from styledag.graph.build import build_planned
from styledag.graph.catalogue import Catalogue
from styledag.graph.names import Partition
from styledag.graph.plan import plan_build
from styledag.models.compute import Compute
from styledag.progress import SilentProgress
from styledag.project import Project
from styledag.store.store import Built, Target
from styledag.store.workspace import Workspace
from styledag.training.encoding.dataset import EncodedDataset
from styledag_tests.dataset.captioned import captioned_manifest
from styledag_tests.whole.small_project import STYLE, make_project

MODEL = Partition(STYLE, "full")
DREAMBOOTH = """\
    instance_prompt: a sks drawing
    prior: {class_prompt: a drawing, images: 2, num_inference_steps: 2, loss_weight: 0.5}
"""


@pytest.fixture
def project(tmp_path: Path, starter: Path) -> Project:
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")

    def write(workspace: Workspace) -> dict[str, Any]:
        return build_image_dataset(
            captioned_manifest(workspace, 4),
            DatasetSettings(validation_share=0),
            workspace,
            style=STYLE,
            description="",
        )

    target = Target(
        asset="image_dataset", partition=STYLE, code_version="1", settings={}, inputs=()
    )
    Catalogue(project).store.build(target, write)
    return project


def edit(project: Project, find: str, replace: str) -> None:
    path = project.styles_folder / f"{STYLE}.yaml"
    text = path.read_text(encoding="utf-8")
    assert find in text
    path.write_text(text.replace(find, replace), encoding="utf-8")


def encoded(project: Project) -> Built:
    graph = Catalogue(project)
    compute = Compute(torch.device("cpu"), torch.float32)
    return build_planned(
        plan_build(graph, "encoded_dataset", MODEL),
        graph.store,
        lambda: compute,
        progress=SilentProgress(),
        on_part=lambda _plan, _built: None,
    )


def test_only_a_prior_depends_on_the_unet(project: Project) -> None:
    graph = Catalogue(project)
    without = plan_build(graph, "encoded_dataset", MODEL).target
    assert [each.name for each in without.inputs] == ["image_dataset", "base_encoders"]
    edit(project, "    epochs: 2\n", "    epochs: 2\n" + DREAMBOOTH)
    target = plan_build(graph, "encoded_dataset", MODEL).target
    assert [each.name for each in target.inputs] == ["image_dataset", "base_encoders", "base"]
    edit(project, "loss_weight: 0.5", "loss_weight: 0.25")
    assert plan_build(graph, "encoded_dataset", MODEL).target == target
    edit(project, "images: 2", "images: 3")
    assert plan_build(graph, "encoded_dataset", MODEL).target != target


def test_dreambooth_is_encoded_once_and_counted(project: Project) -> None:
    plain = encoded(project)
    assert plain.artifact.facts["prior"] == 0
    assert "samples" not in plain.work
    edit(project, "    epochs: 2\n", "    epochs: 2\n" + DREAMBOOTH)
    first = encoded(project)
    facts = first.artifact.facts
    assert (facts["train"], facts["prior"], facts["prior_images"]) == (4, 2, 2)
    assert first.work == {"samples": 2, "encodes": 2, "text_encodes": 2}
    dataset = EncodedDataset.open(first.artifact.folder)
    said = {
        split: {dataset.captions[at] for each in samples for at in each.captions}
        for split, samples in (("train", dataset.train), ("prior", dataset.prior))
    }
    assert said == {"train": {"a sks drawing"}, "prior": {"a drawing"}}
    assert all(each.family for each in dataset.train)
    edit(project, "images: 2", "images: 3")
    assert encoded(project).work == {"samples": 1, "encodes": 1}
