"""What is judged, and what is said of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["blend", "checkpoint"]
Pair = tuple[str, int]
"""A prompt and a seed."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One model that might be taken, with its images.

    Attributes:
        name: Unique, for a person.
        kind: Whether it is a blend or a checkpoint.
        amount: Share of the fine-tune in it, 0 to 1, corrected for the base in the average.
        samples: Image's file by prompt and seed.
        weight: A blend's weight, 0 to 1.
        epoch: A checkpoint's epoch.
        length: Relative length of a blend that is a reconstructed average; its weight is 1.
    """

    name: str
    kind: Kind
    amount: float
    samples: Mapping[Pair, Path]
    weight: float | None = None
    epoch: int | None = None
    length: float | None = None


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % bootstrap interval over prompts; ``None`` is not measurable."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """The scores of one blend or checkpoint; ``None`` is what could not be measured.

    Attributes:
        place: Its place among the candidates, from 0.
        name: As the candidate's.
        kind: ``blend`` or ``checkpoint``.
        weight: A blend's weight.
        epoch: A checkpoint's epoch.
        length: Relative length of a blend that is a reconstructed average.
        amount: Share of the fine-tune in it.
        samples: How many images were judged.
        cmmd: CMMD to the style's images (:mod:`styledag.scoring.style`); lower is nearer.
        style: :func:`~styledag.scoring.style.style_gain`: share of the base's distance to the
            style that it has covered; higher is nearer.
        retention: Mean likeness to the base's own images
            (:func:`~styledag.scoring.retention.retention`).
        text_similarity: Mean likeness of image and prompt.
        text_retention: That over the base's.
        copying: Share of samples that are nearer to a training image than honest images are.
        diversity: Mean distance between seeds of a prompt.
        taken_for_style: Share of its samples that the style file's classifier takes for the style,
            of the prompts that it is asked about.
        balance: Harmonic mean of scaled style and retention; the share that is taken for the style
            stands for style where there is one.
        on_front: Whether no other candidate beats it in style and retention at once.
        recommended: Whether it is the one to take.
    """

    place: int
    name: str
    kind: str
    weight: float | None
    epoch: int | None
    length: float | None
    amount: float
    samples: int
    cmmd: Estimate
    style: Estimate
    retention: Estimate
    text_similarity: Estimate
    text_retention: float | None
    copying: Estimate
    diversity: float | None
    taken_for_style: Estimate
    balance: float | None = None
    on_front: bool = False
    recommended: bool = False

    @property
    def key(self) -> str:
        """Unique by name."""
        return self.name


@dataclass(frozen=True, kw_only=True)
class NearestRow:
    """A sample and the training image that it is most like.

    Attributes:
        name: The candidate's.
        prompt: The sample's.
        seed: The sample's.
        sample_sha256: sha256 of the sample's file.
        training_sha256: Blob of the training image.
        similarity: Cosine between the two.
        is_copy: Whether that is nearer than honest images are; ``None`` if not known.
    """

    name: str
    prompt: str
    seed: int
    sample_sha256: str
    training_sha256: str
    similarity: float
    is_copy: bool | None

    @property
    def key(self) -> str:
        """Unique by candidate, prompt and seed."""
        return f"{self.name}\0{self.prompt}\0{self.seed}"
