from pathlib import Path

import pytest

from styledag.errors import DataError, PublishError
from styledag.publishing.licences import check_licences, count_licences
from styledag.store.workspace import Workspace
from styledag_tests.dataset.captioned import captioned_image
from styledag_tests.publishing.datasets.built import build_dataset


def test_images_are_counted_by_licence_over_all_splits(
    workspace: Workspace, tmp_path: Path
) -> None:
    images = [captioned_image(workspace, number, family=f"f{number}") for number in range(15)]
    folder = build_dataset(workspace, tmp_path / "dataset", images, validation_share=0.3)

    counts = count_licences(folder)

    assert counts == {"unknown": 8, "CC-BY-4.0": 7}
    assert next(iter(counts)) == "unknown"


@pytest.mark.parametrize("pattern", ["CC-BY-NC-4.0", "cc-by-nc-*", " *-NC-* ", "*"])
def test_a_denied_licence_is_named(pattern: str) -> None:
    with pytest.raises(PublishError, match=r"3 under 'CC-BY-NC-4.0'"):
        check_licences({"CC0": 1, "CC-BY-NC-4.0": 3}, (pattern,))


def test_other_licences_pass() -> None:
    check_licences({"CC-BY-4.0": 1, "Nonsense NC": 2}, ("*-NC-*", "CC-BY"))


def test_a_folder_without_a_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="contains no dataset"):
        count_licences(tmp_path)
