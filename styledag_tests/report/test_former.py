"""What a report says of the model before it."""

from dataclasses import replace
from pathlib import Path

from bs4 import BeautifulSoup, Tag

from styledag.report.model import ModelReport
from styledag.report.report import write_report
from styledag_tests.report.example import example_report


def page_of(report: ModelReport, folder: Path) -> BeautifulSoup:
    write_report(report, folder)
    return BeautifulSoup((folder / "report.html").read_text(encoding="utf-8"), "html.parser")


def cells(row: Tag) -> list[str]:
    return [" ".join(each.get_text().split()) for each in row.find_all(["th", "td"])]


def test_both_versions_stand_side_by_side_under_what_has_changed(tmp_path: Path) -> None:
    section = page_of(example_report(tmp_path), tmp_path).find(id="former")
    assert isinstance(section, Tag)
    assert [each.get_text() for each in section.select("li")] == [
        "12 images added",
        "<b>epochs</b>: 1 is now 2",
    ]
    last, this = (cells(row) for row in section.select("tbody tr"))
    assert last == ["The last", "nothing", "0.150 0.140 to 0.160", "0.700", "2%", "340"]
    assert this == ["This one", "weight 0.50", "0.100 0.090 to 0.110", "0.850", "2%", "9"]


def test_a_model_without_scores_is_compared_by_its_inputs(tmp_path: Path) -> None:
    report = replace(example_report(tmp_path), scores=(), recommended=None)
    section = page_of(report, tmp_path).find(id="former")
    assert isinstance(section, Tag)
    none = "\N{EN DASH}"
    assert cells(section.select("tbody tr")[1]) == ["This one", "nothing", none, none, none, "9"]


def test_a_first_version_has_no_such_section(tmp_path: Path) -> None:
    page = page_of(replace(example_report(tmp_path), former=None), tmp_path)
    assert page.find(id="former") is None
    assert page.find(href="#former") is None
