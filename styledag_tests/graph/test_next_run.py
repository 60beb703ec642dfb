"""What a run would build, with figures that can be counted by hand."""

from pathlib import Path

import pytest

from styledag.graph.catalogue import Catalogue
from styledag.graph.freshness.next_run import Cost, next_run
from styledag.graph.names import Partition
from styledag.graph.plan import plan_build
from styledag.graph.status import style_status
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace
from styledag_tests.whole.small_project import STYLE, edit, make_project

CONTENT = b"twelve bytes"


@pytest.fixture
def catalogue(tmp_path: Path, starter: Path) -> Catalogue:
    """A project whose images are collected and converted, and nothing else."""
    catalogue = Catalogue(make_project(tmp_path, starter, "http://127.0.0.1:1"))

    def write(workspace: Workspace) -> Facts:
        (workspace.folder / "content").write_bytes(CONTENT)
        return {"kept": 21}

    for asset in ("style", "raw_images", "jpeg_images"):
        plan = plan_build(catalogue, asset, Partition(STYLE))
        catalogue.store.build(plan.target, write)
    return catalogue


def costs(catalogue: Catalogue, **seconds: float) -> dict[str, Cost]:
    statuses = style_status(catalogue, STYLE)
    found = next_run(catalogue, statuses, lambda asset, _: seconds.get(asset))
    return {each.asset: each for each in found}


def test_what_was_never_made_is_built_with_the_images_that_are_there(catalogue: Catalogue) -> None:
    found = costs(catalogue, curated_images=2.5, merged_unet=4.0)

    assert not {"style", "raw_images", "jpeg_images"} & found.keys()
    assert found["curated_images"] == Cost("curated_images", 1, 21, None, None, 2.5)
    assert found["captions"].images is None
    # 21 images, a fifth held out: 17; batches of 8, 2 epochs.
    assert found["ema_unet"].steps == 2 * 3
    blends = found["merged_unet"]
    assert (blends.partitions, blends.seconds) == (3, 12.0)


def test_a_changed_setting_costs_what_the_version_there_takes(catalogue: Catalogue) -> None:
    edit(catalogue.project, "mode: pad", "mode: crop")

    jpeg = costs(catalogue)["jpeg_images"]

    assert jpeg.images == 21
    assert jpeg.size_bytes is not None
    assert jpeg.size_bytes > len(CONTENT)
    assert jpeg.seconds is None


def test_a_broken_asset_is_in_no_run(catalogue: Catalogue) -> None:
    edit(catalogue.project, "blip}", "no-such-captioner}")

    found = costs(catalogue)

    assert "captions" not in found
