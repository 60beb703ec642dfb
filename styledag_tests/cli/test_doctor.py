"""What `styledag doctor` says of a model before anything of it runs."""

from pathlib import Path

import pytest

from styledag_tests.cli.test_commands import call
from styledag_tests.whole.small_project import MODEL, STYLE, make_project


@pytest.fixture
def root(tmp_path: Path, starter: Path) -> Path:
    return make_project(tmp_path, starter, "http://127.0.0.1:1").root


def test_a_model_is_predicted_before_its_dataset_is_there(root: Path) -> None:
    exit_code, output = call(root, "doctor", MODEL)
    assert exit_code == 0, output
    said = {
        line.split(f"{MODEL}: ")[1].split(":")[0]: line
        for line in output.splitlines()
        if f"{MODEL}: " in line
    }
    assert list(said) == ["parameters", "steps", "operations", "memory", "time", "disk"]
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
    assert f"FAIL {MODEL}: memory: training needs" in output
    assert "batch_size: 1, gradient_accumulation: 100000 saves" in output


def test_an_unknown_recipe_fails_by_name(root: Path) -> None:
    exit_code, output = call(root, "doctor", f"{STYLE}.nonesuch")
    assert exit_code == 1
    assert "has no recipe 'nonesuch'" in output
