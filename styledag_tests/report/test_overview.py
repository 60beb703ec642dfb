"""All styles on one page, each with its front images, what is recommended and its scores."""

from dataclasses import replace
from pathlib import Path

from bs4 import BeautifulSoup

from styledag.report.comparison import ComparedRecipe, Comparison
from styledag.report.overview import Overview, front, write_overview
from styledag_tests.report.example import PROMPTS, SEEDS, example_scores, samples, version


def style(folder: Path, name: str, recommended: str = "") -> Comparison:
    return Comparison(
        style=name,
        description=f"<i>{name}</i>",
        prompts=PROMPTS,
        seeds=SEEDS,
        base_samples={},
        recipes=tuple(
            ComparedRecipe(
                name=recipe,
                version=version(recipe),
                training_images=9,
                score=replace(example_scores()[1], name=f"epoch {at}"),
                is_recommended=recipe == recommended,
                samples=samples(folder, f"{name}-{recipe}"),
            )
            for at, recipe in enumerate(("full", "light"))
        ),
    )


def test_each_style_shows_the_first_recipe_that_something_is_recommended_of(
    tmp_path: Path,
) -> None:
    styles = (style(tmp_path, "twemoji", "light"), style(tmp_path, "openmoji"))
    assert [front(each).name for each in styles] == ["light", "full"]
    path = tmp_path / "sheets" / "styles.html"
    write_overview(Overview(styles=styles, missing=("hiroshige",)), path)
    page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    rows = [row.get_text(" ", strip=True) for row in page.select("#scores tbody tr")]
    assert [row.split()[0] for row in rows] == [
        "twemoji.full", "twemoji.light", "openmoji.full", "openmoji.light",
    ]  # fmt: skip
    assert "epoch 1 0.100 0.090 to 0.110" in rows[1]
    assert "nothing; epoch 0 is shown" in rows[2]
    first, second = page.select("#styles article")
    assert len(first.find_all("img")) == len(PROMPTS)
    assert "twemoji.light, epoch 1, recommended" in first.get_text()
    assert "openmoji.full, epoch 0;" in second.get_text()
    assert "<i>openmoji</i>" in second.get_text()
    assert "hiroshige" in page.select_one("#scores").get_text()
    assert all(image["src"].startswith("data:") for image in page.find_all("img"))
    for link in page.select("#scores a"):
        assert page.select_one(link["href"]) is not None


def test_a_project_without_scores_has_a_page_too(tmp_path: Path) -> None:
    path = tmp_path / "styles.html"
    write_overview(Overview(styles=(), missing=("hiroshige",)), path)
    assert "0 styles" in path.read_text(encoding="utf-8")
