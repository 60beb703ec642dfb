"""What a style publishes: as assets that only a style with the section has."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from datasets import load_dataset

from styledag.errors import PublishError, StyledagError, StyleFileError
from styledag.graph.build import build_planned
from styledag.graph.checking.preflight import check_style, require_ready
from styledag.graph.exports.publication import RECORD
from styledag.graph.names import Partition
from styledag.graph.plan import plan_build
from styledag.graph.status import style_status
from styledag.models.compute import ComputeSettings
from styledag.progress import SilentProgress
from styledag.store.store import Built
from styledag_tests.cli.made_project import MadeProject, made_project
from styledag_tests.publishing.hub.loopback import TOKEN, Hub, running_hub
from styledag_tests.whole.small_project import MODEL, STYLE

# huggingface_hub's own way of uploading an LFS object.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
TO_HUB = "publish: {dataset: ada/images, models: 'ada/{recipe}', blend: '0.50', licence: openrail}"


@pytest.fixture
def made(tmp_path: Path, starter: Path) -> MadeProject:
    (tmp_path / "project").mkdir()
    made = made_project(tmp_path / "project", starter)
    edit(made, r"weights: \[.*\]", "weights: [0.5]")
    return made


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with running_hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        yield hub


def edit(made: MadeProject, find: str, replace: str) -> None:
    path = made.root / "data" / "styles" / f"{STYLE}.yaml"
    text = path.read_text("utf-8")
    changed = re.sub(find, replace, text)
    assert changed != text
    path.write_text(changed, "utf-8")


def add(made: MadeProject, section: str) -> None:
    edit(made, r"\Z", f"{section}\n")


def materialise(made: MadeProject, asset: str, key: str) -> Built:
    plan = plan_build(made.catalogue, asset, Partition.parse(key))
    return build_planned(
        plan,
        made.catalogue.store,
        lambda: pytest.fail("publishing needs no device"),
        progress=SilentProgress(),
        on_part=lambda _plan, _built: None,
    )


def states(made: MadeProject) -> dict[str, str]:
    """What is out of date of each asset; the made artifacts before it always are."""
    return {each.asset: each.why for each in style_status(made.catalogue, STYLE)}


def front_matter(content: bytes) -> dict:
    return dict(yaml.safe_load(content.decode().split("---\n")[1]))


def test_a_style_without_the_section_has_neither(made: MadeProject) -> None:
    assert not {"published_dataset", "published_model"} & states(made).keys()
    with pytest.raises(StyleFileError, match="does not ask for published_dataset"):
        plan_build(made.catalogue, "published_dataset", Partition(STYLE))


def test_a_section_is_no_change_of_a_style_without_it(made: MadeProject) -> None:
    assert "publish" not in made.catalogue.style(STYLE).model_dump(mode="json")


def test_a_dataset_is_published_once(made: MadeProject, hub: Hub, tmp_path: Path) -> None:
    add(made, TO_HUB)
    assert states(made)["published_dataset"] == "never materialised"

    first_dataset = made.dataset
    first = materialise(made, "published_dataset", STYLE)

    assert states(made)["published_dataset"] == "image_dataset is outdated"
    repo = hub.repos["ada/images"]
    assert (repo.kind, repo.private) == ("dataset", True)
    assert made.dataset.version in repo.head.description
    assert first.work["uploads"] == first.artifact.facts["uploaded"] > 0
    header = front_matter(repo.head.files["README.md"])
    assert (header["license"], header["license_link"]) == ("other", "LICENSE.md")
    assert b"| licence | images |" in repo.head.files["LICENSE.md"]
    record = json.loads((first.artifact.folder / RECORD).read_text())
    assert repo.tags[record["tag"]] == repo.head.oid
    hub.log.clear()
    assert materialise(made, "published_dataset", STYLE).cached
    assert hub.log == []
    made.add_dataset(range(7))
    assert "image_dataset changed" in states(made)["published_dataset"]
    second = materialise(made, "published_dataset", STYLE)
    assert second.artifact.version != first.artifact.version
    assert len(repo.tags) == 2
    folder = tmp_path / "read"
    for name, content in repo.head.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    read = load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert read.num_rows == 7
    made.catalogue.store.make_current(first_dataset)  # as a style file that is taken back does
    back = materialise(made, "published_dataset", STYLE)
    assert (back.cached, back.artifact.version) == (False, first.artifact.version)
    assert repo.tags[record["tag"]] == repo.head.oid
    assert materialise(made, "published_dataset", STYLE).cached


def test_a_model_is_published_with_its_card_and_grid(made: MadeProject, hub: Hub) -> None:
    add(made, TO_HUB)

    built = materialise(made, "published_model", MODEL)

    repo = hub.repos["ada/full"]
    header = front_matter(repo.head.files["README.md"])
    assert (header["license"], header["datasets"]) == ("openrail", ["ada/images"])
    blend = made.catalogue.store.require("merged_unet", f"{MODEL}/0.50")
    assert blend.version in repo.head.description
    card = repo.head.files["README.md"].decode().replace("\\", "")
    for asset in ("image_dataset", "ema_unet", "merged_unet"):
        version = next(
            each.version for each in (made.dataset, made.model, blend) if each.build.asset == asset
        )
        assert f"| {asset} | {version} |" in card
    assert "| style | 0.25 | 0.125 to 0.5 |" in card
    assert "apache-2.0" in card
    assert "## To have something taken down" in card
    assert {"samples.png", "model_index.json"} <= repo.head.files.keys()
    assert (built.artifact.folder / "README.md").read_bytes() == repo.head.files["README.md"]
    hub.log.clear()
    edit(made, "licence: openrail", "licence: mit")
    materialise(made, "published_model", MODEL)
    assert hub.count("^PUT /upload") == 0  # the card alone is another
    assert front_matter(repo.head.files["README.md"])["license"] == "mit"


def test_the_command_line_publishes_the_same_version(made: MadeProject, hub: Hub, call) -> None:
    add(made, TO_HUB)
    tag = materialise(made, "published_model", MODEL).artifact.facts["tag"]
    hub.log.clear()

    said = call("publish", f"{MODEL}:0.5")

    assert f"ada/full is at {tag}: 0 uploaded" in said
    assert [line.split("/")[-1] for line in hub.log] == ["refs"]


@pytest.fixture
def call(made: MadeProject):
    from click.testing import CliRunner

    from styledag.cli.main import cli

    def called(*arguments: str) -> str:
        result = CliRunner().invoke(cli, ["--project", str(made.root), *arguments])
        if result.exception is not None:
            raise result.exception
        return result.output

    return called


def test_a_folder_of_the_project_is_a_target(made: MadeProject) -> None:
    add(
        made,
        "publish: {to: folder, dataset: out/data, models: 'out/{recipe}', format: single-file}",
    )

    materialise(made, "published_dataset", STYLE)
    materialise(made, "published_model", MODEL)

    assert (made.root / "out" / "data" / "README.md").is_file()
    assert (made.root / "out" / "full" / f"{MODEL}.safetensors").is_file()


def test_a_denied_licence_publishes_nothing(made: MadeProject, hub: Hub) -> None:
    add(made, TO_HUB.replace("{d", "{deny_licences: ['cc-by-*'], d"))

    for asset, key in (("published_dataset", STYLE), ("published_model", MODEL)):
        with pytest.raises(PublishError, match="denied by 'cc-by-"):
            materialise(made, asset, key)

    assert hub.log == []


def test_another_base_in_the_style_file_is_refused(made: MadeProject, hub: Hub) -> None:
    add(made, TO_HUB)
    scheduler = made.base / "scheduler" / "scheduler_config.json"
    scheduler.unlink()  # a link to what other tests read
    scheduler.write_text("{}")

    with pytest.raises(StyledagError, match="which is another model"):
        materialise(made, "published_model", MODEL)

    assert hub.repos == {}


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{}", "names neither dataset nor models"),
        ("{dataset: images}", "no repository of the Hub"),
        ("{dataset: a/b, licence: mine}", "knows no licence 'mine'"),
        ("{models: a/b, blend: Half}", "must be a weight such as"),
        ("{models: a/b, to: ftp}", "publish.to"),
    ],
)
def test_a_section_that_cannot_be_meant_is_refused(
    made: MadeProject, section: str, said: str
) -> None:
    add(made, f"publish: {section}")

    with pytest.raises(StyleFileError, match=said):
        made.catalogue.style(STYLE)


def test_several_models_need_several_targets(made: MadeProject) -> None:
    add(made, "publish: {models: a/b}")
    assert made.catalogue.style(STYLE).publish
    edit(made, "blends:", "  other: {epochs: 1}\nblends:")

    with pytest.raises(StyleFileError, match="one target for 2 recipes"):
        made.catalogue.style(STYLE)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{models: a/b, blend: '0.25'}", r"publish.blend is 0.25, but recipe full has 0.50"),
        ("{models: a/b, format: lora}", "recipe full trains no adapters"),
    ],
)
def test_what_no_recipe_gives_is_refused_before_a_run(
    made: MadeProject, hub: Hub, section: str, said: str
) -> None:
    add(made, f"publish: {section}")

    with pytest.raises(StyledagError, match=said):
        require_ready(made.catalogue, STYLE, [], ComputeSettings(device="cpu"))


def test_a_missing_or_refused_token_is_named_before_a_run(
    made: MadeProject, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(made, TO_HUB)
    subject = f"{STYLE}: access token of the Hub"

    def found() -> str:
        checks = check_style(made.catalogue, STYLE, [], ComputeSettings(device="cpu"))
        return next(each.detail for each in checks if each.subject == subject)

    assert found() == "it is ada's"
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    assert "does not accept the access token" in found()
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(StyledagError, match="needs an access token"):
        require_ready(made.catalogue, STYLE, [], ComputeSettings(device="cpu"))
