"""Whether the loss on the held-out families has turned, and which snapshot was the best."""

from collections.abc import Sequence

from styledag.training.records import Snapshot


def best_snapshot(snapshots: Sequence[Snapshot]) -> Snapshot | None:
    """Return the snapshot with the lowest validation loss, the earlier of equals.

    ``None`` if none was measured.
    """
    measured = [each for each in snapshots if each.validation_loss is not None]
    return min(measured, key=lambda each: (each.validation_loss, each.epoch), default=None)


def has_turned(snapshots: Sequence[Snapshot], patience: int) -> bool:
    """Return whether so many snapshots in a row were no better than one before them.

    Args:
        snapshots: By rising epoch.
        patience: Snapshots without a lower validation loss; above 0.
    """
    best = best_snapshot(snapshots)
    return best is not None and sum(each.epoch > best.epoch for each in snapshots) >= patience
