"""What a report says of the images that a model was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class StageCount:
    """What one image stage found, kept and left out.

    Attributes:
        stage: The asset's name, such as ``curated_images``.
        found: Images that came in.
        kept: Images that went on.
        rejected: How many were left out, by reason.

    Raises:
        ValueError: If ``found`` is not ``kept`` plus the rejected: something was lost silently.
    """

    stage: str
    found: int
    kept: int
    rejected: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        total = self.kept + sum(self.rejected.values())
        if self.found != total:
            raise ValueError(
                f"{self.stage} found {self.found} images, but kept and rejected make {total}"
            )


@dataclass(frozen=True, kw_only=True)
class Family:
    """Near-duplicates that curation put together.

    Attributes:
        medoid_jpeg: Bytes of the image at the family's centre.
        size: Members, before the cap.
        title: Title of the centre at its source.
    """

    medoid_jpeg: bytes
    size: int
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class CaptionSample:
    """A training image and what is said of it.

    Attributes:
        jpeg: The image's bytes.
        caption: Its caption as trained on.
        source: Who wrote it: ``blip``, ``page`` or ``hand``.
        url: Where the image comes from.
        title: Its title there.
    """

    jpeg: bytes
    caption: str
    source: str = ""
    url: str = ""
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class SourceCount:
    """A place that images were collected from.

    Attributes:
        address: URL or folder's name, for a person.
        kind: Source's type in the style file, such as ``html``.
        images: Images from it in the training data.
    """

    address: str
    kind: str
    images: int


@dataclass(frozen=True, kw_only=True)
class DataSection:
    """What the model was trained on.

    Attributes:
        stages: Counts of each image stage, in the order of the graph.
        families: Families of more than one image, the largest first.
        captions: A few images with their captions.
        caption_sources: Captions by where their words come from.
        compared_captions: Images that the captioner was asked about, beside the words in use.
        agreeing_captions: Of these, those that it names alike.
        licences: Images in the training data by licence.
        sources: Where they come from.
        training_images: Images in the training split; ``None`` where unknown.
        validation_images: Images held out; ``None`` where unknown.
    """

    stages: tuple[StageCount, ...] = ()
    families: tuple[Family, ...] = ()
    captions: tuple[CaptionSample, ...] = ()
    caption_sources: Mapping[str, int] = field(default_factory=dict)
    compared_captions: int = 0
    agreeing_captions: int = 0
    licences: Mapping[str, int] = field(default_factory=dict)
    sources: tuple[SourceCount, ...] = ()
    training_images: int | None = None
    validation_images: int | None = None
