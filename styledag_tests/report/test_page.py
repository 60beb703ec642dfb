"""Text from scraped pages stays text."""

from dataclasses import replace
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from styledag.report.data import CaptionSample, Family, SourceCount, StageCount
from styledag.report.model import ModelReport
from styledag.report.report import write_report
from styledag_tests.report.example import PROMPTS, example_report, jpeg

HOSTILE = (
    "</title></style></script><script>alert(1)</script>"
    "<img src=x onerror=alert(2)>\"' onmouseover='alert(3)'"
    " {{ 7 * 7 }} &lt;b&gt;"
)
HOSTILE_URLS = (
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "//example.org/x",
    "http://",
    "http://[broken",
    "https://user:secret@example.org/",
    'https://example.org/" onclick="alert(1)',
    "https://example.org/" + "a" * 5000,
)


def hostile_report(folder: Path) -> ModelReport:
    report = example_report(folder)
    data = replace(
        report.data,
        stages=(StageCount(stage=HOSTILE, found=1, kept=0, rejected={HOSTILE: 1}),),
        families=(Family(medoid_jpeg=jpeg("family"), size=2, title=HOSTILE),),
        captions=tuple(
            CaptionSample(jpeg=jpeg(url), caption=HOSTILE, source=HOSTILE, url=url, title=HOSTILE)
            for url in HOSTILE_URLS
        ),
        licences={HOSTILE: 1},
        sources=tuple(SourceCount(address=url, kind=HOSTILE, images=1) for url in HOSTILE_URLS),
    )
    scores = tuple(replace(row, name=HOSTILE) for row in report.scores)
    pair = replace(report.nearest[0], title=HOSTILE, url=HOSTILE_URLS[0], prompt=HOSTILE)
    return replace(
        report,
        description=HOSTILE,
        data=data,
        scores=scores,
        nearest=(pair,),
        score_notes=(HOSTILE,),
        recipe={HOSTILE: HOSTILE},
    )


@pytest.fixture
def page(tmp_path: Path) -> BeautifulSoup:
    write_report(hostile_report(tmp_path), tmp_path)
    return BeautifulSoup((tmp_path / "report.html").read_text(encoding="utf-8"), "html.parser")


def test_hostile_text_adds_no_element_and_no_attribute(page: BeautifulSoup) -> None:
    assert len(page.find_all("script")) == 1
    assert len(page.find_all("style")) == 1
    assert "alert" not in page.script.string
    assert all(image["src"].startswith("data:image/") for image in page.find_all("img"))
    attributes = {name for tag in page.find_all() for name in tag.attrs}
    assert not {name for name in attributes if name.startswith("on")}


def test_hostile_text_is_shown_as_it_was_written(page: BeautifulSoup) -> None:
    for shown in (
        page.select_one(".captions bdi"),
        page.select_one(".notes li"),
        page.select_one("header .lead"),
    ):
        assert "<script>alert(1)</script>" in shown.get_text()
        assert "{{ 7 * 7 }}" in shown.get_text()
        assert "&lt;b&gt;" in shown.get_text()


def test_only_web_addresses_become_links(page: BeautifulSoup) -> None:
    links = [a["href"] for a in page.find_all("a", href=True) if not a["href"].startswith("#")]
    assert links == []


def test_web_addresses_are_linked_without_vouching_for_them(tmp_path: Path) -> None:
    write_report(example_report(tmp_path), tmp_path)
    page = BeautifulSoup((tmp_path / "report.html").read_text(encoding="utf-8"), "html.parser")
    links = [a for a in page.find_all("a", href=True) if not a["href"].startswith("#")]
    assert links
    for link in links:
        assert link["href"].startswith("https://example.org/")
        assert {"noopener", "nofollow"} <= set(link["rel"])


def test_lineage_shows_short_versions_with_the_full_one_in_the_title(tmp_path: Path) -> None:
    report = example_report(tmp_path)
    write_report(report, tmp_path)
    page = BeautifulSoup((tmp_path / "report.html").read_text(encoding="utf-8"), "html.parser")
    rows = page.select("#lineage tbody tr")
    assert len(rows) == len(report.lineage)
    for row, step in zip(rows, report.lineage, strict=True):
        code = row.find("code")
        assert code["title"] == step.version
        assert code.get_text() == step.version[:12]
    made_from = rows[1].find_all("li")
    assert made_from[0].a["href"] == "#step-1"
    assert made_from[1].a is None
    assert made_from[1].code["title"] == report.lineage[1].inputs[1].version


def test_recipe_is_explained_in_the_words_of_the_style_file(tmp_path: Path) -> None:
    write_report(example_report(tmp_path), tmp_path)
    page = BeautifulSoup((tmp_path / "report.html").read_text(encoding="utf-8"), "html.parser")
    rows = [
        [cell.get_text(strip=True) for cell in row.find_all(["th", "td"])]
        for row in page.select("#recipe tbody tr")
    ]
    assert [row[:2] for row in rows] == [
        ["trained", "unet"],
        ["learning_rate", "0.0001"],
        ["ema.mode", "base"],
    ]
    assert all(row[2] for row in rows)


def test_prompt_with_markup_still_finds_its_images(tmp_path: Path) -> None:
    report = example_report(tmp_path)
    prompt = "<b>\u202efox\x00 & \ud800</b>"
    first, second = report.blends[1], report.blends[2]
    renamed = tuple(
        replace(
            blend,
            samples={
                (prompt if asked == PROMPTS[0] else asked, seed): path
                for (asked, seed), path in blend.samples.items()
            },
        )
        for blend in (first, second)
    )
    report = replace(report, prompts=(prompt, PROMPTS[1]), blends=renamed, snapshots=())
    write_report(report, tmp_path)
    page = BeautifulSoup((tmp_path / "report.html").read_text(encoding="utf-8"), "html.parser")
    assert page.select_one(".prompt h3").get_text() == "<b> fox & </b>"
    assert not page.select(".gap")
