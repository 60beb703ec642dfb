from dataclasses import replace
from pathlib import Path

import pytest

from styledag.errors import DataError
from styledag.publishing.datasets.diff import diff_datasets, diff_text
from styledag.store.workspace import Workspace
from styledag_tests.dataset.captioned import captioned_image
from styledag_tests.publishing.datasets.built import build_dataset


def test_a_dataset_does_not_differ_from_itself(workspace: Workspace, tmp_path: Path) -> None:
    images = [captioned_image(workspace, number) for number in range(3)]
    folder = build_dataset(workspace, tmp_path / "a", images)

    diff = diff_datasets(folder, folder)

    assert diff.unchanged == 3
    assert diff_text(diff) == (
        "0 added, 0 removed, 0 replaced, 0 recaptioned, 0 moved to another split, 3 unchanged"
    )


def test_every_kind_of_change_is_found(workspace: Workspace, tmp_path: Path) -> None:
    kept, gone, new, before, other = (captioned_image(workspace, number) for number in range(5))
    after = replace(captioned_image(workspace, 7, origin=before.image.origin))
    other_captions = replace(other, variants=("a second caption",))
    first = build_dataset(workspace, tmp_path / "a", [kept, gone, before, other])
    second = build_dataset(workspace, tmp_path / "b", [kept, new, after, other_captions])

    diff = diff_datasets(first, second)

    assert [image.id for image in diff.added] == [new.image.sha256]
    assert [image.id for image in diff.removed] == [gone.image.sha256]
    ((old, fresh),) = diff.replaced
    assert (old.id, fresh.id) == (before.image.sha256, after.image.sha256)
    assert old.origin.url == fresh.origin.url
    ((old, fresh),) = diff.recaptioned
    assert old.id == fresh.id == other.image.sha256
    assert fresh.variants == ("a second caption",)
    assert diff.unchanged == 1
    text = diff_text(diff)
    assert f"+ {new.image.sha256[:12]}  {new.caption}" in text
    assert f"(was {before.image.sha256[:12]})" in text
    backwards = diff_datasets(second, first)
    assert backwards.removed == diff.added
    assert backwards.added == diff.removed


def test_a_caption_of_some_weight_is_shown_once(workspace: Workspace, tmp_path: Path) -> None:
    image = captioned_image(workspace, 0)
    weighted = replace(image, variants=("another", "another", "another"))
    first = build_dataset(workspace, tmp_path / "a", [image])
    second = build_dataset(workspace, tmp_path / "b", [weighted])
    text = diff_text(diff_datasets(first, second))
    assert text.endswith(f"{image.caption} | another (3x)")


def test_an_image_that_moves_to_another_split_is_found(
    workspace: Workspace, tmp_path: Path
) -> None:
    images = [captioned_image(workspace, number, family=f"f{number}") for number in range(20)]
    first = build_dataset(workspace, tmp_path / "a", images)
    second = build_dataset(workspace, tmp_path / "b", images, validation_share=0.5)

    diff = diff_datasets(first, second)

    assert 0 < len(diff.moved) < 20
    assert {(a.split, b.split) for a, b in diff.moved} == {("train", "validation")}
    assert diff.unchanged == 20 - len(diff.moved)


def test_long_lists_are_cut_and_counted(workspace: Workspace, tmp_path: Path) -> None:
    images = [captioned_image(workspace, number) for number in range(6)]
    first = build_dataset(workspace, tmp_path / "a", images[:1])
    second = build_dataset(workspace, tmp_path / "b", images)

    text = diff_text(diff_datasets(first, second), most_lines=2)

    assert text.count("\n+ ") == 2
    assert text.endswith("and 3 more of this kind")


def test_captions_cannot_command_a_terminal(workspace: Workspace, tmp_path: Path) -> None:
    image = captioned_image(workspace, 1)
    hostile = replace(image, caption="red\x1b[2J\nforged\u202e line")
    first = build_dataset(workspace, tmp_path / "a", [image])
    second = build_dataset(workspace, tmp_path / "b", [hostile])

    text = diff_text(diff_datasets(first, second))

    assert r"red\x1b[2J\nforged\u202e line" in text


def test_a_folder_without_a_dataset_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no dataset"):
        diff_datasets(tmp_path, tmp_path)
