from pathlib import Path
from typing import Any

import pytest
import torch

from styledag.bases.find import find_base
from styledag.errors import StyleFileError
from styledag.merging.settings import BlendSettings
from styledag.sampling.settings import SampleSettings
from styledag.style.base_check import check_base
from styledag.style.load import load_style
from styledag.style.model import Style
from styledag.training.recipe import Recipe

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def style() -> Style:
    return load_style(REPOSITORY / "data" / "styles" / "twemoji.yaml")


def samples(**changed: Any) -> SampleSettings:
    return SampleSettings(**({"prompts": ("a cat",)} | changed))


def test_the_demo_fits_its_base(style: Style, starter: Path) -> None:
    generator = torch.random.get_rng_state()
    check_base(style, find_base(starter / "stable-diffusion"))
    assert torch.equal(torch.random.get_rng_state(), generator)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"recipes": {"some": Recipe(blocks=("top",))}}, r"recipe 'some': blocks names .*up\.2"),
        (
            {"recipes": {"some": Recipe(block_rates={"up.3": 0.5})}},
            r"recipe 'some': block_rates names block 'up\.3'.*down\.2",
        ),
        (
            {"blends": BlendSettings(block_weights={"up.3": 0.5})},
            r"blends\.block_weights names block 'up\.3'.*up\.2",
        ),
        ({"samples": samples(scheduler="plms")}, r"no sampler 'plms'.*ddim"),
        ({"samples": samples(width_px=70)}, r"samples: images of 70x64 px .*multiples of 4"),
        ({"samples": samples(prompts=("cat " * 80,))}, "prompt 'cat .* reads 77"),
        ({"samples": samples(negative_prompt="cat " * 80)}, "prompt 'cat .* reads 77"),
    ],
    ids=["blocks", "block_rates", "block_weights", "scheduler", "width_px", "prompt", "negative"],
)
def test_what_the_base_does_not_have_is_named(
    style: Style, starter: Path, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(StyleFileError, match=said):
        check_base(style.model_copy(update=changed), find_base(starter / "stable-diffusion"))
