"""Twemoji's drawings as a study uses them: to train on, held out, outside the style, a family."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.study.experiments import PROMPT, Images
from styledag.dataset.split import split_of
from styledag.demo.wiki_artwork import Article, twemoji_articles
from styledag.images.converting.decode import decode_image
from styledag.images.converting.resize import to_square
from styledag.images.encode import encode_jpeg
from styledag.images.settings import ImageSettings
from styledag.store.blobs import Blobs
from styledag.training.encoding.samples import EncodeSample
from tools.starter.subjects import with_article

Role = Literal["train", "validation", "outside", "family"]

STYLE_CATEGORIES = ("animals", "plants", "food", "drinks")
OUTSIDE_CATEGORIES = ("vehicles", "buildings", "tools", "music")
FAMILY_CATEGORY = "clocks"
FAMILY_SUBJECT = "a clock face"
"""One caption for all of a family, as a captioner would give."""
FAMILY_CAP = 4
HELD_OUT_SHARE = 0.14

_IMAGES = ImageSettings(size_px=64)


@dataclass(frozen=True, kw_only=True)
class Image:
    """One drawing.

    Attributes:
        sha256: Blob of the JPEG.
        subject: What it shows, with its article.
        name: Its title.
        role: What it is for.
    """

    sha256: str
    subject: str
    name: str
    role: Role

    @property
    def id(self) -> str:
        """Sample id."""
        return hashlib.sha256(self.name.encode()).hexdigest()

    def as_sample(self) -> EncodeSample:
        """Return it as a sample to encode."""
        return EncodeSample(
            id=self.id,
            caption=PROMPT.format(self.subject),
            split="validation" if self.role == "validation" else "train",
            family=FAMILY_CATEGORY if self.role == "family" else "",
            name=self.name,
            image_sha256=self.sha256,
        )


def store_images(blobs: Blobs, *, training: int) -> tuple[Image, ...]:
    """Store the drawings as the stage ``jpeg_images`` would, and return them.

    Args:
        blobs: Where they go.
        training: Most images of the style to train on, evenly chosen.
    """
    images = []
    for article in twemoji_articles():
        role = _role(article)
        if role is not None:
            images.append(_stored(article, role, blobs))
    train = [each for each in images if each.role == "train"]
    kept = {each.name for each in evenly(train, training)}
    return tuple(each for each in images if each.role != "train" or each.name in kept)


def evenly(images: Sequence[Image], count: int) -> list[Image]:
    """Return so many images from the first on, evenly chosen; all if there are fewer."""
    every = max(1.0, len(images) / count)
    return [images[int(at * every)] for at in range(min(count, len(images)))]


def dataset_of(images: Sequence[Image], name: Images) -> list[EncodeSample]:
    """Return what is trained on and what is held out, as samples to encode.

    Args:
        images: All drawings.
        name: How much of the family is among them.
    """
    family = [each for each in images if each.role == "family"]
    added = {"style": [], "family": family, "capped": family[:: len(family) // FAMILY_CAP]}[name]
    own = [each for each in images if each.role in ("train", "validation")]
    return [each.as_sample() for each in (*own, *added)]


def _role(article: Article) -> Role | None:
    if article.category in STYLE_CATEGORIES:
        return split_of(article.slug, HELD_OUT_SHARE)
    if article.category in OUTSIDE_CATEGORIES:
        return "outside"
    return "family" if article.category == FAMILY_CATEGORY else None


def _stored(article: Article, role: Role, blobs: Blobs) -> Image:
    decoded = decode_image(
        article.path.read_bytes(), background=_IMAGES.background, max_pixels=_IMAGES.max_pixels
    )
    square = to_square(
        decoded.image,
        size_px=_IMAGES.size_px,
        mode="pad",
        upscale=_IMAGES.upscale,
        background=_IMAGES.background,
    )
    return Image(
        sha256=blobs.put(encode_jpeg(square, quality=_IMAGES.quality)),
        subject=FAMILY_SUBJECT if role == "family" else with_article(article.title.lower()),
        name=article.title,
        role=role,
    )
