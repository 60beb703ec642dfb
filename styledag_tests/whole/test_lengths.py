"""A length of the average as one more blend, and shares of blocks, from style file to report."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from styledag.cli.main import cli
from styledag.dataset.read import read_dataset
from styledag.defs.partitions import read_partitions
from styledag.errors import ArtifactMissingError, StyleFileError
from styledag.graph.blending.averages import reconstruct_average
from styledag.graph.catalogue import Catalogue
from styledag.graph.comparison import compare_recipes
from styledag.graph.lineage import trace
from styledag.graph.names import Partition
from styledag.graph.plan import plan_build
from styledag.graph.status import style_status
from styledag.graph.tracing.ancestry import find_artifact, lineage_of
from styledag.manifest import read_rows
from styledag.project import Project
from styledag.sampling.index import read_frames, read_samples
from styledag.scoring.records import UNTRAINED, Estimate, ScoreRow
from styledag.scoring.score import IP_ADAPTER, SCORES, STYLE_PROMPT
from styledag.store.workspace import Workspace
from styledag_tests.bases.tiny_ip_adapter import IMAGE_ENCODER, write_ip_adapter
from styledag_tests.bases.tiny_ip_adapter import WEIGHTS as WEIGHTS_OF_ADAPTER
from styledag_tests.whole.conftest import Undisturbed, copied
from styledag_tests.whole.small_project import MODEL, STYLE, Outcome, edit, run_all

KEY = "ema-0.120"
PLAIN = f"{STYLE}.plain"
WEIGHTS = "diffusion_pytorch_model.safetensors"
CHANGES = {
    "    ema: {mode: base, base_share: 0.3}\n": "    ema: {mode: power}\n",
    "    epochs: 2\n": "    epochs: 3\n",
    "blends: {weights: [0.0, 0.5, 1.0]}\n": (
        "  plain: {trained: cross_attention, epochs: 1, batch_size: 8}\n"
        "blends: {weights: [0.0, 1.0], block_weights: {up.0: 0.5}, lengths: [0.12]}\n"
    ),
    "[a cat face, a rocket]": "[a cat face]",
    "  loss_images: 3\n": (
        "  loss_images: 3\n  style_prompt: in yellow\n"
        f"  ip_adapter: {{model: adapter, weights: {WEIGHTS_OF_ADAPTER}, "
        f"image_encoder: {IMAGE_ENCODER}, images: 2}}\n"
    ),
}


@dataclass(frozen=True)
class Ran:
    """A project with a power recipe and another, and what its run said."""

    project: Project
    outcome: Outcome

    @property
    def graph(self) -> Catalogue:
        return Catalogue(self.project)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, starter: Path, undisturbed: Undisturbed) -> Ran:
    with copied(undisturbed, tmp_path_factory.mktemp("lengths") / "project") as project:
        write_ip_adapter(project.root / "adapter", starter / "stable-diffusion" / "unet")
        for find, replace in CHANGES.items():
            edit(project, find, replace)
        outcome = run_all(project)
    return Ran(project, outcome)


def test_the_blend_is_the_sum_of_what_the_checkpoints_hold(ran: Ran) -> None:
    store = ran.graph.store
    merged = store.require("merged_unet", f"{MODEL}/{KEY}")
    with safe_open(merged.folder / WEIGHTS, "pt") as opened:
        metadata = opened.metadata()
    checkpoints = [store.require("checkpoint", f"{MODEL}/e{epoch:03d}") for epoch in (1, 2, 3)]
    for epoch, checkpoint in enumerate(checkpoints, start=1):
        assert metadata[f"styledag.checkpoint.e{epoch:03d}"] == checkpoint.version
    assert metadata["styledag.method"] == "posthoc_ema"
    assert metadata["styledag.length"] == "0.12"
    assert metadata["styledag.tuned"] == store.require("ema_unet", MODEL).version
    terms = json.loads(metadata["styledag.terms"])
    parts = [
        load_file(checkpoint.folder / unet / WEIGHTS)
        for checkpoint in checkpoints
        for unet in ("unet", "unet_second")
    ]
    blended = load_file(merged.folder / WEIGHTS)
    base = load_file(ran.graph.model(ran.graph.style(STYLE).base).folder / "unet" / WEIGHTS)
    moved = 0.0
    for name, tensor in blended.items():
        factors = [factor for _, _, factor in terms]
        expected = sum(f * part[name].double() for f, part in zip(factors, parts, strict=True))
        assert isinstance(expected, torch.Tensor)
        torch.testing.assert_close(tensor.double(), expected, rtol=1e-3, atol=1e-6)
        moved += float((tensor.double() - base[name].double()).norm())
    assert moved > 0


def test_a_block_takes_half_of_the_weight_in_blends_by_weight(ran: Ran) -> None:
    graph = ran.graph
    tuned = load_file(graph.store.require("ema_unet", MODEL).folder / "unet" / WEIGHTS)
    base = load_file(graph.model(graph.style(STYLE).base).folder / "unet" / WEIGHTS)
    blended = load_file(graph.store.require("merged_unet", f"{MODEL}/1.00").folder / WEIGHTS)
    for name, tensor in blended.items():
        share = 0.5 if name.startswith("up_blocks.0.") else 1.0
        torch.testing.assert_close(tensor, torch.lerp(base[name], tuned[name], share))
    for key in ("0.00", KEY):  # The base, and an average as training left it.
        plan = plan_build(graph, "merged_unet", Partition.parse(f"{MODEL}@{key}"))
        assert "block_weights" not in plan.target.settings
    page = graph.store.require("model_report", MODEL).folder / "report.html"
    assert "<code>up.0</code> 50%" in page.read_text("utf-8")


def test_it_is_drawn_scored_and_reported_as_one_more_blend(ran: Ran) -> None:
    store = ran.graph.store
    grid = ran.outcome.of("sample_grid", f"{MODEL}@{KEY}")
    assert grid["length"] == 0.12
    assert grid["weight"] == grid["amount"] == 1
    rows = read_rows(store.require("scores", MODEL).folder / SCORES, ScoreRow)
    assert all(row.taken_for_style.value is not None for row in rows)
    (row,) = [row for row in rows if row.length is not None]
    assert (row.name, row.kind, row.length) == ("length 0.120", "blend", 0.12)
    assert (row.weight, row.amount) == (1, 1)
    assert row.balance is not None or row.style.value is None
    page = (store.require("model_report", MODEL).folder / "report.html").read_text()
    assert "Average of length 0.120, 100% fine-tune" in page
    assert "length 0.120" in page


def test_every_checkpoint_and_blend_is_judged_by_the_bases_own_loss(ran: Ran) -> None:
    rows = read_rows(ran.graph.store.require("scores", MODEL).folder / SCORES, ScoreRow)
    (base,) = [row for row in rows if row.weight == 0]
    assert (base.style_learned.value, base.base_remembered.value) == (0, 1)
    tuned = [row for row in rows if row is not base and row.kind not in UNTRAINED]
    assert len(tuned) == 5
    for row in tuned:
        assert row.style_learned.value not in (None, 0)
        assert row.base_remembered.value not in (None, 1)
        assert row.style_learned.low is not None


def test_the_base_with_a_style_prompt_is_scored_and_shown(ran: Ran) -> None:
    scores = ran.graph.store.require("scores", MODEL).folder
    (row,) = [each for each in read_rows(scores / SCORES, ScoreRow) if each.kind == "prompt"]
    assert row.name == "base, “in yellow”"
    assert row.style_learned.value not in (None, 0)
    assert not row.recommended
    drawn = read_samples(scores / STYLE_PROMPT)
    assert drawn.keys() == {("a cat face, in yellow", 0), ("a cat face, in yellow", 1)}
    page = (ran.graph.store.require("model_report", MODEL).folder / "report.html").read_text()
    assert "Is training worth it?" in page


def test_the_base_with_an_ip_adapter_is_scored_and_shown(ran: Ran) -> None:
    store = ran.graph.store
    scores = store.require("scores", MODEL)
    (row,) = [
        each for each in read_rows(scores.folder / SCORES, ScoreRow) if each.kind == "ip_adapter"
    ]
    assert row.name == "base, IP-Adapter adapter"
    assert row.style_learned == row.base_remembered == Estimate()
    assert row.copying.value is not None
    assert not row.on_front
    (read,) = [each for each in scores.build.inputs if each.name == "ip_adapter"]
    about = json.loads((scores.folder / IP_ADAPTER / "samples.json").read_text())
    assert about["ip_adapter_version"] == read.version
    shown = about["ip_adapter_images"].split()
    rows = {row.id: row for row in read_dataset(store.require("image_dataset", STYLE).folder)}
    assert {rows[sha256].split for sha256 in shown} == {"train"}
    assert len({rows[sha256].family for sha256 in shown}) == 2
    own = read_frames(store.require("evolution", MODEL).folder)[0]
    drawn = read_samples(scores.folder / IP_ADAPTER)
    assert drawn.keys() == own.keys()
    assert all(path.read_bytes() != own[pair].read_bytes() for pair, path in drawn.items())
    page = (store.require("model_report", MODEL).folder / "report.html").read_text()
    assert "2 training images beside each, by adapter at scale 0.50" in page


def test_other_weights_of_the_adapter_make_the_scores_stale(ran: Ran) -> None:
    path = ran.project.root / "adapter" / WEIGHTS_OF_ADAPTER
    before, content = plan_build(ran.graph, "scores", Partition.parse(MODEL)), path.read_bytes()
    try:
        tensors = load_file(path)
        save_file({name: tensor + 1 for name, tensor in tensors.items()}, path)
        after = plan_build(ran.graph, "scores", Partition.parse(MODEL))
    finally:
        path.write_bytes(content)
    assert after.target != before.target
    assert after.declared != before.declared


def test_the_recipes_of_a_style_are_compared_side_by_side(ran: Ran) -> None:
    shown = CliRunner(env={"COLUMNS": "160"}).invoke(
        cli, ["--project", str(ran.project.root), "compare", STYLE]
    )
    assert shown.exit_code == 0, shown.output
    for recipe in ("full", "plain"):
        (line,) = [
            each for each in shown.output.splitlines() if each.startswith(f"{STYLE}.{recipe}")
        ]
        rows = read_rows(
            ran.graph.store.require("scores", f"{STYLE}.{recipe}").folder / SCORES, ScoreRow
        )
        judged = [row for row in rows if row.kind not in UNTRAINED]
        best = next((row for row in judged if row.recommended), judged[-1])
        assert best.name in line
    for row in ("base, “in yellow”", "base, IP-Adapter adapter"):
        assert f"{STYLE}: {row}" in shown.output
    page = (ran.project.root / "data" / "sheets" / f"{STYLE}.recipes.html").read_text("utf-8")
    assert "base, IP-Adapter adapter" in page
    assert "<code>ema.mode</code>" in page
    assert "<code>batch_size</code>" not in page
    every = CliRunner().invoke(cli, ["--project", str(ran.project.root), "compare"])
    assert every.exit_code == 0, every.output
    assert f"{STYLE}.plain" in every.output
    page = (ran.project.root / "data" / "sheets" / "styles.html").read_text("utf-8")
    assert f'href="#{STYLE}"' in page


def test_a_style_without_scores_has_nothing_to_compare(ran: Ran) -> None:
    styles = ran.project.styles_folder
    (styles / "other.yaml").write_text((styles / f"{STYLE}.yaml").read_text("utf-8"), "utf-8")
    with pytest.raises(ArtifactMissingError, match="no recipe of style 'other' has scores"):
        compare_recipes(ran.graph, "other")
    (styles / "other.yaml").unlink()


def test_power_averages_hold_nothing_of_the_base_in_any_snapshot(ran: Ran) -> None:
    for epoch in (1, 2, 3):
        assert ran.outcome.of("checkpoint", f"{MODEL}@e{epoch:03d}")["base_share"] == 0


def test_a_recipe_without_them_has_no_such_partition_and_is_refused(
    ran: Ran, workspace: Workspace
) -> None:
    assert f"{MODEL}@{KEY}" in {key for _, key in ran.outcome.versions}
    assert f"{PLAIN}@{KEY}" not in {key for _, key in ran.outcome.versions}
    assert {f"{PLAIN}@0.00", f"{PLAIN}@1.00"} <= {key for _, key in ran.outcome.versions}
    merged = Catalogue(ran.project).stages["merged_unet"]
    blends = read_partitions(ran.project).definition(merged).get_partition_keys()
    assert f"{MODEL}@{KEY}" in blends
    assert f"{PLAIN}@{KEY}" not in blends
    tuned = ran.graph.store.require("ema_unet", PLAIN)
    base = ran.graph.model(ran.graph.style(STYLE).base)
    with pytest.raises(StyleFileError, match=r"trained with ema\.mode 'base'"):
        reconstruct_average(0.12, tuned, {}, base, workspace)


def test_its_lineage_goes_over_the_checkpoints_to_every_image(ran: Ran) -> None:
    store = ran.graph.store
    lineage = lineage_of(trace(store, find_artifact(store, f"{MODEL}:ema-0.12")))
    assert {"checkpoint", "ema_unet", "raw_images"} <= {step.asset for step in lineage.steps}
    assert lineage.image_count == 20


@pytest.mark.usefixtures("in_folder")
def test_a_second_run_does_nothing_and_gives_the_same_versions(ran: Ran) -> None:
    os.chdir(ran.project.root)
    again = run_all(ran.project)
    assert again.work == {}
    assert all(each.metadata["cached"] for each in again.materialised)
    assert again.versions == {
        key: version for key, version in ran.outcome.versions.items() if key[0] != "checkpoint"
    }
    assert {each.state for each in style_status(ran.graph, STYLE)} == {"current"}
