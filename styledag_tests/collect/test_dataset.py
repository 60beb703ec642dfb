"""A Hugging Face dataset gives its images byte for byte, whichever way it was saved."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image

from styledag.collect.collect import NOTES, collect_images
from styledag.collect.records import RawImage
from styledag.collect.settings import DatasetSource
from styledag.errors import SourceError
from styledag.manifest import Manifest
from styledag.store.digest import LOG_FOLDER
from styledag.store.workspace import Workspace


def jpeg(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(file, "JPEG", quality=31)
    return file.getvalue()


BODIES = [jpeg(colour) for colour in ("red", "green", "blue")]
CAPTIONS = ["A red  square", "A green square", ""]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")


def rows() -> datasets.Dataset:
    columns = {
        "image": [{"bytes": body, "path": f"{n}.jpg"} for n, body in enumerate(BODIES)],
        "text": CAPTIONS,
    }
    features = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")})
    return datasets.Dataset.from_dict(columns, features=features)


def as_parquet(folder: Path) -> None:
    rows().to_parquet(folder / "train-00000-of-00001.parquet")


def as_saved(folder: Path) -> None:
    rows().save_to_disk(folder)


def as_saved_splits(folder: Path) -> None:
    datasets.DatasetDict({"train": rows()}).save_to_disk(folder)


def as_image_folder(folder: Path) -> None:
    lines = []
    for n, (body, text) in enumerate(zip(BODIES, CAPTIONS, strict=True)):
        (folder / f"{n}.jpg").write_bytes(body)
        lines.append(json.dumps({"file_name": f"{n}.jpg", "text": text}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))


def as_zipped_image_folder(folder: Path) -> None:
    with zipfile.ZipFile(folder / "train.zip", "w") as packed:
        lines = []
        for n, (body, text) in enumerate(zip(BODIES, CAPTIONS, strict=True)):
            packed.writestr(f"{n}.jpg", body)
            lines.append(json.dumps({"file_name": f"{n}.jpg", "text": text}))
        packed.writestr("metadata.jsonl", "\n".join(lines))


def collect(workspace: Workspace, project: Path, **changes: Any) -> Manifest[RawImage]:
    source = DatasetSource(type="dataset", **{"path": "data", "licence": "CC0", **changes})
    return collect_images([source], workspace, project=project)


@pytest.mark.parametrize(
    "save",
    [as_parquet, as_saved, as_saved_splits, as_image_folder, as_zipped_image_folder],
)
def test_images_and_captions_are_those_of_the_dataset(
    workspace: Workspace, tmp_path: Path, save: Any
) -> None:
    (tmp_path / "data").mkdir()
    save(tmp_path / "data")
    manifest = collect(workspace, tmp_path)
    assert [workspace.blobs.read(row.sha256) for row in manifest.rows] == BODIES
    assert [row.origin.caption for row in manifest.rows] == [
        "A red square",
        "A green square",
        "",
    ]
    assert manifest.rows[0].origin.url == "train/00000000-0.jpg"
    assert manifest.rows[0].origin.licence == "CC0"


def test_what_is_over_the_budgets_or_damaged_is_counted(
    workspace: Workspace, tmp_path: Path
) -> None:
    bodies: list[dict[str, Any] | None] = [{"bytes": body, "path": None} for body in BODIES]
    bodies[1:1] = [{"bytes": b"junk", "path": None}, None]
    features = datasets.Features({"image": datasets.Image()})
    found = datasets.Dataset.from_dict({"image": bodies}, features=features)
    found.save_to_disk(tmp_path / "data")
    manifest = collect(workspace, tmp_path, max_images=4)
    assert manifest.facts == {
        "found": 5,
        "kept": 2,
        "rejected_no_image": 1,
        "rejected_not_an_image": 1,
        "rejected_over_max_images": 1,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": "owner/name"}, "if it is on the Hub, name its revision"),
        ({"image": "picture"}, "no column 'picture', only image, text: name the one of images"),
        ({"split": "test"}, "dataset data cannot be loaded: Unknown split .*names split: test"),
        ({"caption": "words"}, "no column 'words', only image, text: name the one of captions"),
    ],
)
def test_what_is_wrong_with_a_dataset_is_said(
    workspace: Workspace, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    (tmp_path / "data").mkdir()
    as_parquet(tmp_path / "data")
    with pytest.raises(SourceError, match=message):
        collect(workspace, tmp_path, **changes)


@pytest.mark.parametrize("column", [[1, 2], [[BODIES[0]], [BODIES[1]]]])
def test_a_column_of_something_else_is_named(
    workspace: Workspace, tmp_path: Path, column: list[Any]
) -> None:
    (tmp_path / "data").mkdir()
    datasets.Dataset.from_dict({"image": column}).to_parquet(tmp_path / "data" / "x.parquet")
    with pytest.raises(SourceError, match="column 'image' of dataset data holds no images"):
        collect(workspace, tmp_path)


def test_a_column_of_addresses_is_named(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    addresses = {"image": ["https://example.org/a.png"], "text": ["a fox"]}
    datasets.Dataset.from_dict(addresses).to_parquet(tmp_path / "data" / "train.parquet")
    with pytest.raises(SourceError, match=r"has an image's address: a source of type urls"):
        collect(workspace, tmp_path)


def test_a_dataset_of_a_script_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "data.py").write_text("")
    with pytest.raises(SourceError, match="scripts are no longer supported"):
        collect(workspace, tmp_path)


def test_a_split_that_a_saved_dataset_has_not_is_named(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    as_saved_splits(tmp_path / "data")
    with pytest.raises(SourceError, match="it has no split 'test', only train"):
        collect(workspace, tmp_path, split="test")


def test_images_are_found_by_paths_relative_to_the_dataset(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "0.bin").write_bytes(BODIES[0])
    found = datasets.Dataset.from_dict({"image": ["0.bin", "1.bin"], "text": CAPTIONS[:2]})
    found.to_parquet(tmp_path / "data" / "x.parquet")
    manifest = collect(workspace, tmp_path)
    assert [row.origin.caption for row in manifest.rows] == ["A red square"]
    assert manifest.facts["rejected_unreadable"] == 1


def test_images_that_no_split_takes_are_counted(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name, body in zip(("train.jpg", "fox.jpg", "owl.jpg"), BODIES, strict=True):
        (tmp_path / "data" / name).write_bytes(body)
    manifest = collect(workspace, tmp_path)
    assert len(manifest.rows) == 1
    [rejection] = manifest.rejected
    assert (rejection.reason, rejection.detail[:8]) == ("in_no_split", "2 images")


def test_what_is_not_read_is_noted(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        found = rows().rename_column("text", "caption_en")
        found.to_parquet(tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    collect(workspace, tmp_path)
    notes = (workspace.folder / LOG_FOLDER / NOTES).read_text()
    assert "data: column 'caption_en' is not read" in notes
    assert "data: there is no column 'text' of captions" in notes
    assert "data: split test is not read: 3 rows" in notes


@pytest.mark.parametrize("column", [[{"en": "a fox"}] * 3, [b"\xff\xff"] * 3])
def test_a_column_of_no_texts_is_named(
    workspace: Workspace, tmp_path: Path, column: list[Any]
) -> None:
    (tmp_path / "data").mkdir()
    found = rows().remove_columns("text").add_column("text", column)
    found.to_parquet(tmp_path / "data" / "x.parquet")
    with pytest.raises(SourceError, match=r"column 'text': .* name a column of texts"):
        collect(workspace, tmp_path)
