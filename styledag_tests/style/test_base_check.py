import re
from pathlib import Path
from typing import Any

import pytest
import torch

from styledag.bases.find import find_base
from styledag.captions.settings import CaptionSettings
from styledag.images.settings import ImageSettings
from styledag.merging.settings import BlendSettings
from styledag.models.reference import ModelReference
from styledag.sampling.settings import SampleSettings
from styledag.scoring.settings import ScoreSettings
from styledag.style.base_check import mismatches
from styledag.style.load import load_style
from styledag.style.model import Style
from styledag.training.recipe import PriorSettings, Recipe
from styledag_tests.bases.families import tiny_families

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def style() -> Style:
    return load_style(REPOSITORY / "data" / "styles" / "twemoji.yaml")


def samples(**changed: Any) -> SampleSettings:
    return SampleSettings(**({"prompts": ("a cat",)} | changed))


def scores(**changed: Any) -> ScoreSettings:
    return ScoreSettings(scorer=ModelReference(model="clip"), **changed)


def test_the_demo_fits_its_base(style: Style, starter: Path) -> None:
    generator = torch.random.get_rng_state()
    assert list(mismatches(style, find_base(starter / "stable-diffusion"))) == []
    assert torch.equal(torch.random.get_rng_state(), generator)


LONG = "cat " * 159
PRIOR = PriorSettings(class_prompt=LONG)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"recipes": {"some": Recipe(blocks=("down", "top"))}},
            r"recipes\.some\.blocks\[1\] names block 'top'.*up\.2",
        ),
        (
            {"recipes": {"some": Recipe(block_rates={"up.3": 0.5})}},
            r"recipes\.some\.block_rates\.up\.3 names block 'up\.3'.*down\.2",
        ),
        (
            {"blends": BlendSettings(block_weights={"up.3": 0.5})},
            r"blends\.block_weights\.up\.3 names block 'up\.3'.*up\.2",
        ),
        ({"samples": samples(scheduler="plms")}, r"samples\.scheduler .*no sampler 'plms'.*ddim"),
        (
            {"samples": samples(width_px=70)},
            r"samples\.width_px .*images of 70x64 px .*multiples of 4",
        ),
        (
            {"samples": samples(prompts=("a cat", LONG))},
            r"samples\.prompts\[1\] is 161 tokens long, but the base reads 77: shorten it",
        ),
        ({"samples": samples(negative_prompt=LONG)}, r"samples\.negative_prompt is 161 tokens"),
        (
            {"scores": scores(outside_prompts=("a cat", LONG))},
            r"scores\.outside_prompts\[1\] is 161 tokens",
        ),
        (
            {"scores": scores(style_prompt="flat " * 70)},
            r"scores\.style_prompt is \d\d+ tokens long, but the base reads 77",
        ),
        (
            {"recipes": {"some": Recipe(prior=PRIOR)}},
            r"recipes\.some\.prior\.class_prompt is 161 tokens",
        ),
        (
            {
                "captions": CaptionSettings(
                    sources=("title",), template=LONG + "[{title}] {caption}"
                )
            },
            r"captions\.template is 161 tokens long without a caption",
        ),
        (
            {
                "captions": CaptionSettings(
                    sources=("title",),
                    template="a {caption}",
                    variants=("{caption}", LONG + "{caption}"),
                )
            },
            r"captions\.variants\[1\] is 161 tokens long without a caption",
        ),
    ],
    ids=[
        "blocks",
        "block_rates",
        "block_weights",
        "scheduler",
        "width_px",
        "prompt",
        "negative",
        "outside_prompt",
        "style_prompt",
        "class_prompt",
        "template",
        "variant",
    ],
)
def test_what_does_not_fit_the_base_is_named(
    style: Style, starter: Path, changed: dict[str, Any], said: str
) -> None:
    found = list(
        mismatches(style.model_copy(update=changed), find_base(starter / "stable-diffusion"))
    )
    assert len(found) == 1
    assert re.match(said, str(found[0])), found[0]


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (ImageSettings(size_px=128), ("images", "size_px")),
        (ImageSettings(size_px=64, mode="bucket"), ("images", "mode")),
    ],
    ids=["square", "bucket"],
)
def test_a_side_longer_than_the_base_has_places_for_is_refused(
    style: Style, starter: Path, tmp_path: Path, images: ImageSettings, found: tuple[str, str]
) -> None:
    base = find_base(
        tiny_families()["stable_diffusion_3"].write(
            tmp_path / "base", starter / "stable-diffusion" / "tokenizer"
        )
    )
    changed = style.model_copy(update={"images": images})
    refused = {each.location: each.message for each in mismatches(changed, base)}
    assert "up to 64 px" in refused[found]
