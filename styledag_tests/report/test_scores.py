"""The table of scores: a column for each that was measured."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from styledag.report.model import ModelReport
from styledag.scoring.records import Estimate
from styledag.scoring.settings import ClassifierSettings
from styledag_tests.report.example import example_report
from styledag_tests.report.test_report import page_of


@pytest.fixture
def report(tmp_path: Path) -> ModelReport:
    return example_report(tmp_path)


def test_what_a_classifier_takes_for_the_style_is_a_column_of_the_scores(
    report: ModelReport, tmp_path: Path
) -> None:
    assert "taken for" not in page_of(report, tmp_path / "none").get_text().lower()
    asked = ClassifierSettings(model="data/judge", label="twemoji", prompts=("a house", "a car"))
    knows = Estimate(0.6, 0.5, 0.7)
    scored = replace(report, classifier=asked, classifier_gap=knows)
    page = page_of(scored, tmp_path / "asked")
    assert "Taken for twemoji35%" in page.select_one(".glance").get_text()
    said = " ".join(page.select_one("#scores .words").get_text().split())
    assert "the classifier data/judge takes for “twemoji”" in said
    assert "it was asked about “a house”, “a car”." in said
    assert cells_under("Taken for twemoji", page) == ["0%", "35%", "70%", "\N{EN DASH}"]


def test_kid_is_a_column_of_the_scores_with_its_interval(
    report: ModelReport, tmp_path: Path
) -> None:
    first, *others = report.scores
    measured = replace(first, kid=Estimate(126.97, -3.21, 250.0))
    page = page_of(replace(report, scores=(measured, *others)), tmp_path)
    assert cells_under("KID", page) == [
        "127.0 \N{MINUS SIGN}3.2 to 250.0",
        *(3 * ["\N{EN DASH}"]),
    ]


def test_a_page_names_the_styles_that_a_score_had_to_tell(
    report: ModelReport, tmp_path: Path
) -> None:
    def told(name: str, **changed: Any) -> str:
        page = page_of(replace(report, **changed), tmp_path / name)
        return " ".join(page.select_one("#scores .after").get_text().split())

    assert "than the base's own images. The scorer's" in told("none")
    both = told("both", other_styles=("ink", "oil"))
    assert "the base's own images and those of ink, oil, whichever it tells worst. The" in both


def cells_under(heading: str, page: BeautifulSoup) -> list[str]:
    heads = [head.get_text() for head in page.select("#scores-table thead th[scope=col]")]
    column = heads.index(heading)
    rows = page.select("#scores-table tbody tr")
    return [row.select("th, td")[column].get_text(" ", strip=True) for row in rows]
