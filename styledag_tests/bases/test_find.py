import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from styledag.bases.find import find_base
from styledag.errors import ModelError
from styledag_tests.bases.loading import write_index


def test_stable_diffusion_is_found_by_its_index_alone(tmp_path: Path) -> None:
    write_index(tmp_path)
    base = find_base(tmp_path)
    assert base.family == "Stable Diffusion 1.x or 2.x"
    assert base.folder == tmp_path
    assert set(base.parts.sampling) == {"vae", "text_encoder", "tokenizer", "unet", "scheduler"}


def test_the_index_that_diffusers_writes_is_understood(starter: Path) -> None:
    index = json.loads((starter / "stable-diffusion" / "model_index.json").read_text())
    assert find_base(starter / "stable-diffusion").parts.denoiser in index


@pytest.mark.parametrize(
    "pipeline", ["StableDiffusionXLImg2ImgPipeline", "StableDiffusionInpaintPipeline", None]
)
def test_another_pipeline_is_refused_by_its_name(tmp_path: Path, pipeline: str | None) -> None:
    write_index(tmp_path, _class_name=pipeline)
    named = f"a {pipeline} by" if pipeline else "names no _class_name"
    with pytest.raises(ModelError, match=rf"{named}.*Stable Diffusion 1\.x or 2\.x"):
        find_base(tmp_path)


@pytest.mark.parametrize(
    ("part", "stated", "said"),
    [
        ("text_encoder", ["diffusers", "RobertaSeriesModel"], "text_encoder of class RobertaSeri"),
        ("unet", None, "unet of class None .* has UNet2DConditionModel"),
        ("vae", [None, None], "vae of class None"),
    ],
)
def test_a_part_of_another_class_is_refused_by_its_name(
    tmp_path: Path, part: str, stated: object, said: str
) -> None:
    write_index(tmp_path, **{part: stated})
    with pytest.raises(ModelError, match=said):
        find_base(tmp_path)


@pytest.mark.parametrize("content", [None, "{nothing", "[]"])
def test_a_missing_or_damaged_index_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "model_index.json").write_text(content)
    with pytest.raises(ModelError, match=r"model_index\.json"):
        find_base(tmp_path)


def test_finding_a_base_imports_nothing_heavy(starter: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(starter / "stable-diffusion", tmp_path / "base")
    program = (
        "import sys; from pathlib import Path; from styledag.bases.find import find_base\n"
        f"base = find_base(Path({str(folder)!r}))\n"
        "base.parts, base.blocks, base.size_px, base.latents.shape(width_px=64, height_px=64)\n"
        "print(*sorted({'torch', 'diffusers', 'transformers'} & sys.modules.keys()))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == ""
