from pathlib import Path

import pytest

from styledag.bases.find import find_base
from styledag.errors import ArtifactMissingError, LineageError
from styledag.graph.catalogue import Catalogue
from styledag.graph.exported_dataset import find_dataset, find_previous_dataset, trainer_settings
from styledag.store.artifact import Artifact
from styledag.store.store import Store, Target
from styledag.store.workspace import Workspace
from styledag_tests.bases.families import tiny_families
from styledag_tests.bases.tiny_parts import change
from styledag_tests.whole.small_project import STYLE, make_project


def add(store: Store, content: str) -> Artifact:
    def write(workspace: Workspace) -> dict[str, int]:
        (workspace.folder / "content").write_text(content)
        return {}

    target = Target(asset="image_dataset", partition="a", code_version=content)
    return store.build(target, write).artifact


def test_a_version_is_found_by_its_first_digits(store: Store) -> None:
    made = [add(store, str(number)) for number in range(17)]  # more than there are first digits

    for artifact in made:
        assert find_dataset(store, "a", artifact.version[:10]).version == artifact.version
    assert find_dataset(store, "a").version == made[-1].version
    first_digits = [each.version[0] for each in made]
    shared = next(digit for digit in first_digits if first_digits.count(digit) > 1)
    with pytest.raises(LineageError, match=f"of a begin with {shared}: "):
        find_dataset(store, "a", shared)


def test_the_previous_dataset_is_the_newest_of_the_others(store: Store) -> None:
    first, second = add(store, "1"), add(store, "2")
    assert find_previous_dataset(store, "a").version == first.version
    add(store, "1")  # built before: current again
    assert find_previous_dataset(store, "a").version == second.version


def test_no_dataset_is_an_error(store: Store) -> None:
    with pytest.raises(ArtifactMissingError, match="image_dataset of a is not in"):
        find_dataset(store, "a")
    with pytest.raises(ArtifactMissingError, match="the store contains none"):
        find_dataset(store, "a", "12")


def test_trainers_get_the_settings_of_the_style_file(tmp_path: Path, starter: Path) -> None:
    catalogue = Catalogue(make_project(tmp_path, starter, "http://127.0.0.1:1"))

    settings = trainer_settings(catalogue, STYLE)

    assert settings.base == str(starter / "stable-diffusion")
    assert (settings.elsewhere.onetrainer, settings.resolution_px) == ("STABLE_DIFFUSION_15", 64)
    assert (settings.epochs, settings.batch_size, settings.lora_rank) == (2, 8, None)


def test_trainers_get_the_adapters_of_a_recipe_and_its_microsteps(
    tmp_path: Path, starter: Path
) -> None:
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    path = project.styles_folder / f"{STYLE}.yaml"
    recipe = "lora: {rank: 8, alpha: 4}\n    gradient_accumulation: 3\n    epochs: 2"
    path.write_text(path.read_text("utf-8").replace("epochs: 2", recipe), "utf-8")

    settings = trainer_settings(Catalogue(project), STYLE)

    assert (settings.lora_rank, settings.alpha, settings.gradient_accumulation) == (8, 4.0, 3)


@pytest.mark.parametrize("kind", tiny_families())
def test_trainers_get_what_the_family_is_elsewhere(
    tmp_path: Path, starter: Path, kind: str
) -> None:
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    family = tiny_families()[kind]
    folder = family.write(tmp_path / kind, starter / "stable-diffusion" / "tokenizer")
    path = project.styles_folder / f"{STYLE}.yaml"
    text = path.read_text("utf-8").replace(str(starter / "stable-diffusion"), str(folder))
    path.write_text(text, "utf-8")

    settings = trainer_settings(Catalogue(project), STYLE)

    base = find_base(folder)
    assert (settings.family, settings.elsewhere) == (base.family, base.elsewhere)
    assert settings.predicts == ("flow" if family.flow else "noise")
    models = set(family.load(folder).components)
    assert set(settings.text_encoders) == {each for each in models if "text_encoder" in each}


@pytest.mark.parametrize("kind", ["stable_diffusion", "stable_diffusion_xl"])
def test_trainers_are_told_what_the_base_predicts(tmp_path: Path, starter: Path, kind: str) -> None:
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    base = tiny_families()[kind].write(tmp_path / kind, starter / "stable-diffusion" / "tokenizer")
    path = project.styles_folder / f"{STYLE}.yaml"
    text = path.read_text("utf-8").replace(str(starter / "stable-diffusion"), str(base))
    path.write_text(text, "utf-8")
    scheduler = base / "scheduler" / "scheduler_config.json"
    for zero_snr in (False, True):
        change(scheduler, prediction_type="v_prediction", rescale_betas_zero_snr=zero_snr)
        settings = trainer_settings(Catalogue(project), STYLE)
        assert (settings.predicts, settings.zero_snr) == ("v", zero_snr)
