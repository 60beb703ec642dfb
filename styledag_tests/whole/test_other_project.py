"""A fresh project made by `dg` of the registry, with a style in it and an asset that reads it."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import dagster
import pytest

from styledag.demo.wiki import DemoWiki
from styledag_tests.defs.test_component import STYLE, component_file

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(1200)]

REPOSITORY = Path(__file__).parents[2]
READER = """
import json
from pathlib import Path

import dagster as dg


@dg.asset(
    ins={
        "dataset": dg.AssetIn(["hiroshige", "image_dataset"], input_manager_key="MANAGER"),
        "model": dg.AssetIn(["hiroshige", "ema_unet"], input_manager_key="MANAGER"),
    }
)
def reader(dataset, model) -> None:
    drawn = model("a cat face", num_inference_steps=1).images[0]
    images = sum(split.num_rows for split in dataset.values())
    found = {"images": images, "size": drawn.size}
    Path("found.json").write_text(json.dumps(found))
""".replace("MANAGER", f"{STYLE}_io_manager")
IMAGES = ("style", "raw_images", "jpeg_images", "curated_images", "captions", "image_dataset")


def call(*command: str | Path, folder: Path) -> str:
    environment = {**os.environ, "DAGSTER_HOME": str(folder), "PYTHONPATH": str(folder / "src")}
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Folder of the programs of an environment with `dg`, and with styledag installed."""
    environment = tmp_path / "environment"
    call(sys.executable, "-m", "venv", environment, folder=tmp_path)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = environment / "lib" / version / "site-packages"
    # All that is installed here is there too; what is installed there comes first.
    (packages / "here.pth").write_text(sysconfig.get_path("purelib"))
    wanted = (f"dagster-dg-cli=={dagster.__version__}", "create-dagster", "setuptools>=77")
    pip = (environment / "bin" / "python", "-m", "pip", "install", "--quiet")
    call(*pip, *wanted, folder=tmp_path)
    call(*pip, "--no-deps", "--no-build-isolation", REPOSITORY, folder=tmp_path)
    return environment / "bin"


def test_a_fresh_project_scaffolds_a_style_and_reads_its_result(
    programs: Path, tmp_path: Path, starter: Path, wiki: DemoWiki
) -> None:
    call(programs / "create-dagster", "project", "host", "--no-uv-sync", folder=tmp_path)
    host = tmp_path / "host"
    dg = (programs / "dg",)
    call(*dg, "scaffold", "defs", "styledag.StyleComponent", STYLE, folder=host)
    defs = host / "src" / "host" / "defs"
    file = defs / STYLE / "defs.yaml"
    assert "Category:Woodblock prints" in file.read_text("utf-8")
    text = component_file(starter).replace("http://127.0.0.1:1/", f"{wiki.url}/")
    file.write_text(text, encoding="utf-8")
    (defs / "reader.py").write_text(READER)

    images = ",".join(f"{STYLE}/{name}" for name in IMAGES)
    call(*dg, "launch", "--assets", images, "--partition", STYLE, folder=host)
    training = f"{STYLE}/encoded_dataset,{STYLE}/ema_unet"
    call(*dg, "launch", "--assets", training, "--partition", f"{STYLE}.full", folder=host)
    call(*dg, "launch", "--assets", "reader", folder=host)

    assert (host / "found.json").read_text() == '{"images": 20, "size": [64, 64]}'
    assert (host / "data" / "store" / "artifacts" / "ema_unet").is_dir()
    assert not list(defs.rglob("*.parquet"))
