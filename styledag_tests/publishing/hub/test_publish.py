import json
from pathlib import Path

import pytest

from styledag.errors import PublishError
from styledag.publishing.hub.publish import publish_folder
from styledag.publishing.hub.settings import PublishSettings
from styledag_tests.publishing.hub.conftest import Publisher
from styledag_tests.publishing.hub.loopback import TOKEN, Hub

# huggingface_hub's own way of uploading an LFS object.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def test_a_denied_licence_stops_before_anything_is_sent(publish: Publisher, hub: Hub) -> None:
    with pytest.raises(PublishError, match=r"2 under 'CC-BY-4.0' \(denied by 'cc-by-\*'\)"):
        publish(deny_licences=("cc-by-*",))
    with pytest.raises(PublishError, match="2 under 'unknown'"):
        publish(deny_licences=("Unknown",))

    assert hub.log == []
    assert publish(deny_licences=("*-NC-*",))["uploaded"] == 5


def test_a_dataset_goes_to_a_repository_of_its_kind(dataset: Path, hub: Hub) -> None:
    facts = publish_folder(
        dataset,
        "ada/images",
        "dataset",
        PublishSettings(),
        dataset=dataset,
        source_revision="x",
        token=TOKEN,
        endpoint=hub.url,
    )

    assert hub.repos["ada/images"].kind == "dataset"
    assert facts["url"] == f"{hub.url}/datasets/ada/images"
    assert any(name.startswith("data/train-") for name in hub.repos["ada/images"].head.files)


def test_a_folder_receives_the_same_layout(dataset: Path, tmp_path: Path) -> None:
    target = tmp_path / "mirror"

    facts = publish_folder(
        dataset,
        str(target),
        "dataset",
        PublishSettings(to="folder"),
        dataset=dataset,
        source_revision="x",
    )

    assert (target / "README.md").read_bytes() == (dataset / "README.md").read_bytes()
    record = json.loads((target / ".styledag-release.json").read_text())
    assert record["version"] == facts["version"]
