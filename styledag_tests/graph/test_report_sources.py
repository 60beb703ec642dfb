"""Where the images of a report come from, by the addresses that its dataset states."""

from dataclasses import replace
from pathlib import Path

import pytest

from styledag.dataset.read import read_dataset
from styledag.graph.reporting.report_data import image_sources
from styledag.store.workspace import Workspace
from styledag_tests.dataset.captioned import captioned_image
from styledag_tests.publishing.datasets.built import build_dataset


@pytest.mark.parametrize(
    ("page_url", "place"),
    [
        ("https://wiki.example/fox", ("https://wiki.example/", "web")),
        ("", ("https://example.org/", "web")),
        ("http://[my site]/fox", ("an address that cannot be read", "web")),
        ("scans/1.jpg", ("images on the disk", "folder")),
    ],
)
def test_each_address_is_counted(
    workspace: Workspace, tmp_path: Path, page_url: str, place: tuple[str, str]
) -> None:
    row = captioned_image(workspace, 1)
    origin = replace(row.image.origin, page_url=page_url, url="https://example.org/1.png")
    image = replace(row, image=replace(row.image, origin=origin))
    dataset = build_dataset(workspace, tmp_path / "dataset", [image])
    (found,) = image_sources(read_dataset(dataset))
    assert ((found.address, found.kind), found.images) == (place, 1)
