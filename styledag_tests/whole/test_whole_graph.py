"""The whole graph on 24 images: everything is made, made once, and traced."""

import os
from pathlib import Path

import dagster as dg
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from styledag.defs.code_location import build_definitions
from styledag.defs.opened_history import open_history
from styledag.demo.wiki import DemoWiki
from styledag.graph.catalogue import Catalogue
from styledag.graph.lineage import trace
from styledag.graph.status import style_status
from styledag.graph.tracing.ancestry import find_artifact, lineage_of
from styledag.store.digest import folder_digest
from styledag_tests.whole.conftest import Undisturbed
from styledag_tests.whole.small_project import MODEL, STYLE, run_all


@pytest.fixture
def graph(undisturbed: Undisturbed) -> Catalogue:
    return Catalogue(undisturbed.project)


def test_nothing_is_lost_on_the_way(undisturbed: Undisturbed) -> None:
    outcome = undisturbed.outcome
    passed_on = 24
    for asset in ("raw_images", "jpeg_images", "curated_images", "captions"):
        facts = outcome.of(asset)
        rejected = sum(n for name, n in facts.items() if name.startswith("rejected_"))
        assert facts["found"] == passed_on == facts["kept"] + rejected
        passed_on = facts["kept"]
    dataset = outcome.of("image_dataset")
    curated = outcome.of("curated_images")
    # Two clock faces are each other's mirror image, and the recipe flips.
    assert (curated["rejected_copy"], curated["rejected_family_cap"]) == (1, 3)
    assert sum(n for name, n in dataset.items() if name in ("train", "validation")) == passed_on


def test_every_version_is_the_digest_of_its_content(
    graph: Catalogue, undisturbed: Undisturbed
) -> None:
    artifacts = list(Path(graph.store.files.root).glob("artifacts/**/build.json"))
    assert len(artifacts) == len(undisturbed.outcome.versions)
    for record in artifacts:
        assert folder_digest(record.parent) == record.parent.name


def test_blends_at_the_ends_are_base_and_fine_tune(graph: Catalogue) -> None:
    parents = {
        "0.00": graph.model(graph.style(STYLE).base).folder / "unet",
        "1.00": graph.store.require("ema_unet", MODEL).folder / "unet",
    }
    for weight, parent in parents.items():
        merged = graph.store.require("merged_unet", f"{MODEL}/{weight}").folder
        expected = load_file(parent / "diffusion_pytorch_model.safetensors")
        blended = load_file(merged / "diffusion_pytorch_model.safetensors")
        assert blended.keys() == expected.keys()
        assert all(torch.equal(blended[name], tensor) for name, tensor in expected.items())


def test_grids_show_every_prompt_and_seed(graph: Catalogue) -> None:
    grid = graph.store.require("sample_grid", f"{MODEL}/0.50").folder
    assert len(list(grid.glob("samples/*/*.png"))) == 4
    with Image.open(grid / "grid.png") as image:
        assert image.width > 2 * 64


def test_the_report_is_one_page_with_its_images(graph: Catalogue) -> None:
    page = (graph.store.require("model_report", MODEL).folder / "report.html").read_text()
    assert page.count("data:image/") > 20
    assert "a rocket" in page
    assert 'src="http' not in page


def test_each_checkpoint_has_its_own_partition(undisturbed: Undisturbed) -> None:
    outcome = undisturbed.outcome
    dataset = outcome.of("image_dataset")["version"]
    for epoch in ("e001", "e002"):
        checkpoint = outcome.of("checkpoint", f"{MODEL}@{epoch}")
        assert checkpoint["dataset_version"] == dataset
        assert checkpoint["loss"] > 0
        assert checkpoint["preview"].startswith("![preview](data:image/jpeg;base64,")
    first, last = (outcome.of("checkpoint", f"{MODEL}@{e}") for e in ("e001", "e002"))
    assert 1 > first["base_share"] > last["base_share"] == pytest.approx(0.3)


@pytest.mark.parametrize("name", [f"{MODEL}@2", f"{MODEL}:0.50", MODEL])
def test_the_lineage_goes_back_to_every_image(
    graph: Catalogue, undisturbed: Undisturbed, wiki: DemoWiki, name: str
) -> None:
    lineage = lineage_of(trace(graph.store, find_artifact(graph.store, name)), images=True)
    assert lineage.recipe["epochs"] == 2
    assert lineage.dataset_versions == (undisturbed.outcome.of("image_dataset")["version"],)
    assert lineage.image_count == len(lineage.images) == 20
    assert all(image.url.startswith(f"{wiki.url}/images/") for image in lineage.images)
    assert lineage.licences == {"CC BY 4.0": 20}
    assets = {step.asset for step in lineage.steps}
    assert {"raw_images", "captions", "captioner", "base_encoders"} <= assets


@pytest.mark.usefixtures("in_folder")
def test_a_second_run_of_everything_does_nothing(undisturbed: Undisturbed, wiki: DemoWiki) -> None:
    os.chdir(undisturbed.project.root)
    sent = wiki.served[200, "page"], wiki.served[200, "image"]
    again = run_all(undisturbed.project)
    assert again.work == {}
    assert all(each.metadata["cached"] for each in again.materialised)
    assert (wiki.served[200, "page"], wiki.served[200, "image"]) == sent
    expected = {
        key: version
        for key, version in undisturbed.outcome.versions.items()
        if key[0] != "checkpoint"
    }
    assert again.versions == expected


def test_status_finds_everything_current(graph: Catalogue) -> None:
    assert {each.state for each in style_status(graph, STYLE)} == {"current"}


def test_what_a_training_led_to_shows_its_recipe_as_it_was(undisturbed: Undisturbed) -> None:
    outcome = undisturbed.outcome
    for asset, part in (("ema_unet", ""), ("checkpoint", "@e001"), ("merged_unet", "@0.50")):
        shown = outcome.of(asset, f"{MODEL}{part}")
        assert (shown["recipe"]["epochs"], shown["recipe"]["batch_size"]) == (2, 8), asset
        assert shown["code_version"], asset
        assert shown["open_training"].endswith(f"/ema_unet?view=partitions&partition={MODEL}")
    assert not {"recipe", "open_training"} & outcome.of("captions").keys()


@pytest.mark.usefixtures("in_folder")
def test_runs_are_found_by_their_style_and_recipe(undisturbed: Undisturbed) -> None:
    os.chdir(undisturbed.project.root)
    with open_history(undisturbed.project.root) as instance:
        of_style, of_recipe = (
            instance.get_runs(dg.RunsFilter(tags=tags))
            for tags in ({"styledag/style": STYLE}, {"styledag/recipe": "full"})
        )
        made = [run for run in instance.get_runs() if "dagster/partition" in run.tags]
    partitions = {run.tags["dagster/partition"] for run in of_style}
    assert partitions == {run.tags["dagster/partition"] for run in made} > {STYLE, MODEL}
    assert {run.tags["dagster/partition"] for run in of_recipe} == partitions - {STYLE}


@pytest.mark.usefixtures("in_folder")
def test_a_checkpoint_can_be_checked_by_hand(undisturbed: Undisturbed) -> None:
    os.chdir(undisturbed.project.root)
    definitions = build_definitions(undisturbed.project)
    check = dg.AssetCheckKey(dg.AssetKey("checkpoint"), "stored_as_published")
    with open_history(undisturbed.project.root) as instance:
        job = dg.define_asset_job("check", dg.AssetSelection.checks(check))
        checked = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))

        def is_whole() -> bool:
            result = checked.resolve_job_def("check").execute_in_process(instance=instance)
            (evaluation,) = result.get_asset_check_evaluations()
            assert evaluation.metadata["partitions"].value == 2
            return evaluation.passed

        assert is_whole()
        weights = Catalogue(undisturbed.project).store.require("checkpoint", f"{MODEL}/e001").folder
        thumbnails = weights / "thumbnails.png"
        whole = thumbnails.read_bytes()
        thumbnails.write_bytes(whole[:-1])
        try:
            assert not is_whole()
        finally:
            thumbnails.write_bytes(whole)
