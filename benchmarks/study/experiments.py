"""The recipes: each differs from the first in one switch."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from benchmarks.study.scale import Scale
from styledag.training.recipe import EmaSettings, LoraSettings, PriorSettings, Recipe

Images = Literal["style", "family", "capped"]
"""The style's images alone, with the whole family beside them, or with four members of it."""

PROMPT = "a drawing of {}"
NAMED_PROMPT = "a sks drawing of {}"
BASE = "base"


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One way of training, or of using what another way has trained.

    Attributes:
        name: Unique.
        switch: What differs from the first experiment, for a person.
        changes: Fields of the recipe that differ.
        epochs_times: The recipe's epochs over the first one's.
        images: What is trained on.
        model: Another experiment whose UNet is taken, so that nothing is trained.
        weight: Share of that UNet in a blend with the base.
        prompt: How a subject is asked for.
    """

    name: str
    switch: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    epochs_times: float = 1.0
    images: Images = "style"
    model: str | None = None
    weight: float = 1.0
    prompt: str = PROMPT

    def recipe(self, scale: Scale, seed: int) -> Recipe:
        """Return the recipe at a scale.

        Args:
            scale: How long the first recipe is.
            seed: Run seed.
        """
        epochs = max(1, round(scale.epochs * self.epochs_times))
        return replace(scale.baseline(seed), epochs=epochs, **self.changes)


EXPERIMENTS = (
    Experiment(name="full", switch="the first: whole UNet, EMA that ends with 20 % of the base"),
    Experiment(name="raw", switch="no EMA", changes={"ema": EmaSettings(mode="none")}),
    Experiment(
        name="warmup", switch="EMA by diffusers' ramp", changes={"ema": EmaSettings(mode="warmup")}
    ),
    Experiment(
        name="half",
        switch="EMA that ends with 50 % of the base",
        changes={"ema": EmaSettings(mode="base", base_share=0.5)},
    ),
    Experiment(
        name="power",
        switch="EMA by a power function, length 0.05",
        changes={"ema": EmaSettings(mode="power")},
    ),
    Experiment(
        name="raw-blend", switch="no EMA, blended with 20 % of the base", model="raw", weight=0.8
    ),
    Experiment(
        name="full-quarter",
        switch="the first, blended with 75 % of the base",
        model="full",
        weight=0.25,
    ),
    Experiment(name="attention", switch="attention layers only", changes={"trained": "attention"}),
    Experiment(
        name="cross-attention",
        switch="cross-attention layers only",
        changes={"trained": "cross_attention"},
    ),
    Experiment(name="up", switch="up blocks only", changes={"blocks": ("up",)}),
    Experiment(name="lora", switch="LoRA of rank 16", changes={"lora": LoraSettings(rank=16)}),
    Experiment(name="short", switch="a quarter of the epochs", epochs_times=0.25),
    Experiment(name="long", switch="three times the epochs", epochs_times=3.0),
    Experiment(
        name="dreambooth",
        switch="DreamBooth, asked for with its word",
        changes={
            "instance_prompt": "a sks drawing",
            "prior": PriorSettings(
                class_prompt="a drawing", images=64, num_inference_steps=15, guidance_scale=4.0
            ),
        },
        prompt=NAMED_PROMPT,
    ),
    Experiment(
        name="dreambooth-plain", switch="DreamBooth, asked for without it", model="dreambooth"
    ),
    Experiment(name="family-kept", switch="24 clock faces in the data", images="family"),
    Experiment(name="family-capped", switch="4 of the clock faces", images="capped"),
    Experiment(
        name="family-weighted",
        switch="24 clock faces, families weighted alike",
        changes={"family_weighting": 1.0},
        images="family",
    ),
)
"""The first is what all others are compared with."""


def chosen(names: tuple[str, ...]) -> tuple[Experiment, ...]:
    """Return the experiments of some names with those whose UNet they take; all for none.

    Raises:
        ValueError: If there is no experiment of a name.
    """
    by_name = {each.name: each for each in EXPERIMENTS}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise ValueError(f"no experiment {unknown[0]!r}; there are {', '.join(by_name)}")
    wanted = set(names or by_name)
    wanted |= {by_name[name].model or name for name in wanted}
    return tuple(each for each in EXPERIMENTS if each.name in wanted)
