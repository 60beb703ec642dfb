from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from styledag.publishing.hub.publish import publish_folder
from styledag.publishing.hub.settings import PublishSettings
from styledag.store.workspace import Workspace
from styledag_tests.dataset.captioned import captioned_image
from styledag_tests.publishing.datasets.built import build_dataset
from styledag_tests.publishing.hub.loopback import TOKEN, Hub, running_hub

REPO = "ada/style"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited for, which pass at once."""
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    return waited


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> Iterator[Hub]:
    # By the LFS protocol, since Xet's is that of a closed storage.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with running_hub() as hub:
        yield hub


@dataclass
class Publisher:
    """Publishes one folder again and again."""

    folder: Path
    dataset: Path
    hub: Hub

    def __call__(self, *, token: str = TOKEN, **settings) -> dict:
        return dict(
            publish_folder(
                self.folder,
                REPO,
                "model",
                PublishSettings(**settings),
                dataset=self.dataset,
                source_revision="0123abc",
                token=token,
                endpoint=self.hub.url,
            )
        )

    def published(self) -> dict[str, bytes]:
        """What the Hub's branch contains, without the Hub's own file."""
        files = dict(self.hub.repos[REPO].head.files)
        files.pop(".gitattributes", None)
        return files


def folder_content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def dataset(workspace: Workspace, tmp_path: Path) -> Path:
    images = [captioned_image(workspace, number) for number in range(4)]
    return build_dataset(workspace, tmp_path / "dataset", images)


@pytest.fixture
def publish(hub: Hub, dataset: Path, tmp_path: Path) -> Publisher:
    folder = tmp_path / "model"
    (folder / "unet").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A style\n")
    (folder / "unet" / "config.json").write_text("{}")
    for number in range(3):
        content = bytes([number]) * 100_000
        (folder / "unet" / f"weights-{number}.safetensors").write_bytes(content)
    return Publisher(folder, dataset, hub)
