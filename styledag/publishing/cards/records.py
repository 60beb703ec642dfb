"""What the card of a model states."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from styledag.errors import PublishError

Relation = Literal["finetune", "adapter", "merge"]
_HUB_NAME = r"\w[\w.-]{0,94}(?<![.-])"
HUB_ID = re.compile(rf"(?!.*(?:--|\.\.)){_HUB_NAME}/{_HUB_NAME}(?<!\.git)", re.ASCII)
"""``owner/name`` as the Hub permits it; anything else is a folder, which no link can lead to."""


@dataclass(frozen=True, kw_only=True)
class CardBase:
    """A base model that the model was made from.

    Attributes:
        name: Hub id or folder.
        revision: Its commit or digest.
        denoiser: Name of the file that its denoiser is from, where that is not its own.
        licence: Its licence, as it states it.
    """

    name: str
    revision: str = ""
    denoiser: str = ""
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class CardDataset:
    """The dataset that the model was trained on.

    Attributes:
        name: Hub id, or empty if it is not published.
        versions: Its digest; several of a blend of several styles.
        images: Images by split.
        licences: Images by licence.
    """

    name: str = ""
    versions: tuple[str, ...]
    images: Mapping[str, int]
    licences: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class CardScore:
    """One measured figure, with its 95 % interval where there is one.

    Attributes:
        name: Of the score, for a person.
        value: The figure.
        low: Lower end of the interval.
        high: Upper end of the interval.
        meaning: What it measures, and which direction is better.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    meaning: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Everything on a model's card.

    Attributes:
        title: Heading.
        description: One sentence about the style.
        relation: How the model relates to its bases, in the Hub's words.
        bases: What it was made from; one, but for a merge of several.
        dataset: What it was trained on.
        licence: Licence under which the model is published: one of the Hub's identifiers, or a
            name of its own together with ``licence_url``.
        licence_url: Where the text of a licence is that the Hub does not know.
        repo: Hub id that it is published under, for the example; empty for a folder.
        tags: Labels, beside ``styledag`` and ``text-to-image``.
        prompts: Prompts of the sample grid, in its order.
        grid: File name of the sample grid in the published folder; empty without one.
        recipe: Settings of the training, by name.
        scores: Measured figures.
        lineage: Version by asset, from the sources to the model.
        file: Name of the model's file beside the card; empty for a folder in diffusers' layout.
        pipeline: Class of diffusers that reads it.
        denoiser: Class of the UNet or transformer.
        is_denoiser: Whether a single file contains nothing else.
        absent: Parts that the pipeline does without, and must be told so.

    Raises:
        PublishError: If a merge has one base only, or another model has several.
    """

    title: str
    description: str
    relation: Relation
    bases: tuple[CardBase, ...]
    dataset: CardDataset
    licence: str
    licence_url: str = ""
    repo: str = ""
    tags: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    grid: str = ""
    recipe: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    scores: tuple[CardScore, ...] = ()
    lineage: Mapping[str, str] = field(default_factory=dict)
    file: str = ""
    pipeline: str
    denoiser: str
    is_denoiser: bool = False
    absent: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.bases or (len(self.bases) > 1) != (self.relation == "merge"):
            raise PublishError(
                f"a card of relation {self.relation!r} names {len(self.bases)} bases: a merge has "
                "several, a finetune and an adapter one"
            )
