import json
from pathlib import Path

import pytest

from styledag.errors import StorageError
from styledag.publishing.hub.folder import RECORD, publish_to_folder
from styledag.publishing.hub.release import Release
from styledag.store.digest import folder_digest
from styledag_tests.publishing.hub.conftest import folder_content


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "unet").mkdir(parents=True)
    (folder / "README.md").write_text("one")
    (folder / "unet" / "a.safetensors").write_bytes(b"a" * 1000)
    (folder / "unet" / "b.safetensors").write_bytes(b"b" * 1000)
    return folder


def publish(source: Path, target: Path) -> dict:
    release = Release(folder=source, version=folder_digest(source), source_revision="r1")
    return dict(publish_to_folder(release, target))


def content(target: Path) -> dict[str, bytes]:
    files = folder_content(target)
    files.pop(RECORD)
    return files


def test_a_release_is_copied_once(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"

    first = publish(source, target)
    times = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    second = publish(source, target)

    assert content(target) == folder_content(source)
    assert (first["uploaded"], first["was_there"]) == (3, False)
    assert (second["uploaded"], second["unchanged"], second["was_there"]) == (0, 3, True)
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*")} == times


def test_the_next_release_replaces_what_differs(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    publish(source, target)
    (target / "notes.txt").write_text("mine")
    (source / "README.md").write_text("two")
    (source / "unet" / "b.safetensors").unlink()

    facts = publish(source, target)

    assert (facts["uploaded"], facts["unchanged"], facts["deleted"]) == (1, 1, 1)
    assert content(target) == folder_content(source) | {"notes.txt": b"mine"}


def test_an_interrupted_copy_is_completed(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target"
    from styledag.publishing.hub import folder as module

    copy = module._copy

    def fails(source: Path, to: Path) -> None:
        if to.name == "b.safetensors":
            raise OSError(28, "No space left on device")
        copy(source, to)

    monkeypatch.setattr(module, "_copy", fails)
    with pytest.raises(StorageError):
        publish(source, target)
    assert json.loads((target / RECORD).read_text())["complete"] is False
    monkeypatch.undo()

    facts = publish(source, target)

    assert (facts["uploaded"], facts["unchanged"]) == (1, 2)
    assert content(target) == folder_content(source)


def test_a_folder_with_something_else_is_left_alone(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "README.md").write_text("somebody's")

    with pytest.raises(StorageError, match="no earlier release"):
        publish(source, target)
    assert (target / "README.md").read_text() == "somebody's"
