"""What is judged, and what is said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from styledag.sampling.index import Pair
from styledag.sampling.weights import Weights

if TYPE_CHECKING:
    from styledag.sampling.sampler import Sampler

Kind = Literal["blend", "checkpoint", "prompt", "ip_adapter"]
UNTRAINED = ("prompt", "ip_adapter")
"""Kinds of the rows that training stands beside: none is on the front or recommended."""
DECIMALS = 5


def styled(text: str, style_prompt: str) -> str:
    """Return a caption or prompt with a style prompt, if there is one."""
    return f"{text}, {style_prompt}" if style_prompt else text


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One model that might be taken, with its images.

    Attributes:
        name: Unique, for a person.
        kind: ``blend`` or ``checkpoint``; ``prompt`` for the base under a style prompt,
            ``ip_adapter`` for the base with an IP-Adapter.
        amount: Share of the fine-tune in it, 0 to 1, corrected for the base in the average.
        samples: Image's file by prompt and seed.
        weights: Its denoiser's; ``None`` where it reads more than captions, which the base's
            loss does not measure.
        weight: A blend's weight, 0 to 1.
        epoch: A checkpoint's epoch.
        length: Relative length of a blend that is a reconstructed average; its weight is 1.
        style_prompt: What is added to every prompt and caption.
        is_stored: Whether its weights are in the store; those of a sweep are not.
        base: Draws with its own text encoders and autoencoder; ``None`` if they are the base's.
    """

    name: str
    kind: Kind
    amount: float
    samples: Mapping[Pair, Path]
    weights: Weights | None
    weight: float | None = None
    epoch: int | None = None
    length: float | None = None
    style_prompt: str = ""
    is_stored: bool = True
    base: "Sampler | None" = None

    def told(self, text: str) -> str:
        """Return a caption or prompt as this candidate is told it."""
        return styled(text, self.style_prompt)


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % bootstrap interval over prompts; ``None`` is not measurable."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def is_above_zero(self) -> bool:
        """Whether all of the interval is."""
        return self.low is not None and self.low > 0


def rounded(value: float | None) -> float | None:
    """Return a figure with so many decimals as scores are stored with."""
    return None if value is None else round(value, DECIMALS)


@dataclass(frozen=True, kw_only=True)
class BaseScores:
    """What the base's own denoising loss says of a candidate.

    Attributes:
        style_learned: :mod:`styledag.scoring.style_learned`.
        base_remembered: :mod:`styledag.scoring.base_remembered`.
    """

    style_learned: Estimate
    base_remembered: Estimate


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """The scores of one blend or checkpoint; ``None`` is what could not be measured.

    Attributes:
        place: Its place among the candidates, from 0.
        name: As the candidate's.
        kind: ``blend``, ``checkpoint``, ``prompt`` or ``ip_adapter``.
        weight: A blend's weight.
        epoch: A checkpoint's epoch.
        length: Relative length of a blend that is a reconstructed average.
        amount: Share of the fine-tune in it.
        samples: How many images were judged.
        style_learned: Share of the base's denoising loss on held-out images of the style that is
            gone (:mod:`styledag.scoring.style_learned`); it decides, with the next.
        base_remembered: The base's denoising loss on its own images over the model's
            (:mod:`styledag.scoring.base_remembered`); 1 is the base.
        cmmd: CMMD to the style's images (:mod:`styledag.scoring.style`); lower is nearer.
        kid: KID to them, by the scorer's embeddings (same module); lower is nearer.
        style: :func:`~styledag.scoring.style.style_gain`: share of the base's distance to the
            style that it has covered; higher is nearer.
        retention: Mean likeness to the base's own images
            (:func:`~styledag.scoring.judge.row_cosines`).
        text_similarity: Mean likeness of image and prompt.
        text_retention: That over the base's.
        copying: Share of samples that are nearer to a training image than honest images are.
        diversity: Mean distance between seeds of a prompt.
        taken_for_style: Share of its samples that the style file's classifier takes for the style,
            of the prompts that it is asked about.
        balance: Harmonic mean of style learned and base remembered, scaled.
        on_front: Whether no other candidate beats it in these two at once.
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
    style_learned: Estimate
    base_remembered: Estimate
    cmmd: Estimate
    kid: Estimate
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


def shown_row(rows: Sequence[ScoreRow]) -> ScoreRow:
    """Return the row that is recommended, or else the last that was trained."""
    trained = [row for row in rows if row.kind not in UNTRAINED]
    return next((row for row in trained if row.recommended), trained[-1])


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


@dataclass(frozen=True, kw_only=True)
class FamilyRow:
    """A family of training images that a candidate draws for prompts that do not ask for it.

    Attributes:
        name: The candidate's.
        family: Blob of the image at the family's centre.
        images: Images of the family that were trained on.
        share: By how much the share of samples that show it is above the base's.
        prompts: The prompt of each sample that shows it.
        seeds: The seed of each.
    """

    name: str
    family: str
    images: int
    share: Estimate
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]

    @property
    def key(self) -> str:
        """Unique by candidate and family."""
        return f"{self.name}\0{self.family}"
