"""Models: found in folders, refused with a sentence, versioned by content alone."""

import shutil
from pathlib import Path

import pytest

from styledag.errors import ModelError
from styledag.models.reference import ModelReference, resolve_model
from styledag.store.store import Store


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for part, content in (("unet", "u"), ("vae", "v")):
        folder = tmp_path / "model" / part
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").write_text(content)
    return tmp_path


def test_the_version_is_that_of_the_content_wherever_it_lies(project: Path, store: Store) -> None:
    shutil.copytree(project / "model", project / "elsewhere" / "copy")
    here, there = (
        resolve_model(ModelReference(model=name), project=project, items=store.items)
        for name in ("model", "elsewhere/copy")
    )
    assert here.version == there.version
    assert here.as_input("base").identity == there.as_input("base").identity


def test_a_changed_file_changes_the_version_of_its_part_alone(project: Path, store: Store) -> None:
    def versions() -> list[str]:
        reference = ModelReference(model="model")
        return [
            resolve_model(reference, project=project, items=store.items, parts=[part]).version
            for part in ("unet", "vae")
        ]

    before = versions()
    (project / "model" / "unet" / "weights.safetensors").write_text("changed")
    after = versions()
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_hidden_files_have_no_part_in_the_version(project: Path, store: Store) -> None:
    reference = ModelReference(model="model")
    before = resolve_model(reference, project=project, items=store.items).version
    (project / "model" / ".DS_Store").write_text("a desktop's business")
    assert resolve_model(reference, project=project, items=store.items).version == before


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (ModelReference(model="nowhere"), "no folder of the project"),
        (ModelReference(model="org/name"), "with its revision"),
        (ModelReference(model="model", revision="main"), "has no revision"),
        (ModelReference(model="empty"), "holds no files"),
    ],
)
def test_what_cannot_be_found_is_said(
    project: Path, store: Store, reference: ModelReference, said: str
) -> None:
    (project / "empty").mkdir()
    with pytest.raises(ModelError, match=said):
        resolve_model(reference, project=project, items=store.items)


def test_a_hub_that_cannot_be_reached_is_said(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    reference = ModelReference(model="org/name", revision="main")
    with pytest.raises(ModelError, match=r"'org/name' at revision 'main' cannot be had"):
        resolve_model(reference, project=project, items=store.items)
