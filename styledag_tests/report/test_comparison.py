"""Recipes side by side: what differs, their images, and nothing from anywhere else."""

from dataclasses import replace
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from styledag.errors import StorageError
from styledag.report.comparison import (
    ComparedRecipe,
    Comparison,
    differences,
    write_comparison,
)
from styledag_tests.report.example import PROMPTS, SEEDS, example_scores, samples, version

RECIPES = {
    "full": {"trained": "unet", "epochs": 8, "ema": {"mode": "base", "base_share": 0.2}},
    "light": {"trained": "attention", "epochs": 8, "ema": {"mode": "none"}},
}


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    score = example_scores()[1]
    return Comparison(
        style="twemoji",
        description="Flat, friendly emoji.",
        prompts=PROMPTS,
        seeds=SEEDS,
        base_samples=samples(tmp_path, "base"),
        recipes=tuple(
            ComparedRecipe(
                name=name,
                version=version(name),
                training_images=9,
                score=replace(score, name=f"weight {at}"),
                is_recommended=name == "full",
                samples=samples(tmp_path, name),
                recipe=recipe,
            )
            for at, (name, recipe) in enumerate(RECIPES.items())
        ),
        missing=("slow",),
    )


def page_of(comparison: Comparison, folder: Path) -> BeautifulSoup:
    path = folder / "sheets" / "page.html"
    write_comparison(comparison, path)
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def test_only_settings_that_differ_are_listed(comparison: Comparison) -> None:
    found = {each.key: each.values for each in differences(comparison)}
    assert found == {
        "trained": ("unet", "attention"),
        "ema.mode": ("base", "none"),
        "ema.base_share": (0.2, None),
    }
    assert all(each.help for each in differences(comparison))
    assert differences(replace(comparison, recipes=comparison.recipes[:1])) == ()


def test_each_prompt_shows_the_base_and_every_recipe_with_the_same_seeds(
    comparison: Comparison, tmp_path: Path
) -> None:
    page = page_of(comparison, tmp_path)
    for article in page.select("#images article"):
        titles = [each.get_text(" ", strip=True) for each in article.select("figcaption")]
        assert titles == ["base", "full weight 0", "light weight 1"]
        assert len(article.find_all("img")) == 3 * len(SEEDS)
    rows = [row.get_text(" ", strip=True) for row in page.select("#scores tbody tr")]
    assert "0.100 0.090 to 0.110" in rows[0]
    assert "nothing; weight 1 is shown" in rows[1]
    assert "slow" in page.select_one("#scores").get_text()


def test_what_has_changed_since_a_recipe_was_trained_before_is_listed(
    comparison: Comparison, tmp_path: Path
) -> None:
    assert page_of(comparison, tmp_path).select_one("#changes") is None
    first, second = comparison.recipes
    first = replace(first, previous=version("before"), changes=("2 images added", "<b>"))
    page = page_of(replace(comparison, recipes=(first, second)), tmp_path)
    assert [each.get_text() for each in page.select("#changes h3")] == ["full"]
    assert [each.get_text() for each in page.select("#changes li")] == ["2 images added", "<b>"]
    assert version("before")[:12] in page.select_one("#changes").get_text()


def test_it_loads_nothing_and_escapes_what_it_shows(comparison: Comparison, tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    page = page_of(replace(comparison, description=hostile, prompts=(hostile,)), tmp_path)
    assert len(page.find_all("script")) == 1
    assert hostile in page.select_one(".lead").get_text()
    assert all(image["src"].startswith("data:") for image in page.find_all("img"))
    assert all(head.get("scope") for head in page.find_all("th"))


def test_a_missing_image_is_named(comparison: Comparison, tmp_path: Path) -> None:
    next(iter(comparison.base_samples.values())).unlink()
    with pytest.raises(StorageError, match="cannot be read"):
        page_of(comparison, tmp_path)
