"""Projects: found from within, and made in a folder of the user's."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from styledag.cli.main import cli
from styledag.defs.code_location import build_definitions
from styledag.errors import StyledagError, StyleFileError
from styledag.project import Project

REPOSITORY = Path(__file__).parents[1]


def call(*arguments: str) -> str:
    result = CliRunner().invoke(cli, arguments)
    if result.exception is not None:
        raise result.exception
    return result.output


def test_outside_a_project_it_is_said_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StyledagError, match="or make one here with `styledag init`"):
        call("new", "mine")


def test_a_folder_becomes_a_project_in_which_a_style_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".gitignore").write_text("mine\n", "utf-8")
    assert "styledag new NAME" in call("init")
    told = call("new", "mine")
    assert "styledag run mine.full\nother recipes: attention; styledag run mine trains all" in told
    assert "copy data/starter" not in told
    assert "copy data/starter of" in call("new", "small", "--base", "starter")
    project = Project.find(tmp_path / "data" / "styles")
    # Without the starter, the usual base is one from the Hub.
    assert "stable-diffusion-v1-5" in project.style("mine").base.model
    assert "raw_images" in call("status", "mine")
    keys = build_definitions(project).resolve_asset_graph().materializable_asset_keys
    assert "model_report" in {key.to_user_string() for key in keys}
    assert (tmp_path / ".gitignore").read_text("utf-8") == "mine\n"
    for name in ("dagster.yaml", "workspace.yaml"):
        assert (tmp_path / name).read_bytes() == (REPOSITORY / name).read_bytes()


def test_a_new_folder_becomes_one_too(tmp_path: Path) -> None:
    assert call("init", str(tmp_path / "art" / "styles")).startswith(str(tmp_path / "art"))
    assert Project.find(tmp_path / "art" / "styles" / "data").root == tmp_path / "art" / "styles"


@pytest.mark.parametrize("there", ["dagster.yaml", "workspace.yaml"])
def test_what_another_project_has_is_left_alone(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("theirs", "utf-8")
    with pytest.raises(StyledagError, match=f"has a {there} already"):
        call("init", str(tmp_path))
    assert [each.name for each in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text("utf-8") == "theirs"


def test_a_file_cannot_become_one(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file", "utf-8")
    with pytest.raises(StyledagError, match="cannot become a project"):
        call("init", str(tmp_path))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fix", "did you mean 'fox'?"),
        ("fox.full", "did you mean 'fox'?"),
        ("data/styles/fox", "did you mean 'fox'?"),
        ("owl", "rename owl.yml to owl.yaml"),
        ("My Style", "'My Style' is no style's name: that has at most 63 small letters"),
        ("My Style", "such as 'my-style'"),
        ("hiroshige", "`styledag new hiroshige` writes one"),
    ],
)
def test_a_style_that_is_not_there_is_one_sentence_with_what_to_do(
    tmp_path: Path, name: str, said: str
) -> None:
    project = Project.create(tmp_path)
    for file in ("fox.yaml", "owl.yml"):
        (project.styles_folder / file).touch()
    with pytest.raises(StyleFileError) as caught:
        project.style(name)
    assert str(caught.value).startswith(f"there is no style {name!r} in")
    assert said in str(caught.value)


def test_a_store_that_is_a_folder_lies_in_the_project_wherever_a_command_is_called(
    tmp_path: Path,
) -> None:
    for url, found in (("st", tmp_path / "st"), ("/mnt/st", "/mnt/st"), ("s3://b/st", "s3://b/st")):
        assert Project.at(tmp_path, url).store_url == str(found)
