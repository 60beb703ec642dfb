"""What the demo is meant to do: its style reaches subjects that it was not taught from.

The judges were trained apart from the rest of the starter and from the demo: that of artists, which
the demo's report asks too, lies in the starter; that of subjects, a CLIP with a seed and a split of
its own, was made by ``make starter-eval``.
"""

import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors import safe_open

from tools.starter.artist_judge import TWEMOJI, load_artist_judge, share_of_artist
from tools.starter.figures import drawn, load_models
from tools.starter.subject_judge import load_subject_judge
from tools.starter.subjects import with_article

REPOSITORY = Path(__file__).parents[3]
STARTER = REPOSITORY / "data" / "starter"
ASKED = (
    "house", "hospital", "bank", "school", "factory", "castle", "church", "steam locomotive",
    "train", "tram", "bus", "ambulance", "fire engine", "police car", "taxi", "car", "truck",
    "tractor", "racing car", "motor scooter", "bicycle", "sailboat", "canoe", "speedboat", "ship",
    "airplane", "helicopter", "rocket", "lock", "key", "hammer", "axe", "shield", "wrench",
    "screwdriver", "gear",
)  # fmt: skip
"""Vehicles, buildings and tools: nothing of these is in the style's images."""
SEEDS = (0, 1, 2, 3)
GOALS = (0.10, 0.70)
"""Most at weight 0 and least at weight 1. Measured were 0.083 and 0.785; a share of 144 samples has
a standard deviation of 0.023 and 0.034 there, and other processors round otherwise."""


@pytest.fixture(scope="module")
def blends(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Path]:
    """The folders of the demo's blended UNets, by weight, after a whole run of the demo."""
    root = tmp_path_factory.mktemp("demo")
    shutil.copy(REPOSITORY / "dagster.yaml", root)
    shutil.copytree(STARTER, root / "data" / "starter")
    (root / "data" / "styles").mkdir()
    shutil.copy(REPOSITORY / "data" / "styles" / "twemoji.yaml", root / "data" / "styles")
    subprocess.run(
        [sys.executable, "-m", "styledag", "demo"], cwd=root, capture_output=True, check=True
    )
    found = {}
    for path in root.glob("data/store/artifacts/merged_unet/**/*.safetensors"):
        with safe_open(path, "pt") as file:
            found[float(file.metadata()["styledag.weight"])] = path.parent
    return dict(sorted(found.items()))


@pytest.fixture(scope="module")
def figures(blends: dict[float, Path]) -> tuple[dict[float, float], dict[float, float]]:
    """By weight, the shares of samples taken for Twemoji and of those recognised."""
    artists = load_artist_judge(STARTER / "judge")
    subjects = load_subject_judge(Path(__file__).parent / "judge-of-subjects.safetensors")
    models = load_models(STARTER)
    prompts = [f"a drawing of {with_article(name)}" for name in ASKED]
    twemoji, recognised = {}, {}
    for weight, folder in blends.items():
        unet = UNet2DConditionModel.from_pretrained(folder, dtype=torch.float32).eval()
        blended = replace(models, unet=unet)
        samples = torch.cat([drawn(blended, prompts, seed) for seed in SEEDS])
        twemoji[weight] = share_of_artist(artists, samples, TWEMOJI)
        names = list(ASKED) * len(SEEDS)
        recognised[weight] = float(subjects.recognised(samples, names).float().mean())
    return twemoji, recognised


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_style_shows_where_it_was_not_taught_and_subjects_stay(
    figures: tuple[dict[float, float], dict[float, float]],
) -> None:
    twemoji, recognised = figures
    sys.stdout.write(f"taken for Twemoji {twemoji}, recognised {recognised}\n")
    assert twemoji[0.0] <= GOALS[0], figures
    assert twemoji[1.0] >= GOALS[1], figures
    assert all(one < two for one, two in pairwise(twemoji.values())), figures
    assert recognised[0.0] >= 0.70, figures
    assert recognised[1.0] >= recognised[0.0] / 2, figures
