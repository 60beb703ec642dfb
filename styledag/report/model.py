"""What a report is made of: plain values that the graph reads out of artifacts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from styledag.report.data import DataSection
from styledag.sampling.index import Pair
from styledag.scoring.records import Estimate, ScoreRow
from styledag.scoring.settings import ClassifierSettings
from styledag.store.artifact import Input

Samples: TypeAlias = Mapping[Pair, Path]
"""PNG of each (prompt, seed); one that is missing is shown as such."""


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The blend or snapshot to use, and the rule that picked it.

    Attributes:
        name: Its name, as its score row has it, such as ``weight 0.75`` or ``epoch 16``.
        rule: How it was picked, to be read after a colon, such as ``the highest mean of ...``.
    """

    name: str
    rule: str


@dataclass(frozen=True, kw_only=True)
class BlendSection:
    """One blend of base and fine-tune, of several models, or one average of another length.

    Attributes:
        name: Its name, as its score row has it.
        weight: Alpha: 0 is the base, 1 the trained weights; ``None`` of several models.
        length: Standard deviation of a reconstructed average's weight over time, as a share of
            the run; ``None`` for a blend by weight.
        amount: Share of the fine-tune really in it, 0 to 1: alpha, corrected for the base that the
            moving average still holds.
        samples: Its images.
    """

    name: str
    weight: float | None
    amount: float
    samples: Samples
    length: float | None = None


@dataclass(frozen=True, kw_only=True)
class SnapshotSection:
    """The moving average after one epoch.

    Attributes:
        epoch: Passes over the training split; 0 is the base.
        loss: Mean training loss of the epoch; ``None`` where unknown.
        validation_loss: Loss on the validation split; ``None`` without one.
        base_share: Share of the base that the average still holds, 0 to 1.
        samples: Its images; may be empty.
    """

    epoch: int
    loss: float | None = None
    validation_loss: float | None = None
    base_share: float | None = None
    samples: Samples = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As its score row has it."""
        return f"epoch {self.epoch}"


@dataclass(frozen=True, kw_only=True)
class LossLog:
    """The training loss, step by step.

    Attributes:
        steps: Optimiser steps, rising.
        losses: Loss of each.
        steps_per_epoch: Optimiser steps in one epoch; turns steps into epochs on the axis.

    Raises:
        ValueError: If the two differ in length, or an epoch has no step.
    """

    steps: tuple[int, ...] = ()
    losses: tuple[float, ...] = ()
    steps_per_epoch: float = 1.0

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.losses):
            raise ValueError(f"{len(self.steps)} steps, but {len(self.losses)} losses")
        if not (math.isfinite(self.steps_per_epoch) and self.steps_per_epoch > 0):
            raise ValueError(f"steps_per_epoch is {self.steps_per_epoch!r}, but must be above 0")


@dataclass(frozen=True, kw_only=True)
class DrawnFamily:
    """A family of near-duplicates that a model draws for prompts that do not ask for it.

    Attributes:
        medoid_jpeg: The training image at the family's centre.
        images: Images of the family that were trained on.
        title: That image's title at its source.
        row: Name of the score row that shows it most.
        share: By how much the share of its samples is above the base's, 0 to 1.
        samples: Some of those, with the prompt of each.
    """

    medoid_jpeg: bytes
    images: int
    row: str
    share: float
    samples: tuple[tuple[str, Path], ...]
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class UntrainedBase:
    """The base asked for the style without training.

    Attributes:
        kind: ``prompt``, asked in words, or ``ip_adapter``, shown images of the style.
        given: What it is given with each prompt, after the word "with".
        samples: Its images, by prompt without that.
    """

    kind: Literal["prompt", "ip_adapter"]
    given: str
    samples: Samples


@dataclass(frozen=True, kw_only=True)
class NearestPair:
    """A sample beside the training image that it is most like.

    Attributes:
        sample: PNG of the sample.
        prompt: What it was asked for with.
        seed: Its seed.
        training_jpeg: The training image's bytes.
        similarity: Cosine between the two, -1 to 1, as the scorer sees them.
        url: Where the training image comes from.
        title: The training image's title at its source.
        is_copy: Whether the sample counts as a copy; ``None`` where that could not be judged.
    """

    sample: Path
    prompt: str
    seed: int
    training_jpeg: bytes
    similarity: float
    url: str = ""
    title: str = ""
    is_copy: bool | None = None


@dataclass(frozen=True, kw_only=True)
class LineageStep:
    """One artifact that the model was made from, or through.

    Attributes:
        asset: Asset's name, such as ``captions``.
        partition: Its partition.
        version: sha256 of its content.
        code_version: Version of the stage that made it.
        inputs: What that stage read.
    """

    asset: str
    partition: str
    version: str
    code_version: str
    inputs: tuple[Input, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FormerModel:
    """The version of a model that was trained before.

    Attributes:
        version: sha256 of its weights.
        changes: What differs between what the two came from, a short sentence each.
        shown: The scores of its recommended checkpoint or blend, or else of its last one.
        training_images: How many images it was trained on.
    """

    version: str
    changes: tuple[str, ...]
    shown: ScoreRow
    training_images: int


@dataclass(frozen=True, kw_only=True)
class ModelReport:
    """Everything that the page about one model shows.

    Attributes:
        model: The model's name, ``style.recipe``.
        description: The style's description.
        version: sha256 of the trained weights.
        prompts: Prompts, in the order of the style file.
        seeds: Seeds, in the order of the style file.
        data: What it was trained on.
        recommended: The blend or snapshot to use; ``None`` where nothing could be scored.
        blends: Blends by rising weight, then by rising length.
        block_weights: Shares of the weight that single blocks take in them, 0 to 1.
        snapshots: Snapshots by rising epoch.
        evolution: For a prompt, the GIF over the snapshots.
        denoising: For a prompt, the GIF over the denoising steps.
        loss: The training log.
        scores: Scores of blends and checkpoints, in the order to be listed.
        scorer: Name of the model that embeds samples: a folder or Hub id.
        scorer_gap: How much it tells the style's held-out images from other images.
        classifier_gap: How much the classifier does.
        other_styles: Of which those are, beside the base's own.
        classifier: What says which samples it takes for the style; ``None`` if nothing does.
        untrained: The base asked for the style without training, in each way that it was.
        families_drawn: Families of near-duplicates that are drawn unasked.
        score_notes: What could not be measured and why, a sentence each.
        nearest: Samples beside their nearest training images, the most similar first.
        copy_similarity: Cosine from which a sample counts as a copy.
        recipe: The recipe as in the style file; values may be mappings themselves.
        lineage: Artifacts from the sources to the model.
        former: The model that this one follows; ``None`` for a first one.

    Raises:
        ValueError: If what is recommended is neither among the blends nor the snapshots.
    """

    model: str
    description: str
    version: str
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    data: DataSection
    recommended: Recommendation | None = None
    blends: tuple[BlendSection, ...] = ()
    block_weights: Mapping[str, float] = field(default_factory=dict)
    snapshots: tuple[SnapshotSection, ...] = ()
    evolution: Mapping[str, Path] = field(default_factory=dict)
    denoising: Mapping[str, Path] = field(default_factory=dict)
    loss: LossLog = field(default_factory=LossLog)
    scores: tuple[ScoreRow, ...] = ()
    scorer: str = ""
    scorer_gap: Estimate = field(default_factory=Estimate)
    classifier_gap: Estimate = field(default_factory=Estimate)
    other_styles: tuple[str, ...] = ()
    classifier: ClassifierSettings | None = None
    untrained: tuple[UntrainedBase, ...] = ()
    families_drawn: tuple[DrawnFamily, ...] = ()
    score_notes: tuple[str, ...] = ()
    nearest: tuple[NearestPair, ...] = ()
    copy_similarity: float | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    lineage: tuple[LineageStep, ...] = ()
    former: FormerModel | None = None

    def __post_init__(self) -> None:
        if self.recommended is not None and self._recommended_section is None:
            raise ValueError(f"{self.recommended.name!r} is recommended, but is not in the report")

    @property
    def best_samples(self) -> Samples:
        """Images of what is recommended; without that, of the last blend or snapshot."""
        if self._recommended_section is not None:
            return self._recommended_section.samples
        sections = self.blends or self.snapshots
        return sections[-1].samples if sections else {}

    def is_recommended(self, name: str) -> bool:
        """Return whether a blend or snapshot of this name is recommended."""
        return self.recommended is not None and self.recommended.name == name

    @property
    def _recommended_section(self) -> BlendSection | SnapshotSection | None:
        sections: tuple[BlendSection | SnapshotSection, ...] = (*self.blends, *self.snapshots)
        return next((each for each in sections if self.is_recommended(each.name)), None)
