"""A blend of two styles' models: from the style file to header, lineage, scores, report, status."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file

from styledag.cli.main import cli
from styledag.defs.partitions import read_partitions
from styledag.demo.wiki import DemoWiki
from styledag.errors import StyledagError
from styledag.graph.catalogue import Catalogue
from styledag.graph.checking.preflight import require_ready
from styledag.graph.lineage import trace
from styledag.graph.status import style_status
from styledag.graph.tracing.ancestry import find_artifact, lineage_of
from styledag.manifest import read_rows
from styledag.models.compute import ComputeSettings
from styledag.project import Project
from styledag.scoring.records import ScoreRow
from styledag.scoring.score import SCORES
from styledag_tests.whole.small_project import MODEL, STYLE, Outcome, make_project, run_all

OTHER = "other.full"
BOTH = f"{MODEL}@both"
WEIGHTS = "diffusion_pytorch_model.safetensors"
XL = {
    "_class_name": "StableDiffusionXLPipeline",
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"],
}
MIXED = f"blends: {{weights: [1.0], mixed: {{both: {{{OTHER}: 0.75, {MODEL}: 0.25}}}}}}\n"


@dataclass(frozen=True)
class Ran:
    """A project with two styles, one of which blends both models."""

    project: Project
    refused: str
    outcome: Outcome

    @property
    def graph(self) -> Catalogue:
        return Catalogue(self.project)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, starter: Path, wiki: DemoWiki) -> Ran:
    project = make_project(tmp_path_factory.mktemp("mixed"), starter, wiki.url)
    small = project.styles_folder / f"{STYLE}.yaml"
    text = small.read_text("utf-8").replace("    epochs: 2\n", "    epochs: 1\n")
    text = text.replace("[a cat face, a rocket]", "[a cat face]")
    (project.styles_folder / "other.yaml").write_text(of_category(text, "food"), "utf-8")
    blends = "blends: {weights: [0.0, 0.5, 1.0]}\n"
    assert blends in text
    told = "  scorer: "
    assert told in text
    text = text.replace(told, f"  other_styles: [other]\n{told}")
    small.write_text(of_category(text, "animals").replace(blends, MIXED), "utf-8")
    before = Path.cwd()
    os.chdir(project.root)
    with pytest.raises(StyledagError) as refused:
        require_ready(Catalogue(project), STYLE, [], ComputeSettings(device="cpu"))
    result = CliRunner().invoke(cli, ["run", OTHER, "--to", "ema_unet", "--device", "cpu"])
    assert result.exception is None, result.output
    require_ready(Catalogue(project), STYLE, [], ComputeSettings(device="cpu"))
    outcome = run_all(project)
    os.chdir(before)
    return Ran(project, str(refused.value), outcome)


def of_category(text: str, category: str) -> str:
    changed = re.sub(
        r"start: \[.*(\"[^\"]*/category/)animals\".*\]", rf'start: [\1{category}"]', text
    )
    assert changed != text
    return changed


def test_it_is_refused_before_anything_runs_while_the_other_is_not_trained(ran: Ran) -> None:
    line, of_scores = ran.refused.splitlines()
    assert f"{STYLE}.yaml:" in line
    assert f"blends.mixed.both.{OTHER} is not trained yet" in line
    assert f"run `styledag run {OTHER} --to ema_unet` first" in line
    assert "scores.other_styles[0] is 'other', of which there is no dataset" in of_scores


def test_the_blend_is_the_weighted_sum_and_its_header_names_both_parents(ran: Ran) -> None:
    graph = ran.graph
    merged = graph.store.require("merged_unet", f"{MODEL}/both")
    models = {name: graph.store.require("ema_unet", name) for name in (MODEL, OTHER)}
    with safe_open(merged.folder / WEIGHTS, "pt") as opened:
        header = opened.metadata()
    for name, model in models.items():
        assert header[f"styledag.tuned.{name}"] == model.version
    assert json.loads(header["styledag.models"]) == [OTHER, MODEL]
    assert json.loads(header["styledag.weight"]) == [0.75, 0.25]
    ours, theirs = (load_file(models[name].folder / "unet" / WEIGHTS) for name in (MODEL, OTHER))
    moved = 0.0
    for name, tensor in load_file(merged.folder / WEIGHTS).items():
        torch.testing.assert_close(tensor, 0.25 * ours[name] + 0.75 * theirs[name])
        moved += float((ours[name].double() - theirs[name].double()).norm())
    assert moved > 0


def test_lineage_states_the_images_and_recipes_of_both(ran: Ran) -> None:
    store = ran.graph.store
    lineage = lineage_of(trace(store, find_artifact(store, f"{MODEL}:both")), images=True)
    assert find_artifact(store, BOTH).version == lineage.version
    datasets = [store.require("image_dataset", style) for style in (STYLE, "other")]
    assert set(lineage.dataset_versions) == {each.version for each in datasets}
    assert lineage.image_count == sum(each.facts["images"] for each in datasets)
    assert {image.page_url.rpartition("/")[2] for image in lineage.images} >= {"bug", "lemon"}
    assert set(lineage.recipe) == {MODEL, OTHER}
    own = lineage_of(trace(store, store.require("ema_unet", MODEL)))
    assert own.image_count == datasets[0].facts["images"]
    assert "epochs" in own.recipe


def test_it_is_drawn_scored_and_reported_as_one_more_blend(ran: Ran) -> None:
    store = ran.graph.store
    grid = ran.outcome.of("sample_grid", BOTH)
    assert grid["mixed"] == "both"
    assert "weight" not in grid
    rows = read_rows(store.require("scores", MODEL).folder / SCORES, ScoreRow)
    (row,) = [row for row in rows if row.name == "blend both"]
    assert (row.kind, row.weight, row.amount) == ("blend", None, grid["amount"])
    assert 0 < row.amount < 1
    assert row.style_learned.value is not None
    page = (store.require("model_report", MODEL).folder / "report.html").read_text("utf-8")
    assert "Blend both of several models" in page


def test_scores_tell_the_style_from_the_images_of_the_other(ran: Ran) -> None:
    store = ran.graph.store
    scores = store.require("scores", MODEL)
    read = {each.partition: each.version for each in scores.build.inputs}
    assert read["other"] == store.require("image_dataset", "other").version
    assert scores.facts["other_styles"] == ["other"]
    page = (store.require("model_report", MODEL).folder / "report.html").read_text("utf-8")
    assert "own images and those of other, whichever it tells worst" in page


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ("[nobody]", r"\[0\] is 'nobody', of which there is no dataset: run `styledag run nobody"),
        ("[other, small]", r"\[1\] is this style itself"),
    ],
)
def test_other_styles_that_are_not_there_are_refused_by_name(
    ran: Ran, others: str, why: str
) -> None:
    path = ran.project.styles_folder / f"{STYLE}.yaml"
    before = path.read_text("utf-8")
    path.write_text(before.replace("other_styles: [other]", f"other_styles: {others}"), "utf-8")
    try:
        with pytest.raises(StyledagError, match=rf"{STYLE}\.yaml:\d+: scores\.other_styles{why}"):
            require_ready(ran.graph, STYLE, [], ComputeSettings(device="cpu"))
    finally:
        path.write_text(before, "utf-8")


def test_its_card_names_the_data_and_licences_of_both(ran: Ran, tmp_path: Path) -> None:
    to = tmp_path / "exported"
    arguments = ["--project", str(ran.project.root), "export", "model", f"{MODEL}:both"]
    result = CliRunner().invoke(cli, [*arguments, "--format", "diffusers", "--to", str(to)])
    assert result.exception is None, result.output
    card = (to / "README.md").read_text("utf-8").replace("\\", "")  # Markdown's escapes
    for style in (STYLE, "other"):
        assert ran.graph.store.require("image_dataset", style).version in card
    assert f"ema_unet of {OTHER}" in card


def test_the_web_ui_shows_it_behind_both_models(ran: Ran) -> None:
    graph, partitions = ran.graph, read_partitions(ran.project)
    ema, merged = graph.stages["ema_unet"], graph.stages["merged_unet"]
    reads = next(each for each in merged.reads if each.asset == "ema_unet")
    mapping = partitions.mapping(ema, merged, reads)
    found = mapping.get_downstream_partitions_for_partitions(  # type: ignore[union-attr]
        partitions.definition(ema).subset_with_partition_keys([OTHER]),
        partitions.definition(ema),
        partitions.definition(merged),
    )
    assert BOTH in found.get_partition_keys()
    assert f"{MODEL}@1.00" not in found.get_partition_keys()


def test_another_version_of_the_other_model_makes_it_anew_and_nothing_before_it(ran: Ran) -> None:
    assert not [each for each in style_status(ran.graph, STYLE) if each.state != "current"]
    path = ran.project.styles_folder / "other.yaml"
    before = path.read_text("utf-8")
    path.write_text(before.replace("batch_size: 8", "batch_size: 4"), "utf-8")
    try:
        arguments = ["--project", str(ran.project.root), "run", OTHER, "--to", "ema_unet"]
        result = CliRunner().invoke(cli, [*arguments, "--device", "cpu"])
        assert result.exception is None, result.output
        outdated = {
            (each.asset, each.partition): each.why
            for each in style_status(ran.graph, STYLE)
            if each.state != "current"
        }
        assert outdated["merged_unet", BOTH] == "ema_unet changed"
        assert {asset for asset, _ in outdated} == {
            "merged_unet", "sample_grid", "scores", "model_report",
        }  # fmt: skip
    finally:
        path.write_text(before, "utf-8")


@pytest.mark.parametrize(
    ("mixed", "why"),
    [
        ("both: {nobody.full: 0.5, small.full: 0.5}", r"there is no style 'nobody'"),
        ("both: {other.half: 0.5, small.full: 0.5}", r"style other does not have: it has full"),
        ("both: {other.full: 0.5, other.half: 0.5}", r"names no model of small"),
    ],
)
def test_models_that_are_not_there_are_refused_by_name(ran: Ran, mixed: str, why: str) -> None:
    path = ran.project.styles_folder / f"{STYLE}.yaml"
    before = path.read_text("utf-8")
    path.write_text(before.replace(MIXED, f"blends: {{mixed: {{{mixed}}}}}\n"), "utf-8")
    try:
        with pytest.raises(StyledagError, match=rf"{STYLE}\.yaml:\d+: blends\.mixed\.both.*{why}"):
            require_ready(ran.graph, STYLE, [], ComputeSettings(device="cpu"))
    finally:
        path.write_text(before, "utf-8")


@pytest.mark.parametrize(
    ("file", "changes", "why"),
    [
        ("model_index.json", XL, "family Stable Diffusion XL and small one of Stable Diffusion 1"),
        (
            "unet/config.json",
            {"cross_attention_dim": 999},
            "shape: 'cross_attention_dim' is 999, but",
        ),
    ],
)
def test_bases_of_another_kind_are_refused_by_name(
    ran: Ran, starter: Path, tmp_path: Path, file: str, changes: dict[str, object], why: str
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    for each in (starter / "stable-diffusion").iterdir():
        (base / each.name).symlink_to(each)
    changed = base / file
    if changed.parent != base:
        changed.parent.unlink()
        changed.parent.mkdir()
    original = starter / "stable-diffusion" / file
    changed.unlink(missing_ok=True)
    changed.write_text(json.dumps(json.loads(original.read_text()) | changes))
    path = ran.project.styles_folder / "other.yaml"
    before = path.read_text("utf-8")
    path.write_text(before.replace(f"{starter}/stable-diffusion", str(base)), "utf-8")
    try:
        with pytest.raises(StyledagError, match=why):
            require_ready(ran.graph, STYLE, [], ComputeSettings(device="cpu"))
    finally:
        path.write_text(before, "utf-8")
