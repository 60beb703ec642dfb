"""The pages in a real browser: readable for everybody, at every width, by mouse and keyboard."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from styledag.report.comparison import write_comparison
from styledag.report.overview import Overview, write_overview
from styledag.report.report import write_report
from styledag_tests.report import test_comparison, test_overview
from styledag_tests.report.example import example_report
from styledag_tests.whole.browser import CHROMIUM, browsing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser: {CHROMIUM} is not there"),
]

comparison = test_comparison.comparison


@pytest.fixture(params=[400, 1000, 1600])
def page(request: pytest.FixtureRequest) -> Iterator[Any]:
    pytest.importorskip("playwright", reason="Playwright is not installed: pip install playwright")
    with browsing("", width=request.param) as browser:
        yield browser.page


def assert_is_sound(page: Any, path: Path) -> None:
    """Open a page, and look for what axe finds wrong and for what is wider than the window."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python"
    )
    page.goto(path.as_uri())
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    wider = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wider <= 0


def test_the_report_is_sound_and_its_sliders_answer(page: Any, tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    write_report(example_report(tmp_path), tmp_path / "report")
    assert_is_sound(page, tmp_path / "report" / "report.html")
    slider = page.locator("input[type=range]").first
    last = int(slider.get_attribute("max"))
    slider.focus()
    shown = []
    for key, at in (("End", last), ("Home", 0), ("ArrowRight", 1)):
        page.keyboard.press(key)
        assert int(slider.input_value()) == at
        shown.append(slider.get_attribute("aria-valuetext"))
    assert len(set(shown)) == 3
    box = slider.bounding_box()
    slider.click(position={"x": box["width"] - 3, "y": box["height"] / 2})
    assert int(slider.input_value()) == last


def test_a_point_of_the_plot_shows_its_images_to_mouse_and_keyboard(
    page: Any, tmp_path: Path
) -> None:
    (tmp_path / "report").mkdir()
    write_report(example_report(tmp_path), tmp_path / "report")
    page.goto((tmp_path / "report" / "report.html").as_uri())
    peek, points = page.locator(".peek"), page.locator(".scores-chart a[data-stop^=weight]")
    shown = set()
    for show in (
        lambda: points.first.locator(".dot").hover(),
        lambda: points.last.focus(),
    ):
        assert not peek.is_visible()
        show()
        assert peek.is_visible()
        images = peek.locator("img")
        shown.add(images.first.get_attribute("src"))
        assert images.evaluate_all("all => all.every(each => each.naturalWidth > 0)")
        box = peek.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= page.viewport_size["width"]
        page.keyboard.press("Escape")
    assert len(shown) == 2


def test_the_page_over_all_styles_is_sound(page: Any, tmp_path: Path) -> None:
    styles = (test_overview.style(tmp_path, "ink", "light"),)
    write_overview(Overview(styles=styles, missing=("oil",)), tmp_path / "all.html")
    assert_is_sound(page, tmp_path / "all.html")


def test_the_comparison_of_recipes_is_sound(page: Any, tmp_path: Path, comparison: Any) -> None:
    write_comparison(comparison, tmp_path / "compare.html")
    assert_is_sound(page, tmp_path / "compare.html")
