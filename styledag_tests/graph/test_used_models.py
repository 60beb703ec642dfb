"""Which parts of a base a stage depends on, where the family names them in its own way."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from styledag.graph.catalogue import Catalogue
from styledag.graph.checkpoint_unets import denoiser_of
from styledag.graph.names import Partition
from styledag.graph.plan import declared_digest
from styledag.graph.stage import Declaration
from styledag.style.model import Style
from styledag_tests.bases.families.stable_diffusion_3 import FAMILY
from styledag_tests.bases.tiny_parts import change
from styledag_tests.models.hub import COMMIT, REPOSITORY, running_hub
from styledag_tests.whole.small_project import MODEL, STYLE, make_project

WHOLE = {"checkpoint", "sample_grid", "sweep", "evolution", "denoising", "published_model"}


@pytest.fixture
def base(starter: Path, tmp_path: Path) -> Path:
    return FAMILY.write(tmp_path / "sd3", starter / "stable-diffusion" / "tokenizer")


@pytest.fixture
def catalogue(base: Path, starter: Path, tmp_path: Path) -> Catalogue:
    project = make_project(tmp_path / "project", starter, "http://127.0.0.1:1")
    path = project.styles_folder / f"{STYLE}.yaml"
    text = path.read_text().replace(f"{starter}/stable-diffusion", str(base))
    path.write_text(text)
    return Catalogue(project)


def versions(catalogue: Catalogue, style: Style) -> dict[str, list[str]]:
    """Versions of the parts of the base that each stage uses."""
    return {
        stage.name: [
            catalogue.used_model(style, uses, style.base).version
            for uses in stage.uses
            if uses.parts is not None
        ]
        for stage in catalogue.stages.values()
    }


@pytest.mark.parametrize(
    ("part", "users"),
    [
        ("transformer/config.json", WHOLE | {"encoded_dataset", "ema_unet", "merged_unet"}),
        ("scheduler/scheduler_config.json", WHOLE | {"encoded_dataset", "ema_unet"}),
        ("tokenizer_3/tokenizer_config.json", WHOLE | {"encoded_dataset", "captions"}),
        ("text_encoder_3/config.json", WHOLE | {"encoded_dataset"}),
        ("vae/config.json", WHOLE | {"encoded_dataset", "vae_decoder", "merged_vae"}),
    ],
)
def test_a_change_of_a_part_concerns_the_stages_that_read_it(
    catalogue: Catalogue, base: Path, part: str, users: set[str]
) -> None:
    style = catalogue.style(STYLE)
    before = versions(catalogue, style)
    change(base / part, changed=1)
    after = versions(catalogue, style)
    changed = {name for name, found in before.items() if after[name] != found}
    assert changed - {"scores", "model_report"} == users


def test_models_are_stored_under_the_name_of_the_bases_denoiser(
    catalogue: Catalogue, base: Path
) -> None:
    style = catalogue.style(STYLE)
    used = catalogue.used_model(style, catalogue.stages["ema_unet"].uses[0], style.base)
    assert denoiser_of(used) == base / "transformer"


def test_another_denoiser_concerns_what_reads_it(base: Path, starter: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", starter, "http://127.0.0.1:1")
    path = project.styles_folder / f"{STYLE}.yaml"
    on_hub = f"{REPOSITORY}, revision: {COMMIT}, denoiser: a.safetensors"
    path.write_text(path.read_text().replace(f"{starter}/stable-diffusion", on_hub))
    catalogue = Catalogue(project)
    declaration = Declaration(catalogue.style(STYLE), Partition.parse(MODEL))

    def digests(part: str) -> dict[str, str]:
        file = next((base / part).glob("*.safetensors"))
        shutil.copy(file, project.root / "a.safetensors")
        return {
            asset: declared_digest(catalogue, catalogue.stages[asset], declaration)
            for asset in ("encoded_dataset", "ema_unet")
        }

    first, second = digests("transformer"), digests("vae")
    assert first["encoded_dataset"] == second["encoded_dataset"]
    assert first["ema_unet"] != second["ema_unet"]


def test_status_asks_the_hub_for_nothing(base: Path, starter: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", starter, "http://127.0.0.1:1")
    shutil.copy(next((base / "transformer").glob("*.safetensors")), project.root / "a.safetensors")
    path = project.styles_folder / f"{STYLE}.yaml"
    on_hub = f"{REPOSITORY}, revision: {COMMIT}, denoiser: a.safetensors"
    path.write_text(path.read_text().replace(f"{starter}/stable-diffusion", on_hub))
    files = {
        each.relative_to(base).as_posix(): each.read_bytes()
        for each in base.rglob("*")
        if each.is_file()
    }
    with running_hub(files) as hub:
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hub")}
        shown = subprocess.run(
            [sys.executable, "-m", "styledag", "--project", str(project.root), "status", STYLE],
            capture_output=True, text=True, check=False, env=os.environ | environment,
        )  # fmt: skip
        assert (hub.downloads, hub.listings) == ([], 0)
    assert shown.returncode == 0, shown.stderr
    assert "ema_unet" in shown.stdout
    assert "broken" not in shown.stdout
