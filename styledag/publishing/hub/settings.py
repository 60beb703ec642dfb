"""Where, how and under which conditions a dataset and models are published."""

from dataclasses import dataclass
from typing import Literal

from styledag.publishing.cards.hub_licences import HUB_LICENCES
from styledag.publishing.cards.records import HUB_ID
from styledag.publishing.model_file import DType
from styledag.settings import StrictSettings, setting

Kind = Literal["model", "dataset"]
ModelFormat = Literal["diffusers", "single-file", "lora"]
RECIPE = "{recipe}"
"""Stands for the recipe's name in the target of a model."""


@dataclass(frozen=True, kw_only=True)
class PublishSettings(StrictSettings):
    """Targets of the dataset and of the models, and what both share."""

    to: Literal["hub", "folder"] = setting(
        "hub", help="Whether the targets are repositories of the Hub or folders."
    )
    dataset: str | None = setting(
        None,
        help="Where the dataset is published: owner/name on the Hub, or a folder relative to the "
        "project; nowhere when left out.",
    )
    models: str | None = setting(
        None,
        help="The same for models; {recipe} stands for the recipe's name, so that each has its own "
        "target.",
    )
    blend: str | None = setting(
        None,
        pattern=r"^([01]\.\d\d|ema-0\.\d{3}|[a-z][a-z0-9_]*)$",
        help="Which blend of a model is published, as 0.50 or ema-0.150, or a name in "
        "blends.mixed; the fine-tune itself when left out.",
    )
    format: ModelFormat = setting(
        "diffusers",
        help="diffusers for from_pretrained; single-file and lora for the web UIs.",
    )
    dtype: DType = setting("float16", help="Of all of a model's weights.")
    licence: str = setting(
        "unknown", help="Licence under which models are passed on, by the Hub's identifier."
    )
    licence_url: str = setting("", help="Its text, if the Hub has no identifier for the licence.")
    private: bool = setting(
        True, identity=False, help="Whether a new repository is private; one that exists stays."
    )
    deny_licences: tuple[str, ...] = setting(
        (),
        help="Licences of images with which nothing is published; * stands for any letters, "
        "as in *-NC-*, and 'unknown' for images without a licence.",
    )
    tries: int = setting(
        5,
        ge=1,
        identity=False,
        help="How often a transfer to the Hub is tried before it is given up.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("dataset", "models"):
            target = getattr(self, name)
            on_hub = self.to == "hub" and target is not None
            if on_hub and not HUB_ID.fullmatch(target.replace(RECIPE, "x")):
                raise ValueError(
                    f"{name} is {target!r}, which is no repository of the Hub: write owner/name, "
                    "or set to: folder"
                )
        if self.licence not in HUB_LICENCES and not self.licence_url:
            raise ValueError(
                f"the Hub knows no licence {self.licence!r}: name one of "
                "https://huggingface.co/docs/hub/repositories-licenses, or give licence_url"
            )

    def model_target(self, recipe: str) -> str | None:
        """Return where the model of a recipe is published; ``None`` for nowhere."""
        return None if self.models is None else self.models.replace(RECIPE, recipe)

    def check_recipes(self, recipes: int) -> None:
        """Check the section of a style with this number of recipes.

        Raises:
            ValueError: If it publishes nothing, or several models to one target.
        """
        if self.dataset is None and self.models is None:
            raise ValueError("names neither dataset nor models: name a target, or take it out")
        if recipes > 1 and self.models is not None and RECIPE not in self.models:
            raise ValueError(
                f"models names one target for {recipes} recipes: write {RECIPE} into it"
            )
