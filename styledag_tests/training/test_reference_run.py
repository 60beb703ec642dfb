"""A small run against the losses that it had when it was recorded."""

from pathlib import Path

import pytest

from styledag_tests.training.conftest import Encode
from styledag_tests.training.training import train

EPOCHS = 8
TRAIN_LOSSES = (1.0011, 0.7919, 0.6457, 0.5468, 0.5118, 0.5194, 0.4736, 0.5116)
VALIDATION_LOSSES = (1.0825, 0.9897, 0.8927, 0.8089, 0.7412, 0.6891, 0.6504, 0.6226)


def test_losses_are_those_of_the_recorded_run_and_fall(
    base: Path, encode: Encode, tmp_path: Path
) -> None:
    result = train(encode(24, validation=4), base, tmp_path, epochs=EPOCHS, snapshot_every_epochs=1)
    losses = [each.loss for each in result.snapshots]
    validation = [each.validation_loss for each in result.snapshots]
    # Other processors round otherwise; another order of the noise would be further off.
    assert losses == pytest.approx(list(TRAIN_LOSSES), rel=0.02)
    assert validation == pytest.approx(list(VALIDATION_LOSSES), rel=0.02)
    assert validation == sorted(validation, reverse=True)  # type: ignore[type-var]
