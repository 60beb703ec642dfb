"""A decoder, checkpoints as differences, swept weights: what they change, and what they don't."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from styledag.demo.wiki import DemoWiki
from styledag.graph.catalogue import Catalogue
from styledag.graph.status import style_status
from styledag.graph.tracing.marked_files import find_marked, read_marks
from styledag.manifest import read_rows
from styledag.project import Project
from styledag.sampling.index import read_swept
from styledag.scoring.records import ScoreRow
from styledag.scoring.score import SCORES
from styledag.tensors.delta import DELTA_FILE
from styledag_tests.whole.conftest import Undisturbed
from styledag_tests.whole.small_project import MODEL, STYLE, Outcome, edit, make_project, run_all

WEIGHTS = "diffusion_pytorch_model.safetensors"
DECODER = "{epochs: 2, batch_size: 4, learning_rate: 0.001, ema_decay: 0.5, weight: 0.75}"
_TUNED = ("decoder.", "post_quant_conv.")


def declare(project: Project, decoder: str) -> None:
    path = project.styles_folder / f"{STYLE}.yaml"
    lines = [line for line in path.read_text("utf-8").splitlines() if "decoder:" not in line]
    at = lines.index("    epochs: 2")
    if "    snapshot_format: delta" not in lines:
        lines.insert(at, "    snapshot_format: delta")
    lines.insert(at, f"    decoder: {decoder}")
    path.write_text("\n".join(lines) + "\n", "utf-8")


@pytest.fixture(scope="module")
def _back() -> Iterator[None]:
    before = Path.cwd()
    yield
    os.chdir(before)


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, starter: Path, wiki: DemoWiki, _back: None
) -> Project:
    project = make_project(tmp_path_factory.mktemp("decoder"), starter, wiki.url)
    declare(project, DECODER)
    edit(
        project,
        "blends: {weights: [0.0, 0.5, 1.0]}",
        "blends: {weights: [0.0, 0.5, 1.0], sweep: [0.3]}",
    )
    os.chdir(project.root)
    return project


@pytest.fixture(scope="module")
def first(project: Project) -> Outcome:
    return run_all(project)


def test_without_a_decoder_its_assets_hold_nothing(undisturbed: Undisturbed) -> None:
    graph = Catalogue(undisturbed.project)
    for asset in ("vae_decoder", "merged_vae"):
        artifact = graph.store.require(asset, MODEL)
        assert artifact.facts == {"trained": False}
        assert not artifact.build.files
    for weight in ("0.00", "1.00"):
        grid = graph.store.require("sample_grid", f"{MODEL}/{weight}")
        assert {each.name for each in grid.build.inputs} == {"merged_unet", "base"}
        assert "vae_version" not in json.loads((grid.folder / "samples.json").read_text())


def test_the_decoder_is_tuned_and_the_encoder_is_the_bases(
    project: Project, first: Outcome
) -> None:
    store = Catalogue(project).store
    tuned, merged = (store.require(asset, MODEL) for asset in ("vae_decoder", "merged_vae"))
    assert first.work["vae_decoder"]["decoder_steps"] == tuned.facts["steps"]
    assert tuned.facts["base_share"] == pytest.approx(0.5 ** tuned.facts["steps"])
    assert tuned.facts["error"] < tuned.facts["base_error"]
    base = Catalogue(project).model(Catalogue(project).style(STYLE).base).folder
    before = load_file(base / "vae" / WEIGHTS)
    for folder in (tuned.folder / "vae", merged.folder):
        after = load_file(folder / WEIGHTS)
        for name, tensor in before.items():
            same = tensor.numpy().tobytes() == after[name].numpy().tobytes()
            assert same or name.startswith(_TUNED), name
        assert after["decoder.conv_out.weight"].ne(before["decoder.conv_out.weight"]).any()
    assert merged.facts["weight"] == 0.75
    assert merged.facts["amount"] == pytest.approx(0.75 * (1 - tuned.facts["base_share"]))


def test_grids_and_gifs_are_drawn_with_it(
    project: Project, first: Outcome, undisturbed: Undisturbed
) -> None:
    plain, tuned = undisturbed.outcome.versions, first.versions
    for asset in ("sample_grid", "evolution", "denoising", "scores", "model_report"):
        for key in [each for each in tuned if each[0] == asset]:
            assert tuned[key] != plain[key]
    store = Catalogue(project).store
    merged = store.require("merged_vae", MODEL)
    grid = store.require("sample_grid", f"{MODEL}/1.00")
    assert merged.version in {each.version for each in grid.build.inputs}
    assert len(json.loads((grid.folder / "samples.json").read_text())["vae_version"]) == 64
    page = (store.require("model_report", MODEL).folder / "report.html").read_text()
    assert "decoder.weight" in page
    assert "merged_vae" in page


@pytest.mark.usefixtures("first")
def test_a_swept_weight_is_scored_and_shown_in_its_place_and_not_stored(project: Project) -> None:
    store = Catalogue(project).store
    swept = store.require("sweep", MODEL)
    assert not list(swept.folder.rglob("*.safetensors"))
    assert store.current("merged_unet", f"{MODEL}/0.30") is None
    rows = read_rows(store.require("scores", MODEL).folder / SCORES, ScoreRow)
    blends = [row for row in rows if row.kind == "blend"]
    assert [row.weight for row in blends] == [0.0, 0.3, 0.5, 1.0]
    assert blends[1].amount == pytest.approx(0.3 * blends[3].amount)
    assert len({row.base_remembered.value for row in blends}) == 4
    page = (store.require("model_report", MODEL).folder / "report.html").read_text()
    assert page.index("Weight 0.00,") < page.index("Weight 0.30,") < page.index("Weight 0.50,")
    found = find_marked(store, read_marks(read_swept(swept.folder)[0.3]["a rocket", 1]))
    assert found is not None
    assert found.version == swept.version


@pytest.mark.usefixtures("first")
def test_the_unet_is_trained_as_without_it(project: Project, undisturbed: Undisturbed) -> None:
    weights = [
        (Catalogue(each).store.require("ema_unet", MODEL).folder / "unet" / WEIGHTS).read_bytes()
        for each in (project, undisturbed.project)
    ]
    assert weights[0] == weights[1]


def test_checkpoints_are_differences_with_the_same_weights(
    project: Project, first: Outcome, undisturbed: Undisturbed
) -> None:
    plain = Catalogue(undisturbed.project).store
    for epoch in ("e001", "e002"):
        facts = first.of("checkpoint", f"{MODEL}@{epoch}")
        other = undisturbed.outcome.of("checkpoint", f"{MODEL}@{epoch}")
        assert facts["weights_version"] == other["weights_version"]
        assert facts["bytes_full"] == other["bytes_full"] == other["bytes"]
        assert facts["bytes"] < 0.7 * facts["bytes_full"]
        delta = Catalogue(project).store.require("checkpoint", f"{MODEL}/{epoch}").folder
        assert {each.name for each in (delta / "unet").iterdir()} == {"config.json", DELTA_FILE}
        full = plain.require("checkpoint", f"{MODEL}/{epoch}").folder
        thumbnails = [(each / "thumbnails.png").read_bytes() for each in (delta, full)]
        assert thumbnails[0] == thumbnails[1]


def test_a_second_run_does_nothing(project: Project, first: Outcome) -> None:
    again = run_all(project)
    assert again.work == {}
    assert all(each.metadata["cached"] for each in again.materialised)
    assert {each.state for each in style_status(Catalogue(project), STYLE)} == {"current"}
    assert all(first.versions[key] == version for key, version in again.versions.items())


def test_another_weight_trains_nothing_again(project: Project, first: Outcome) -> None:
    declare(project, DECODER.replace("0.75", "0.25"))
    changed = run_all(project)
    assert set(changed.work) <= {"sample_grid", "sweep", "evolution", "denoising", "scores"}
    for asset in ("ema_unet", "vae_decoder"):
        assert changed.of(asset)["version"] == first.of(asset)["version"]
    assert changed.of("merged_vae")["weight"] == 0.25
    grid = f"{MODEL}@1.00"
    assert changed.of("sample_grid", grid)["version"] != first.of("sample_grid", grid)["version"]
