"""The page as a whole: self-contained, complete, small enough, and the same every time."""

import base64
import hashlib
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from styledag.errors import DataError, StorageError
from styledag.report import report as report_module
from styledag.report.data import DataSection
from styledag.report.model import (
    DrawnFamily,
    LossLog,
    ModelReport,
    Recommendation,
    UntrainedBase,
)
from styledag.report.report import write_report
from styledag.scoring.records import Estimate
from styledag.scoring.settings import ClassifierSettings
from styledag_tests.report.example import (
    EPOCHS,
    PROMPTS,
    SEEDS,
    WEIGHTS,
    example_report,
    jpeg,
    png,
    samples,
    score_row,
    with_length,
)


def page_of(report: ModelReport, folder: Path) -> BeautifulSoup:
    folder.mkdir(exist_ok=True)
    write_report(report, folder)
    return BeautifulSoup((folder / "report.html").read_text(encoding="utf-8"), "html.parser")


@pytest.fixture
def report(tmp_path: Path) -> ModelReport:
    return example_report(tmp_path)


def test_page_loads_nothing_from_anywhere(report: ModelReport, tmp_path: Path) -> None:
    page = page_of(report, tmp_path / "page")
    sources = [tag["src"] for tag in page.find_all(src=True)]
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert not page.find_all(["link", "iframe", "object", "embed", "base", "form"])
    assert all(tag.name == "a" for tag in page.find_all(href=True))
    style = page.find("style").string
    assert "url(" not in style
    assert "@import" not in style
    policy = page.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy


def test_policy_allows_exactly_the_inlined_script_and_style(
    report: ModelReport, tmp_path: Path
) -> None:
    page = page_of(report, tmp_path / "page")
    policy = page.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    for name in ("script", "style"):
        [tag] = page.find_all(name)
        digest = base64.b64encode(hashlib.sha256(tag.string.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert not page.find_all(style=True), "the policy would ignore style attributes"
    handlers = [key for tag in page.find_all() for key in tag.attrs if key.startswith("on")]
    assert not handlers, "the policy would ignore event handlers"


def test_every_prompt_shows_every_weight_snapshot_and_seed(
    report: ModelReport, tmp_path: Path
) -> None:
    page = page_of(report, tmp_path / "page")
    sections = page.select(".prompt")
    assert [section.h3.get_text(strip=True) for section in sections] == list(PROMPTS)
    for section in sections:
        stops = [stop["data-stop"] for stop in section.select(".stop")]
        assert stops == [
            *(f"weight {weight:.2f}" for weight in WEIGHTS),
            *(f"epoch {e}" for e in EPOCHS),
        ]
        for stop in section.select(".stop"):
            assert len(stop.find_all("img")) == len(SEEDS)
        assert len(section.select("img.moving")) == 2
        assert len(section.select("img.strip")) == 2
    gallery = page.select_one(".gallery")
    assert len(gallery.find_all("img")) == len(PROMPTS) * len(SEEDS)


def test_prompts_are_read_in_their_own_direction(report: ModelReport, tmp_path: Path) -> None:
    """As those in Arabic or Hebrew, whose dots and numbers stand elsewhere in an English line."""
    page = page_of(report, tmp_path)
    for prompt in report.prompts:
        shown = [each for each in page.find_all(["h3", "figcaption"]) if each.text == prompt]
        assert len(shown) >= 2
        assert {each.get("dir") for each in shown} == {"auto"}


def test_sliders_have_a_name_a_value_text_and_start_at_the_recommended_weight(
    report: ModelReport, tmp_path: Path
) -> None:
    page = page_of(report, tmp_path / "page")
    sliders = page.find_all("input", type="range")
    assert len(sliders) == 2 * len(PROMPTS)
    for slider in sliders:
        assert page.find("label", {"for": slider["id"]}).get_text(strip=True)
    first = sliders[0]
    assert (first["min"], first["max"], first["value"]) == ("0", "2", "1")
    assert first["aria-valuetext"] == "Weight 0.50, 40% fine-tune"
    assert page.select_one(".stop.current")["data-stop"] == "weight 0.50"


def test_blocks_that_take_a_share_of_the_weight_are_named(
    report: ModelReport, tmp_path: Path
) -> None:
    assert "share of the weight" not in page_of(report, tmp_path / "none").get_text()
    by_block = replace(report, block_weights={"up.0": 0.5, "mid": 0})
    said = " ".join(page_of(by_block, tmp_path / "two").select_one("#prompts p").get_text().split())
    assert said.endswith("take a share of the weight only: up.0 50%, mid 0%.")


def test_a_score_that_cannot_tell_the_style_is_marked_and_stays_off_the_front_page(
    report: ModelReport, tmp_path: Path
) -> None:
    asked = ClassifierSettings(model="data/judge", label="twemoji")
    blind = Estimate(0.01, -0.02, 0.04)
    page = page_of(replace(report, classifier=asked, classifier_gap=blind), tmp_path)
    [head] = [each for each in page.select("th.by") if "classifier" in each.get_text()]
    assert "cannot tell" in head.get_text()
    assert "Taken for" not in page.select_one(".glance").get_text()
    assert "the classifier's 0.010 (\N{MINUS SIGN}0.020 to 0.040)" in " ".join(
        page.select_one("#scores").get_text().split()
    )


def test_the_base_without_training_stands_beside_the_model(
    report: ModelReport, tmp_path: Path
) -> None:
    assert page_of(report, tmp_path / "none").select_one("#worth") is None
    asked = UntrainedBase(
        kind="prompt", given="“flat art” added", samples=samples(tmp_path, "prompted")
    )
    shown = UntrainedBase(
        kind="ip_adapter", given="2 training images", samples=samples(tmp_path, "adapted")
    )
    rows = (
        score_row(
            "base, “flat art”",
            "prompt",
            style_learned=Estimate(0.02),
            base_remembered=Estimate(0.9),
        ),
        score_row("base, IP-Adapter plus", "ip_adapter", copying=Estimate(0.25)),
    )
    page = page_of(
        replace(report, untrained=(asked, shown), scores=(*report.scores, *rows)), tmp_path / "both"
    )
    worth = page.select_one("#worth")
    text = " ".join(worth.get_text().split())
    assert "by the base with “flat art” added and with 2 training images, beside" in text
    assert "the base has 0.02 of the style" in text
    assert len(worth.find_all("img")) == 3 * len(report.prompts) * len(report.seeds)
    [point] = page.select('#scores a[data-stop="prompt"]')
    assert "flat art" in point["aria-label"]
    assert page.select('[data-stop="prompt"] img')
    assert not page.select('#scores a[data-stop="ip_adapter"]')
    [row] = [each for each in page.select("#scores-table tr") if "IP-Adapter plus" in str(each)]
    cells = [each.get_text(strip=True) for each in row.find_all("td")]
    assert cells[1:5] == ["\N{EN DASH}", "\N{EN DASH}", "no", "25%"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [({}, "since the scores cannot tell"), ({"scores": ()}, "since there are no scores")],
)
def test_that_nothing_is_recommended_has_a_reason(
    report: ModelReport, tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    page = page_of(replace(report, recommended=None, **changed), tmp_path)
    (best,) = page.select("#best")
    assert f"Nothing is recommended, {reason}" in best.get_text()


def test_a_family_that_is_drawn_unasked_is_shown_beside_its_samples(
    report: ModelReport, tmp_path: Path
) -> None:
    family = DrawnFamily(
        medoid_jpeg=jpeg("clock"),
        images=20,
        title="One o'clock",
        row="weight 1.00",
        share=0.4,
        samples=(("a red fox", png(tmp_path, "clock-like")),),
    )
    shown = page_of(replace(report, families_drawn=(family,)), tmp_path).select_one("#nearest")
    told = " ".join(shown.get_text().split())
    assert "one of 20 training images" in told
    assert "40% of the samples of weight 1.00 more than of the base's" in told
    assert "Families drawn unasked" not in page_of(report, tmp_path / "none").get_text()


def test_a_slider_tells_what_the_base_says_of_each_stop(
    report: ModelReport, tmp_path: Path
) -> None:
    page = page_of(report, tmp_path)
    stop = page.select_one('#prompts .stop[data-stop="weight 0.50"] .scored')
    assert stop.get_text() == "style learned 0.10, base remembered 0.85"
    assert page.select_one('#prompts .stop[data-stop="epoch 2"] .scored') is None


def test_an_average_of_another_length_is_one_more_blend_with_its_label(
    report: ModelReport, tmp_path: Path
) -> None:
    assert "average (ema)" not in page_of(report, tmp_path).get_text()
    chosen = Recommendation(name="length 0.150", rule="It is best.")
    page = page_of(replace(with_length(report, tmp_path), recommended=chosen), tmp_path)
    stops = page.select('#prompts .stop[data-stop="length 0.150"]')
    assert [stop["data-label"] for stop in stops] == [
        "Average of length 0.150, 100% fine-tune" for _ in report.prompts
    ]
    assert all("recommended" in stop.get_text() for stop in stops)
    assert not page.select('.stop[data-stop="weight 1.00"] .tag')
    assert page.select_one("header dd").get_text() == "length 0.150"
    assert "average (ema)" in page.get_text()
    [row] = page.select("#scores-table tbody tr.chosen")
    assert "length 0.150" in row.get_text()
    [point] = page.select('#scores a[data-stop="length 0.150"]')
    assert "recommended" in point["aria-label"]
    assert "ema 0.150" in page.select_one("#scores svg").get_text()


def test_page_is_accessible_in_what_a_parser_can_see(report: ModelReport, tmp_path: Path) -> None:
    page = page_of(report, tmp_path / "page")
    assert page.html["lang"] == "en"
    assert all(image.get("alt") for image in page.find_all("img"))
    levels = [int(tag.name[1]) for tag in page.find_all(["h1", "h2", "h3", "h4"])]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    for table in page.find_all("table"):
        assert table.caption.get_text(strip=True)
        assert all(head.get("scope") in ("row", "col", "colgroup") for head in table.find_all("th"))
    ids = [tag["id"] for tag in page.find_all(id=True)]
    assert len(ids) == len(set(ids))
    named = [*page.find_all(attrs={"aria-labelledby": True})]
    assert {tag["aria-labelledby"] for tag in named} <= set(ids)
    fragments = {a["href"][1:] for a in page.find_all("a", href=True) if a["href"][0] == "#"}
    assert fragments <= set(ids)


def test_same_report_gives_same_bytes(tmp_path: Path) -> None:
    pages = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        write_report(example_report(folder), folder)
        pages.append((folder / "report.html").read_bytes())
    assert pages[0] == pages[1]
    assert str(tmp_path).encode() not in pages[0]


def test_facts_count_what_the_page_shows(report: ModelReport, tmp_path: Path) -> None:
    facts = write_report(report, tmp_path)
    grid = len(PROMPTS) * len(SEEDS)
    assert facts == {
        "size_bytes": (tmp_path / "report.html").stat().st_size,
        "images": grid * (len(WEIGHTS) + len(EPOCHS)) + 3,
        "animations": 2 * len(PROMPTS),
        "left_out": 0,
        "side_px": 0,
    }


def test_large_images_are_made_smaller_until_the_page_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "MAX_BYTES", 700_000)
    facts = write_report(example_report(tmp_path, size_px=160), tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert facts["size_bytes"] == len(page.encode()) <= 700_000
    assert 0 < facts["side_px"] < 160
    assert facts["left_out"] == 0
    assert f"no more than {facts['side_px']} pixels" in page


def test_what_finds_no_room_is_said_and_the_best_images_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "MAX_BYTES", 290_000)
    page = page_of(example_report(tmp_path, size_px=160), tmp_path)
    facts = write_report(example_report(tmp_path, size_px=160), tmp_path)
    assert facts["size_bytes"] <= 290_000
    assert facts["left_out"] > 0
    assert "Left out for want of room" in page.footer.get_text()
    assert len(page.select_one(".gallery").find_all("img")) == len(PROMPTS) * len(SEEDS)
    assert page.select(".stop .gap")


def test_page_stands_without_everything_that_may_be_missing(tmp_path: Path) -> None:
    bare = ModelReport(
        model="twemoji.full",
        description="",
        version="0" * 64,
        prompts=PROMPTS,
        seeds=SEEDS,
        data=DataSection(),
    )
    page = page_of(bare, tmp_path)
    assert page.h1.get_text() == "twemoji.full"
    assert not page.find_all("img")
    assert "no scores" in page.select_one("#scores").get_text()


@pytest.mark.parametrize(
    "missing",
    [
        {"evolution": {}, "denoising": {}},
        {"scores": ()},
        {"loss": LossLog()},
        {"snapshots": ()},
        {"recommended": None, "scores": ()},
        {"nearest": (), "copy_similarity": None},
        {"lineage": (), "recipe": {}},
    ],
    ids=lambda missing: "+".join(missing),
)
def test_page_stands_without_one_part(
    report: ModelReport, tmp_path: Path, missing: dict[str, object]
) -> None:
    page = page_of(replace(report, **missing), tmp_path / "page")
    assert len(page.select(".gallery img")) == len(PROMPTS) * len(SEEDS)
    fragments = {a["href"][1:] for a in page.find_all("a", href=True) if a["href"][0] == "#"}
    assert fragments <= {tag["id"] for tag in page.find_all(id=True)}


def test_loss_without_validation_draws_training_alone(report: ModelReport, tmp_path: Path) -> None:
    snapshots = tuple(replace(each, validation_loss=None) for each in report.snapshots)
    page = page_of(replace(report, snapshots=snapshots), tmp_path / "page")
    assert page.select("#loss .train")
    assert not page.select("#loss .validation")


def test_a_image_that_was_not_sampled_is_said_to_be_missing(
    report: ModelReport, tmp_path: Path
) -> None:
    first, *others = report.blends
    fewer = {key: path for key, path in first.samples.items() if key != (PROMPTS[1], SEEDS[2])}
    page = page_of(
        replace(report, blends=(replace(first, samples=fewer), *others)), tmp_path / "page"
    )
    [gap] = page.select(".gap")
    assert gap.get_text(strip=True) == "not sampled"
    assert PROMPTS[1] in gap["aria-label"]


def test_missing_or_broken_image_is_named(report: ModelReport, tmp_path: Path) -> None:
    path = report.blends[1].samples[PROMPTS[0], 0]
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    with pytest.raises(StorageError, match=path.name):
        write_report(report, tmp_path)
    path.unlink()
    with pytest.raises(StorageError, match=path.name):
        write_report(report, tmp_path)


def test_page_that_cannot_be_written_is_a_storage_error(
    report: ModelReport, tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match=r"report\.html"):
        write_report(report, tmp_path / "nowhere")


def test_text_without_room_for_it_is_refused(
    report: ModelReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "MAX_BYTES", 110_000)
    with pytest.raises(DataError, match="without an image"):
        write_report(report, tmp_path)


def test_unused_images_are_not_read(report: ModelReport, tmp_path: Path) -> None:
    stray = png(tmp_path, "stray")
    stray.write_bytes(b"no image")
    first, *others = report.blends
    with_stray = {**first.samples, ("another prompt", 0): stray}
    expected = write_report(report, tmp_path)
    strayed = replace(report, blends=(replace(first, samples=with_stray), *others))
    assert write_report(strayed, tmp_path) == expected
