from dataclasses import replace
from pathlib import Path

import pytest

from styledag.report.data import StageCount
from styledag.report.model import LossLog, Recommendation
from styledag_tests.report.example import example_report, with_length


def test_counts_that_lose_a_image_are_refused() -> None:
    StageCount(stage="raw_images", found=3, kept=1, rejected={"blank": 2})
    with pytest.raises(ValueError, match="found 4 images"):
        StageCount(stage="raw_images", found=4, kept=1, rejected={"blank": 2})


def test_what_is_recommended_is_in_the_report(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not in the report"):
        replace(example_report(tmp_path), recommended=Recommendation(name="0.3", rule=""))


def test_best_samples_are_those_recommended_else_the_last(tmp_path: Path) -> None:
    report = example_report(tmp_path)
    assert report.best_samples == report.blends[1].samples
    by_epoch = replace(report, recommended=Recommendation(name="epoch 1", rule=""))
    assert by_epoch.best_samples == report.snapshots[1].samples
    assert replace(report, recommended=None).best_samples == report.blends[-1].samples


def test_an_average_of_another_length_is_not_the_blend_of_its_weight(tmp_path: Path) -> None:
    report = with_length(example_report(tmp_path), tmp_path)
    by_length = replace(report, recommended=Recommendation(name="length 0.150", rule=""))
    assert by_length.best_samples == report.blends[-1].samples
    by_weight = replace(report, recommended=Recommendation(name="weight 1.00", rule=""))
    assert by_weight.best_samples == report.blends[-2].samples


def test_log_needs_a_loss_for_every_step() -> None:
    with pytest.raises(ValueError, match="2 steps, but 1 losses"):
        LossLog(steps=(1, 2), losses=(0.1,))
    with pytest.raises(ValueError, match="above 0"):
        LossLog(steps_per_epoch=0)
