"""Which checkpoint became the model, and what a training remembers of those it published."""

from pathlib import Path

import pytest

from styledag.errors import StorageError
from styledag.graph.snapshots import (
    PublishedSnapshots,
    StoredSnapshot,
    read_final,
    read_snapshots,
    write_snapshots,
)
from styledag.store.artifact import Artifact
from styledag.store.store import Store, Target
from styledag.store.workspace import Workspace

KEPT = [
    StoredSnapshot(
        epoch=epoch,
        step=10 * epoch,
        loss=0.1,
        validation_loss=None,
        validation_bands=(),
        base_share=0.1 * epoch,
        partition=f"a.b/e00{epoch}",
        version=str(epoch),
    )
    for epoch in (1, 2, 3)
]


def model(store: Store, final_epoch: int) -> Artifact:
    def write(workspace: Workspace) -> dict[str, int]:
        write_snapshots(KEPT, final_epoch, workspace.folder)
        return {}

    target = Target(asset="ema_unet", partition="a.b", code_version=str(final_epoch))
    return store.build(target, write).artifact


@pytest.mark.parametrize("final_epoch", [2, 3])
def test_the_model_is_the_last_checkpoint_or_the_best(store: Store, final_epoch: int) -> None:
    artifact = model(store, final_epoch)
    assert [each.epoch for each in read_snapshots(artifact)] == [1, 2, 3]
    assert read_final(artifact).epoch == final_epoch
    assert read_final(artifact).base_share == pytest.approx(0.1 * final_epoch)
    # Only a model that is not the last checkpoint has a further file.
    assert len(artifact.build.files) == (2 if final_epoch == 2 else 1)


def test_what_was_published_is_remembered_over_a_kill(store: Store, tmp_path: Path) -> None:
    artifact = model(store, 3)
    PublishedSnapshots(tmp_path).add(1, artifact)
    PublishedSnapshots(tmp_path).add(2, artifact)
    assert PublishedSnapshots(tmp_path).find(1) == ("a.b", artifact.version)
    with pytest.raises(StorageError, match="does not name the checkpoint of epoch 3"):
        PublishedSnapshots(tmp_path).find(3)
