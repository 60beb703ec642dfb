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


def test_recommendation_is_one_thing_that_the_report_shows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="weight or an epoch"):
        Recommendation(name="both", rule="", weight=0.5, epoch=1)
    report = example_report(tmp_path)
    with pytest.raises(ValueError, match="not in the report"):
        replace(report, recommended=Recommendation(name="0.3", rule="", weight=0.3))


def test_best_samples_are_those_recommended_else_the_last(tmp_path: Path) -> None:
    report = example_report(tmp_path)
    assert report.best_samples == report.blends[1].samples
    by_epoch = replace(report, recommended=Recommendation(name="e1", rule="", epoch=1))
    assert by_epoch.best_samples == report.snapshots[1].samples
    assert replace(report, recommended=None).best_samples == report.blends[-1].samples


def test_an_average_of_another_length_is_not_the_blend_of_its_weight(tmp_path: Path) -> None:
    report = with_length(example_report(tmp_path), tmp_path)
    by_length = replace(
        report, recommended=Recommendation(name="l", rule="", weight=1.0, length=0.15)
    )
    assert by_length.best_samples == report.blends[-1].samples
    assert by_length.is_recommended(weight=1.0, length=0.15)
    assert not by_length.is_recommended(weight=1.0)
    by_weight = replace(report, recommended=Recommendation(name="w", rule="", weight=1.0))
    assert by_weight.best_samples == report.blends[-2].samples


def test_log_needs_a_loss_for_every_step() -> None:
    with pytest.raises(ValueError, match="2 steps, but 1 losses"):
        LossLog(steps=(1, 2), losses=(0.1,))
    with pytest.raises(ValueError, match="above 0"):
        LossLog(steps_per_epoch=0)
