from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from datasets import load_dataset

from styledag.cli.main import cli
from styledag.errors import PublishError
from styledag_tests.cli.conftest import Call
from styledag_tests.cli.made_project import MadeProject
from styledag_tests.whole.small_project import MODEL, STYLE


def front_matter(folder: Path) -> dict:
    return dict(yaml.safe_load((folder / "README.md").read_text().split("---\n")[1]))


def test_a_dataset_goes_to_a_folder_once(call: Call, made: MadeProject, tmp_path: Path) -> None:
    to = tmp_path / "mirror"

    first = call("publish", STYLE, "--to", to)
    second = call("publish", STYLE, "--to", to)

    assert "0 unchanged" in first
    assert "0 uploaded" in second
    assert load_dataset(str(to), split="train", cache_dir=str(tmp_path / "cache")).num_rows == 6
    assert front_matter(to)["license"] == "other"
    made.dataset.verify()


def test_a_model_goes_to_a_folder_with_its_card(call: Call, tmp_path: Path) -> None:
    to = tmp_path / "mirror"
    arguments = (
        "publish",
        f"{MODEL}:0.5",
        "--to",
        to,
        "--licence",
        "openrail",
        "--dataset",
        "ada/x",
    )

    call(*arguments)

    assert front_matter(to)["license"] == "openrail"
    assert front_matter(to)["datasets"] == ["ada/x"]
    names = {path.name for path in to.iterdir()}
    assert {"model_index.json", "samples.png", "unet"} <= names
    assert ".styledag-export" not in names
    assert "0 uploaded" in call(*arguments)


def test_a_single_file_is_published_with_a_readme(call: Call, tmp_path: Path) -> None:
    to = tmp_path / "mirror"

    call("publish", MODEL, "--to", to, "--format", "single-file")

    names = {path.name for path in to.iterdir()}
    assert {"README.md", f"{MODEL}.safetensors"} <= names


def test_a_denied_licence_is_refused(call: Call, tmp_path: Path) -> None:
    for name in (STYLE, MODEL):
        with pytest.raises(PublishError, match="denied by 'cc-by-"):
            call("publish", name, "--to", tmp_path / "to", "--deny-licence", "cc-by-*")
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("targets", [[], ["--repo", "a/b", "--to", "c"]])
def test_one_target_is_named(targets: list[str], made: MadeProject) -> None:
    result = CliRunner().invoke(cli, ["--project", str(made.root), "publish", STYLE, *targets])

    assert result.exit_code == 2
    assert "name either --repo OWNER/NAME or --to FOLDER" in result.output
