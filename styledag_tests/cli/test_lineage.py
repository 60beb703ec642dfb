"""`styledag lineage` of names and of lone files, and why two models differ."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from styledag.cli.main import cli
from styledag.errors import LineageError
from styledag.sampling.grid import GRID
from styledag.sampling.provenance import png_with_provenance
from styledag.store.store import Target
from styledag.tensors.delta import DELTA_FILE
from styledag_tests.cli.conftest import Call
from styledag_tests.cli.made_project import MadeProject
from styledag_tests.whole.small_project import MODEL


@pytest.fixture
def drawn(made: MadeProject, tmp_path: Path) -> Path:
    """An image that the model drew, outside the project."""
    path = tmp_path / "elsewhere" / "fox.png"
    path.parent.mkdir()
    marks = {"model_version": made.model.version, "prompt": "a fox", "seed": "3"}
    path.write_bytes(png_with_provenance(Image.new("RGB", (4, 4)), marks))
    return path


def test_an_image_leads_to_the_data_behind_its_model(
    call: Call, made: MadeProject, drawn: Path
) -> None:
    described = json.loads(call("lineage", drawn, "--json", "--images"))
    assert described["file"]["prompt"] == "a fox"
    assert (described["asset"], described["partition"]) == ("ema_unet", MODEL)
    assert described["dataset_versions"] == [made.dataset.version]
    assert len(described["images"]) == 6
    assert all(image["url"] and image["caption"] for image in described["images"])
    assert "a fox" in call("lineage", drawn)


def test_a_file_from_elsewhere_commands_no_terminal(
    call: Call, made: MadeProject, tmp_path: Path
) -> None:
    path = tmp_path / "fox.png"
    marks = {"model_version": made.model.version, "prompt": "a \x1b[31mred\x9b2J fox"}
    path.write_bytes(png_with_provenance(Image.new("RGB", (4, 4)), marks))
    shown = call("lineage", path)
    assert "prompt: a  [31mred 2J fox" in shown
    assert not {"\x1b", "\x9b"} & set(shown)


def test_a_lone_file_tells_what_it_states_without_a_project(
    drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(drawn.parent)
    result = CliRunner().invoke(cli, ["lineage", drawn.name], catch_exceptions=False)
    assert "prompt: a fox" in result.output
    assert "the store here has no such model" in result.output


def test_an_exported_file_leads_to_its_model(call: Call, made: MadeProject, tmp_path: Path) -> None:
    exported = tmp_path / "model.safetensors"
    call("export", "model", MODEL, "--format", "single-file", "--to", exported)
    described = json.loads(call("lineage", exported, "--json"))
    assert described["version"] == made.model.version
    assert described["file"]["ema_unet"] == made.model.version


def test_a_file_of_another_program_is_refused(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(LineageError, match="states nothing of its origin"):
        call("lineage", path)


@pytest.mark.parametrize(
    ("asset", "partition", "file", "named"),
    [
        ("sample_grid", f"{MODEL}/0.50", GRID, "grid.PNG"),
        ("checkpoint", f"{MODEL}/e001", f"unet/{DELTA_FILE}", "e001.safetensors"),
    ],
)
def test_a_file_that_states_nothing_is_known_by_its_content(
    call: Call, made: MadeProject, tmp_path: Path, asset: str, partition: str, file: str, named: str
) -> None:
    stored = made.catalogue.store.require(asset, partition)
    lone = tmp_path / "elsewhere" / named
    lone.parent.mkdir()
    shutil.copy(stored.folder / file, lone)

    described = json.loads(call("lineage", lone, "--json"))
    assert (described["asset"], described["partition"]) == (asset, partition)
    assert described["dataset_versions"] == [made.dataset.version]
    assert call("lineage", lone).startswith(f"{asset} {partition.replace('/', '@')}\n")


def test_two_models_are_compared_in_data_recipe_and_base(call: Call, made: MadeProject) -> None:
    dataset = made.add_dataset(range(1, 8))
    (base,) = (each for each in made.model.build.inputs if not each.build)
    other = Target(
        asset="ema_unet",
        partition="small.other",
        code_version="2",
        settings={"Recipe": {"epochs": 5, "ema": {"mode": "base"}}},
        inputs=(dataset.as_input(), base),
    )

    def tune(workspace) -> dict[str, int]:
        (workspace.folder / "snapshots.json").write_text("[]")
        return {}

    made.catalogue.store.build(other, tune)
    found = json.loads(call("lineage", MODEL, "--why", "small.other", "--json"))
    assert found["data"] == {"added": 2, "removed": 1}
    assert found["captions"] == 0
    assert found["recipe"] == {"epochs": [2, 5]}
    assert found["code"]["ema_unet"] == ["1", "2"]
    assert found["models"] == {}
    shown = call("lineage", MODEL, "--why", "small.other")
    assert f"what differs in what led to {MODEL} and small.other" in shown
    assert "2 added, 1 removed" in shown
    assert "settings of other stages: the same" in shown
    assert "epochs: 2 is 5" in shown


def test_an_image_leads_to_the_bill_of_materials_of_its_model(
    call: Call, made: MadeProject, drawn: Path, tmp_path: Path
) -> None:
    pytest.importorskip("cyclonedx")
    path = tmp_path / "model.cdx.json"
    call("lineage", drawn, "--cyclonedx", path, "--images")
    document = json.loads(path.read_text("utf-8"))
    assert document["metadata"]["component"]["version"] == made.model.version
    assert "https://wiki.example/1.png" in path.read_text("utf-8")


def test_a_bill_of_materials_of_an_unknown_model_is_refused(call: Call, tmp_path: Path) -> None:
    path, bill = tmp_path / "fox.png", tmp_path / "bill.json"
    marks = {"model_version": "0" * 64}
    path.write_bytes(png_with_provenance(Image.new("RGB", (4, 4)), marks))
    with pytest.raises(LineageError, match="the store has not the model"):
        call("lineage", path, "--cyclonedx", bill)
    with pytest.raises(SystemExit):
        call("lineage", MODEL, "--cyclonedx", bill, "--json")
    assert not bill.exists()


def test_events_are_written_one_a_line(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("openlineage.client")
    path = tmp_path / "events.ndjson"
    call("lineage", MODEL, "--openlineage", path)
    jobs = [json.loads(line)["job"]["name"] for line in path.read_text("utf-8").splitlines()]
    assert jobs[-1] == "ema_unet"
    for other in ("--images", "--json"):
        with pytest.raises(SystemExit):
            call("lineage", MODEL, "--openlineage", tmp_path / "no", other)
    assert not (tmp_path / "no").exists()
