from pathlib import Path

import pytest
from huggingface_hub import DatasetCard

from styledag.errors import DataError
from styledag.publishing.cards.dataset_card import dataset_card_with_licence, licence_page
from styledag.publishing.licences import count_licences
from styledag.store.workspace import Workspace
from styledag_tests.dataset.captioned import captioned_image
from styledag_tests.publishing.datasets.built import build_dataset


@pytest.mark.parametrize(
    ("licences", "stated"),
    [
        ({"CC-BY-4.0": 3}, "cc-by-4.0"),
        ({"CC BY-SA 4.0": 3, "cc0-1.0": 1}, ["cc-by-sa-4.0", "cc0-1.0"]),
        ({"CC-BY-4.0": 3, "unknown": 1}, "other"),
        ({"Twemoji's own <b>": 1}, "other"),
        ({}, "other"),
    ],
)
def test_licences_are_stated_as_the_hub_names_them(licences, stated) -> None:
    card = "---\npretty_name: Größe\nlicense: mit\n---\n\n# Page\n\n---\nafter a line\n"

    written = dataset_card_with_licence(card, licences)

    data = DatasetCard(written).data.to_dict()
    assert data["license"] == stated
    assert (licence_page(licences) is None) == (stated != "other")
    assert data["pretty_name"] == "Größe"
    assert written.endswith("\n---\n\n# Page\n\n---\nafter a line\n")


def test_the_card_of_a_built_dataset_keeps_all_else(workspace: Workspace, tmp_path: Path) -> None:
    images = [captioned_image(workspace, number) for number in range(4)]
    folder = build_dataset(workspace, tmp_path / "dataset", images)
    card = (folder / "README.md").read_text(encoding="utf-8")

    written = dataset_card_with_licence(card, count_licences(folder))

    before, after = (DatasetCard(text).data.to_dict() for text in (card, written))
    assert after.pop("license") == "other"
    assert (after.pop("license_name"), after.pop("license_link")) == (
        "each-image-its-own",
        "LICENSE.md",
    )
    assert after == before
    assert DatasetCard(written).text == DatasetCard(card).text


def test_a_card_without_front_matter_is_refused() -> None:
    for card in ("# Page\n", "---\n- a list\n---\n", "---\nnever: closed\n"):
        with pytest.raises(DataError, match="no front matter"):
            dataset_card_with_licence(card, {})


def test_the_page_of_licences_counts_them_and_runs_none_of_them() -> None:
    page = licence_page({"Twemoji's own <b>|": 1, "unknown": 3, "CC-BY-4.0": 3})
    assert page is not None
    rows = page.split("| --- | ---: |\n")[1].splitlines()
    assert rows == [
        r"| CC\-BY\-4\.0 | 3 |",
        "| unknown | 3 |",
        r"| Twemoji\'s own &lt;b&gt;\| | 1 |",
    ]
