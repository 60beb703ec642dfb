"""Every merge method through the graph, and a checkpoint from elsewhere as a parent."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from styledag.cli.main import cli
from styledag.demo.wiki import DemoWiki
from styledag.errors import StyledagError
from styledag.graph.catalogue import Catalogue
from styledag.graph.checking.preflight import require_ready
from styledag.graph.lineage import trace
from styledag.graph.snapshots import read_final
from styledag.graph.status import style_status
from styledag.merging.method import settings_classes
from styledag.merging.methods.add_difference import AddDifference
from styledag.models.compute import ComputeSettings
from styledag.project import Project
from styledag.publishing.model_file import ModelDescription
from styledag.publishing.single_file.export import export_single_file
from styledag.store.artifact import Artifact
from styledag.tensors.layout import WEIGHTS_FILE
from styledag_tests.bases.tiny_parts import change
from styledag_tests.whole.small_project import MODEL, STYLE, make_project

BLENDS = "blends: {weights: [0.0, 0.5, 1.0]}\n"
METHODS = sorted(
    get_args(get_type_hints(each)["type"])[0]
    for each in settings_classes()
    if each.__module__.startswith("styledag.") and each is not AddDifference
)
SETTINGS = {"layer_swap": ", layers: ['*.attn2.*']"}
"""What a method needs beside its name."""


@dataclass(frozen=True)
class Trained:
    """A project whose model is trained, and its style file without blends."""

    project: Project
    text: str

    def declare(self, blends: str) -> None:
        path = self.project.styles_folder / f"{STYLE}.yaml"
        path.write_text(f"{self.text}blends: {blends}\n", "utf-8")

    def blended(self, blends: str, key: str) -> Artifact:
        """Return one blend of the model, made through the graph."""
        self.declare(blends)
        run = CliRunner().invoke(cli, ["run", MODEL, "--to", "merged_unet", "--device", "cpu"])
        if run.exception is not None:
            raise run.exception
        return Catalogue(self.project).store.require("merged_unet", f"{MODEL}/{key}")

    def tuned_share(self) -> float:
        """Return how much of the model's average is not the base."""
        model = Catalogue(self.project).store.require("ema_unet", MODEL)
        return 1 - read_final(model).base_share

    def tuned(self) -> dict[str, torch.Tensor]:
        model = Catalogue(self.project).store.require("ema_unet", MODEL)
        return load_file(model.folder / "unet" / WEIGHTS_FILE)


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, starter: Path, wiki: DemoWiki
) -> Iterator[Trained]:
    project = make_project(tmp_path_factory.mktemp("methods"), starter, wiki.url)
    text = (project.styles_folder / f"{STYLE}.yaml").read_text("utf-8")
    assert BLENDS in text
    text = text.replace(BLENDS, "").replace("epochs: 2", "epochs: 1")
    with chdir(project.root):
        yield Trained(project, text)


@pytest.fixture(scope="module")
def foreign(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the starter's family in one file, whose denoiser is another one."""
    pipeline = tmp_path_factory.mktemp("foreign") / "pipeline"
    shutil.copytree(starter / "stable-diffusion", pipeline)
    unet = pipeline / "unet" / WEIGHTS_FILE
    random = torch.Generator().manual_seed(0)
    tensors = {
        name: each + 0.01 * torch.randn(each.shape, generator=random).to(each.dtype)
        for name, each in load_file(unet).items()
    }
    unet.chmod(0o644)
    save_file(tensors, unet)
    path = pipeline.parent / "foreign.safetensors"
    export_single_file(pipeline, path, ModelDescription(title="Foreign"), dtype="float32")
    return path


@pytest.mark.parametrize(
    "method",
    # The one with most to state stands for the others, each of which has tests of its own.
    [each if each == "dare" else pytest.param(each, marks=pytest.mark.slow) for each in METHODS],
)
def test_a_style_file_blends_by_each_method(trained: Trained, starter: Path, method: str) -> None:
    settings = f"{{type: {method}{SETTINGS.get(method, '')}}}"
    merged = trained.blended(
        f"{{weights: [0.0, 0.5], method: {settings}, block_weights: {{mid: 0.0}}}}", "0.50"
    )
    assert merged.facts["method"] == method
    base = load_file(starter / "stable-diffusion" / "unet" / WEIGHTS_FILE)
    found = load_file(merged.folder / WEIGHTS_FILE)
    moved = {name for name, each in found.items() if not torch.equal(each, base[name])}
    assert moved
    assert not [name for name in moved if name.startswith("mid_block.")]
    tuned = trained.tuned()
    assert [name for name in moved if not torch.equal(found[name], tuned[name])]


def test_a_style_is_added_to_a_checkpoint_from_elsewhere_which_is_a_parent(
    trained: Trained, starter: Path, foreign: Path
) -> None:
    onto = f"{{model: {foreign}, config: {starter}/stable-diffusion}}"
    merged = trained.blended(
        f"{{weights: [0.5], method: {{type: add_difference, onto: {onto}}}}}", "0.50"
    )
    parent = next(each for each in merged.build.inputs if each.name == "onto")
    with safe_open(merged.folder / WEIGHTS_FILE, "pt") as opened:
        header = opened.metadata()
    assert header["styledag.onto"] == parent.version != header["styledag.base"]
    assert header["styledag.method"] == "add_difference"
    assert parent.partition == str(foreign)
    assert parent in [each.input for each in trace(Catalogue(trained.project).store, merged)]
    base = load_file(starter / "stable-diffusion" / "unet" / WEIGHTS_FILE)
    other = load_file(foreign.parent / "pipeline" / "unet" / WEIGHTS_FILE)
    tuned = trained.tuned()
    for name, tensor in load_file(merged.folder / WEIGHTS_FILE).items():
        expected = other[name].float() + 0.5 * (tuned[name].float() - base[name].float())
        torch.testing.assert_close(tensor.float(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", ["lerp", pytest.param("ties", marks=pytest.mark.slow)])
def test_a_fine_tune_made_elsewhere_has_its_share_in_a_blend_of_several(
    trained: Trained, starter: Path, foreign: Path, method: str
) -> None:
    elsewhere = f"{{photo: {{model: {foreign}, config: {starter}/stable-diffusion}}}}"
    merged = trained.blended(
        f"{{weights: [1.0], method: {method}, foreign: {elsewhere}, "
        f"mixed: {{both: {{{MODEL}: 0.25, photo: 0.5}}}}}}",
        "both",
    )
    parent = next(each for each in merged.build.inputs if each.name == "foreign.photo")
    with safe_open(merged.folder / WEIGHTS_FILE, "pt") as opened:
        header = opened.metadata()
    assert header["styledag.tuned.photo"] == parent.version != header["styledag.base"]
    assert parent.partition == str(foreign)
    share = trained.tuned_share()
    assert json.loads(header["styledag.amount"]) == pytest.approx([0.5, 0.25 * share])
    traced = trace(Catalogue(trained.project).store, merged)
    assert parent in [each.input for each in traced]
    if method == "lerp":
        base = load_file(starter / "stable-diffusion" / "unet" / WEIGHTS_FILE)
        other = load_file(foreign.parent / "pipeline" / "unet" / WEIGHTS_FILE)
        tuned = trained.tuned()
        for name, tensor in load_file(merged.folder / WEIGHTS_FILE).items():
            ours, elsewheres = (each[name].float() - base[name].float() for each in (tuned, other))
            expected = base[name].float() + 0.25 * ours + 0.5 * elsewheres
            torch.testing.assert_close(tensor.float(), expected, rtol=1e-3, atol=1e-4)
    grids = CliRunner().invoke(cli, ["run", MODEL, "--to", "sample_grid", "--device", "cpu"])
    assert grids.exception is None, grids.output
    states = {
        (each.asset, each.partition): each.state
        for each in style_status(Catalogue(trained.project), STYLE)
    }
    assert states["sample_grid", f"{MODEL}@both"] == "current"


def test_a_checkpoint_that_does_not_fit_is_refused_before_anything_runs(
    trained: Trained, starter: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(starter / "stable-diffusion", other)
    config = other / "unet" / "config.json"
    config.chmod(0o644)
    wider = config.read_text().replace('"cross_attention_dim": ', '"cross_attention_dim": 9')
    config.write_text(wider)
    (tmp_path / "damaged").mkdir()
    damaged = tmp_path / "damaged" / "base"
    shutil.copytree(starter / "stable-diffusion", damaged)
    os.truncate(damaged / "unet" / WEIGHTS_FILE, 1000)
    (tmp_path / "v").mkdir()
    predicts_v = tmp_path / "v" / "base"
    shutil.copytree(starter / "stable-diffusion", predicts_v)
    scheduler = predicts_v / "scheduler" / "scheduler_config.json"
    scheduler.chmod(0o644)
    change(scheduler, prediction_type="v_prediction")
    for model, why in (
        (other, "names a base whose denoiser is of another shape: 'cross_attention_dim' is"),
        (predicts_v, "names a base whose prediction_type is 'v_prediction', but 'epsilon' in"),
        ("nowhere", "cannot be blended with: model 'nowhere' is no folder or file"),
        (damaged, f"cannot be blended with: .*{WEIGHTS_FILE}"),
    ):
        trained.declare(f"{{method: {{type: add_difference, onto: {{model: {model}}}}}}}")
        with pytest.raises(StyledagError, match=rf"{STYLE}\.yaml:\d+: blends\.method\.onto {why}"):
            require_ready(Catalogue(trained.project), STYLE, (), ComputeSettings(device="cpu"))
        trained.declare(f"{{foreign: {{photo: {{model: {model}}}}}}}")
        with pytest.raises(
            StyledagError, match=rf"{STYLE}\.yaml:\d+: blends\.foreign\.photo {why}"
        ):
            require_ready(Catalogue(trained.project), STYLE, (), ComputeSettings(device="cpu"))
