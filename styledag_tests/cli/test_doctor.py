"""What `styledag doctor` reports of a style or a model before anything of it runs."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from styledag.cli import checks
from styledag.demo.wiki import DemoWiki, serve_wiki
from styledag.style.model import SCHEMA_FILE, style_schema
from styledag_tests.cli.test_commands import call
from styledag_tests.whole.small_project import CATEGORIES, MODEL, STYLE, make_project


@pytest.fixture(scope="module")
def wiki() -> Iterator[DemoWiki]:
    with serve_wiki(port=0, categories=CATEGORIES) as site:
        yield site


@pytest.fixture
def root(tmp_path: Path, starter: Path, wiki: DemoWiki) -> Path:
    return make_project(tmp_path, starter, wiki.url).root


def test_doctor_is_content_with_a_sound_style(root: Path) -> None:
    exit_code, output = call(root, "doctor", STYLE)
    assert exit_code == 0, output
    assert "FAIL" not in output
    assert "its weights are whole and finite" in output
    assert "matches of 'a.item' on its first page" in output
    assert f"{MODEL}: memory" in output


def test_doctor_finds_a_missing_model_and_checks_the_rest(root: Path) -> None:
    path = root / "data" / "styles" / f"{STYLE}.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("/clip", "/no-clip"), "utf-8")
    exit_code, output = call(root, "doctor")
    assert exit_code == 1
    assert "FAIL small: scorer: model" in output
    assert "no-clip" in output
    assert "ok   small: classifier" in output


@pytest.mark.parametrize("older", ["dagster-webserver", "dagster-graphql"])
def test_doctor_finds_a_dagster_that_was_upgraded_in_part(
    root: Path, monkeypatch: pytest.MonkeyPatch, older: str
) -> None:
    """Its parts pin one another's version, which pip reports once and installs all the same."""
    versions = {older: "1.12.0"}
    monkeypatch.setattr(checks, "version", lambda name: versions.get(name) or version(name))
    exit_code, output = call(root, "doctor", STYLE)
    assert exit_code == 1
    wanted = version("dagster")
    assert f"FAIL {older}: 1.12.0, but dagster is {wanted}: pip install '{older}=={wanted}'" in (
        " ".join(output.split())
    )


def test_doctor_without_a_name_checks_every_style_beside_a_broken_one(root: Path) -> None:
    (root / "data" / "styles" / "broken.yaml").write_text("base: [", encoding="utf-8")
    exit_code, output = call(root, "doctor")
    assert exit_code == 1
    assert "FAIL style broken" in output
    assert f"ok   {STYLE}: fits its base" in output


def test_new_writes_a_style_that_doctor_reads(root: Path) -> None:
    assert call(root, "new", "hiroshige", "--base", "starter")[0] == 0
    assert (root / "data" / "styles" / "hiroshige.yaml").is_file()
    assert (root / "data" / "styles" / SCHEMA_FILE).read_text("utf-8") == style_schema()
    assert "style hiroshige" in call(root, "doctor", "hiroshige")[1]


def test_a_model_is_predicted_before_its_dataset_is_there(root: Path) -> None:
    exit_code, output = call(root, "doctor", MODEL)
    assert exit_code == 0, output
    said = {
        line.split(f"{MODEL}: ")[1].split(":")[0]: line
        for line in output.splitlines()
        if f"{MODEL}: " in line
    }
    checked = ["memory", "text encoders", "disk", "parameters", "steps", "operations", "time"]
    assert list(said) == checked
    # 800 images are assumed, of which a fifth is held out.
    assert "160 of 8 images: 2 epochs of 640 images and 160 held out" in said["steps"]
    assert "assumed, since nothing has been collected" in said["steps"]
    assert "latents 4x16x16" in said["steps"]
    assert "an image 0.872 GFLOP forward" in said["operations"]
    assert "moments" in said["memory"]
    assert "2 checkpoints" in said["disk"]


def test_a_model_that_cannot_fit_fails_with_what_would_make_it_fit(root: Path) -> None:
    path = root / "data" / "styles" / f"{STYLE}.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("batch_size: 8", "batch_size: 100000"), encoding="utf-8")
    exit_code, output = call(root, "doctor", MODEL)
    assert exit_code == 1
    assert f"FAIL {MODEL}: memory: {MODEL}: training needs" in output
    assert f"{MODEL}: time" not in output
    assert "batch_size: 1, gradient_accumulation: 100000 saves" in output


def test_text_encoders_that_cannot_fit_fail_before_anything_is_encoded(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "styledag.training.estimating.dry_pass.text_encoder_bytes", lambda *_: 10**15
    )
    exit_code, output = call(root, "doctor", MODEL)
    assert exit_code == 1
    assert f"FAIL {MODEL}: text encoders: the text encoders of {MODEL} take 1000000.00 GB" in output


def test_an_unknown_recipe_fails_by_name(root: Path) -> None:
    exit_code, output = call(root, "doctor", f"{STYLE}.nonesuch")
    assert exit_code == 1
    assert "has no recipe 'nonesuch'" in output
