"""The style file as a typed object."""

import json
from collections.abc import Mapping
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from styledag.captions.settings import CaptionSettings
from styledag.collect.settings import SourceSettings
from styledag.dataset.settings import DatasetSettings
from styledag.errors import TrainingError
from styledag.images.settings import CurationSettings, ImageSettings
from styledag.merging.settings import BlendSettings
from styledag.models.reference import ModelReference
from styledag.publishing.hub.settings import PublishSettings
from styledag.sampling.settings import SampleSettings
from styledag.scoring.settings import ScoreSettings
from styledag.style.checks import CheckSettings
from styledag.style.freshness import RetrainSettings, check_cron
from styledag.training.recipe import Recipe

STYLE_NAME = r"^[a-z][a-z0-9_-]{0,62}$"
RECIPE_NAME = r"^[a-z][a-z0-9_]{0,62}$"

Source = Annotated[SourceSettings, Field(discriminator="type")]
RecipeName = Annotated[str, StringConstraints(pattern=RECIPE_NAME)]


class Style(BaseModel):
    """A visual style and everything that is made of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    description: str = Field("", description="One sentence about the style, for a reader.")
    base: ModelReference = Field(description="The text-to-image model that is fine-tuned.")
    sources: tuple[Source, ...] = Field(min_length=1, description="Where the images are.")
    images: ImageSettings = Field(
        default_factory=ImageSettings, description="How images become RGB JPEG."
    )
    curation: CurationSettings = Field(
        default_factory=CurationSettings, description="Which images are left out."
    )
    captions: CaptionSettings = Field(description="What is said of each image.")
    dataset: DatasetSettings = Field(
        default_factory=DatasetSettings, description="The Hugging Face dataset."
    )
    recipes: dict[RecipeName, Recipe] = Field(
        min_length=1, description="Ways of training; each gives a model called style.recipe."
    )
    blends: BlendSettings = Field(
        default_factory=BlendSettings,
        description="Shares of the fine-tune to mix into the base, and further averages of it.",
    )
    samples: SampleSettings = Field(description="Prompts, seeds and the sampler.")
    scores: ScoreSettings = Field(description="How checkpoints and blends are judged.")
    publish: PublishSettings | None = Field(
        None,
        description="Where dataset and models are published; nowhere when left out.",
        exclude_if=lambda publish: publish is None,  # so that it is no change of other styles
    )
    refresh: str | None = Field(
        None,
        description="When the sources are asked for news, as a cron string in UTC such as "
        "0 3 * * *; off until `styledag schedule on STYLE`.",
    )
    retrain: RetrainSettings = Field(
        default_factory=RetrainSettings,
        description="When news of the sources is worth a training; any change when left out.",
    )

    checks: CheckSettings = Field(
        default_factory=CheckSettings,
        description="Limits of the checks of each asset, and which of them are errors.",
    )

    @field_validator("refresh")
    @classmethod
    def _is_cron(cls, refresh: str | None) -> str | None:
        if refresh is not None:
            check_cron(refresh)
        return refresh

    @model_validator(mode="after")
    def _state_mirrored_copies(self) -> "Style":
        flips = any(recipe.horizontal_flip for recipe in self.recipes.values())
        self.__dict__["curation"] = self.curation.with_flips(
            flips=flips
        )  # the model itself is frozen
        return self

    @field_validator("blends")
    @classmethod
    def _lengths_can_be_had(cls, blends: BlendSettings, info: ValidationInfo) -> BlendSettings:
        check_lengths(blends, info.data.get("recipes", {}))
        return blends

    @field_validator("publish")
    @classmethod
    def _has_targets(
        cls, publish: PublishSettings | None, info: ValidationInfo
    ) -> PublishSettings | None:
        if publish is not None:
            publish.check_recipes(len(info.data.get("recipes", {})))
        return publish

    @field_validator("scores")
    @classmethod
    def _prompts_are_drawn(cls, scores: ScoreSettings, info: ValidationInfo) -> ScoreSettings:
        samples = info.data.get("samples")
        if scores.classifier is not None and samples is not None:
            for prompt in scores.classifier.prompts:
                if prompt not in samples.prompts:
                    raise ValueError(
                        f"the classifier is asked about {prompt!r}, but samples.prompts has no "
                        "such prompt: add it there, or take it out here"
                    )
        return scores


def check_lengths(blends: BlendSettings, recipes: Mapping[str, Recipe]) -> None:
    """Check the lengths of reconstructed averages before anything is trained for them.

    A recipe that keeps no power-function averages has no such blends, and is not looked at. Only
    shares of the run count, so what the snapshots can give is known without its length. A run
    that stops early is looked at again when it is blended.

    Raises:
        ValueError: If no recipe keeps power-function averages, or one that does cannot give a
            length.
    """
    if not blends.lengths:
        return
    keeping = {name: each for name, each in recipes.items() if each.ema.mode == "power"}
    if not keeping:
        raise ValueError(
            f"lengths {list(blends.lengths)} are reconstructed from the averages that ema.mode "
            f"'power' keeps, but no recipe has it ({', '.join(recipes)}): set it in one, or "
            "remove lengths"
        )
    for name, recipe in keeping.items():
        try:
            _check_recipe(blends, recipe)
        except TrainingError as exc:
            raise ValueError(f"recipe {name!r}: {exc}") from exc


def _check_recipe(blends: BlendSettings, recipe: Recipe) -> None:
    from styledag.training.averaging.posthoc import (
        gamma_of,
        power_lengths,
        require_length,
        spread_snapshots,
    )

    epochs = recipe.snapshot_epochs
    stored = [
        (epochs[place], gamma_of(length))
        for place in spread_snapshots(epochs)
        for length in power_lengths(recipe.ema)
    ]
    for length in blends.lengths:
        require_length(stored, recipe.epochs, length)


SCHEMA_FILE = "style.schema.json"


def style_schema() -> str:
    """Return the JSON schema of a style file, as committed beside the style files."""
    schema = Style.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "styledag style"
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
