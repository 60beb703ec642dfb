import re
from dataclasses import replace
from pathlib import Path

import pytest

from styledag.errors import DataError, StorageError
from styledag.publishing.datasets.export import WRITERS, export_dataset
from styledag.publishing.datasets.settings import TrainerSettings
from styledag.store.workspace import Workspace
from styledag_tests.dataset.captioned import captioned_image
from styledag_tests.publishing.datasets.built import build_dataset
from styledag_tests.publishing.datasets.conftest import Example


def test_a_folder_with_something_else_is_left_alone(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    (target / "thesis.txt").write_text("years of work")

    with pytest.raises(StorageError, match="no earlier export"):
        export_dataset(example.folder, target, "kohya", settings)
    assert (target / "thesis.txt").read_text() == "years of work"


def test_an_earlier_export_is_replaced_whole(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    target = tmp_path / "export"
    export_dataset(example.folder, target, "kohya", settings)

    facts = export_dataset(example.folder, target, "webdataset", settings)

    assert not (target / "dataset.toml").exists()
    assert (target / "train-000000.tar").is_file()
    assert facts["images"] == 12
    assert not target.with_name("export.partial").exists()


@pytest.mark.parametrize("trainer", sorted({*WRITERS} - {"webdataset"}))
def test_what_was_trained_outlasts_the_next_export(
    trainer, example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    """A trainer writes where its configuration or command says."""
    target = tmp_path / "export"
    facts = export_dataset(example.folder, target, trainer, settings)
    written = [path.read_text("utf-8") for path in target.glob("*.*") if path.is_file()]
    stated = re.findall(
        rf"{re.escape(str(tmp_path))}/[\w.-]+", "\n".join([*written, facts["command"]])
    )
    trained = {Path(each) for each in stated} - {target}
    assert len(trained) == 1
    model = trained.pop() / "numbers.safetensors"
    model.parent.mkdir()
    model.write_bytes(b"hours of a GPU")

    export_dataset(example.folder, target, trainer, settings)
    assert model.read_bytes() == b"hours of a GPU"


def test_an_export_goes_where_a_link_leads(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    """As to a larger disk."""
    disk, target = tmp_path / "disk" / "exports", tmp_path / "export"
    disk.mkdir(parents=True)
    target.symlink_to(disk)
    for trainer in ("kohya", "onetrainer"):
        export_dataset(example.folder, target, trainer, settings)
    assert target.is_symlink()
    assert (disk / "config.json").is_file()
    assert not (disk / "dataset.toml").exists()


def test_what_was_put_into_an_export_is_not_removed(
    example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    target = tmp_path / "export"
    export_dataset(example.folder, target, "kohya", settings)
    (target / ".DS_Store").touch()
    export_dataset(example.folder, target, "kohya", settings)
    (target / "output").mkdir()
    (target / "output" / "mine.safetensors").write_bytes(b"hours of a GPU")

    with pytest.raises(StorageError, match="output in it is not of it"):
        export_dataset(example.folder, target, "kohya", settings)
    assert (target / "output" / "mine.safetensors").read_bytes() == b"hours of a GPU"


@pytest.mark.parametrize("trainer", sorted(WRITERS))
@pytest.mark.parametrize("caption", ["two\nlines", "form\x0cfeed", "line\u2028separator", " "])
def test_captions_that_would_be_misread_are_refused(
    trainer, caption: str, workspace: Workspace, settings: TrainerSettings, tmp_path: Path
) -> None:
    image = replace(captioned_image(workspace, 1), caption=caption)
    dataset = build_dataset(workspace, tmp_path / "dataset", [image])

    with pytest.raises(DataError, match=image.image.sha256):
        export_dataset(dataset, tmp_path / "to", trainer, settings)
    assert not (tmp_path / "to").exists()


def test_settings_are_checked(settings: TrainerSettings) -> None:
    with pytest.raises(ValueError, match="resolution_px is 8"):
        replace(settings, resolution_px=8)


@pytest.mark.parametrize("trainer", sorted(WRITERS))
def test_a_base_with_a_denoiser_of_its_own_is_not_exported_as_the_base_alone(
    trainer, example: Example, settings: TrainerSettings, tmp_path: Path
) -> None:
    own = replace(settings, denoiser="models/own.safetensors")
    if trainer == "webdataset":  # has no configuration, so it names no base
        assert export_dataset(example.folder, tmp_path / "to", trainer, own)["images"] == 12
        return
    with pytest.raises(DataError, match=r"denoiser of models/own\.safetensors.*leave out"):
        export_dataset(example.folder, tmp_path / "to", trainer, own)
