"""The charts: what is drawn stands where its figures say."""

import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from styledag.report.chart import HEIGHT, WIDTH, axis, x_px, y_px
from styledag.report.loss_chart import MAX_BINS, loss_chart, not_finite
from styledag.report.model import LossLog, ModelReport, SnapshotSection
from styledag.report.score_chart import score_chart
from styledag.scoring.records import Estimate
from styledag_tests.report.example import WEIGHTS, example_report


@pytest.fixture
def report(tmp_path: Path) -> ModelReport:
    return example_report(tmp_path)


def drawn(markup: object) -> ElementTree.Element:
    return ElementTree.fromstring(str(markup))


def by_class(chart: ElementTree.Element, *names: str) -> list[ElementTree.Element]:
    return [each for each in chart.iter() if set(names) <= set(each.get("class", "").split())]


@pytest.mark.parametrize(
    "values", [[0.0, 1.0], [3.0, 3.0], [-2.0, 5e6], [1e-7, 2e-7], [math.nan, 4.0], []]
)
def test_axis_holds_all_values_with_a_few_round_ticks(values: list[float]) -> None:
    scale = axis("x", values)
    assert all(scale.low <= value <= scale.high for value in values if math.isfinite(value))
    assert all(scale.low <= tick <= scale.high for tick in scale.ticks)
    assert 2 <= len(scale.ticks) <= 12


def test_whole_axis_labels_whole_numbers() -> None:
    assert axis("Epoch", [0, 10], pad=0.015, whole=True).ticks == (0, 2, 4, 6, 8, 10)


def test_more_is_further_right_and_higher() -> None:
    scale = axis("x", [0.0, 1.0])
    assert 0 < x_px(scale, 0.0) < x_px(scale, 1.0) < WIDTH
    assert HEIGHT > y_px(scale, 0.0) > y_px(scale, 1.0) > 0


def test_points_are_ordered_as_their_scores(report: ModelReport) -> None:
    chart = drawn(score_chart(report))
    dots = by_class(chart, "dot", "blend")
    assert len(dots) == len(WEIGHTS)
    across = {title_of(chart, dot): float(dot.get("cx", "")) for dot in dots}
    weak, strong = (f"weight {weight:.2f}" for weight in (0, 1))
    retained = {name.split(":")[0]: at for name, at in across.items()}
    assert retained[weak] > retained[strong]


def title_of(chart: ElementTree.Element, mark: ElementTree.Element) -> str:
    [link] = [each for each in chart.iter("a") if mark in list(each)]
    return link.findtext("title") or ""


def test_recommended_point_is_ringed_and_the_front_leaves_out_the_dominated(
    report: ModelReport,
) -> None:
    chart = drawn(score_chart(report))
    [ring] = by_class(chart, "ring")
    assert title_of(chart, ring).endswith("recommended")
    assert "weight 0.50" in title_of(chart, ring)
    [front] = by_class(chart, "front")
    assert len(front.get("points", "").split()) == len(WEIGHTS)
    [checkpoint] = by_class(chart, "checkpoint")
    assert "epoch 1" in title_of(chart, checkpoint)


def test_every_point_links_to_its_row_and_labels_do_not_overlap(report: ModelReport) -> None:
    rows = tuple(
        replace(
            report.scores[-1],
            name=f"after epoch {epoch}",
            epoch=epoch,
            style_learned=Estimate(0.3 + 0.002 * epoch),
            base_remembered=Estimate(0.8),
        )
        for epoch in range(1, 60)
    )
    chart = drawn(score_chart(replace(report, scores=rows)))
    assert [a.get("href") for a in chart.iter("a")] == [f"#score-{n}" for n in range(1, 60)]
    labels = [
        (float(each.get("x", "")), float(each.get("y", ""))) for each in by_class(chart, "point")
    ]
    assert 0 < len(labels) < 60
    for index, (x, y) in enumerate(labels):
        for other_x, other_y in labels[index + 1 :]:
            assert abs(x - other_x) >= 14 or abs(y - other_y) >= 14


def test_scores_that_are_no_number_are_not_drawn(report: ModelReport) -> None:
    rows = (
        replace(report.scores[0], style_learned=Estimate(math.nan)),
        replace(report.scores[1], base_remembered=Estimate()),
    )
    assert score_chart(replace(report, scores=rows)) is None


def test_loss_chart_places_epochs_over_their_last_step() -> None:
    log = LossLog(steps=(1, 2, 3, 4), losses=(0.4, 0.3, 0.2, 0.1), steps_per_epoch=2)
    chart = drawn(loss_chart(log, [SnapshotSection(epoch=2, validation_loss=0.1)]))
    [line] = by_class(chart, "line", "train")
    last_step = line.get("points", "").split()[-1].split(",")
    [dot] = by_class(chart, "dot", "validation")
    middle_x = float(dot.get("x", "")) + float(dot.get("width", "")) / 2
    middle_y = float(dot.get("y", "")) + float(dot.get("height", "")) / 2
    assert middle_x == pytest.approx(float(last_step[0]), abs=0.2)
    assert middle_y == pytest.approx(float(last_step[1]), abs=0.2)


def test_long_log_is_drawn_with_few_points_within_the_chart() -> None:
    losses = tuple(0.1 + 0.05 * math.sin(step) for step in range(15_000))
    log = LossLog(steps=tuple(range(15_000)), losses=losses, steps_per_epoch=100)
    chart = drawn(loss_chart(log, ()))
    [line] = by_class(chart, "line", "train")
    points = [tuple(map(float, pair.split(","))) for pair in line.get("points", "").split()]
    assert len(points) <= MAX_BINS
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)


def test_losses_that_are_no_number_are_counted_and_left_out() -> None:
    log = LossLog(steps=(1, 2, 3), losses=(0.2, math.nan, math.inf))
    assert not_finite(log) == 2
    assert "nan" not in str(loss_chart(log, ()))
    assert loss_chart(LossLog(), [SnapshotSection(epoch=1)]) is None
