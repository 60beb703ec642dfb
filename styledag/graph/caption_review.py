"""A style's captions as the store contains them, with how well each agrees with its image."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.captions.records import CaptionedImage
from styledag.captions.review.worst import ReviewedCaption, worst_first
from styledag.errors import StyleFileError
from styledag.graph.catalogue import Catalogue
from styledag.graph.stage import GetCompute
from styledag.images.stored_jpeg import read_jpeg
from styledag.manifest import Manifest
from styledag.progress import Progress
from styledag.store.artifact import Artifact
from styledag.store.items import item_key

if TYPE_CHECKING:
    from styledag.scoring.embedding_scorer import EmbeddingScorer

_ITEMS = "caption_similarities"


def captions_of(catalogue: Catalogue, style: str) -> tuple[Artifact, Sequence[CaptionedImage]]:
    """Return the artifact of a style's captions and its rows.

    Raises:
        ArtifactMissingError: If there is none.
    """
    artifact = catalogue.store.require("captions", style)
    return artifact, Manifest.read(artifact.folder, CaptionedImage).rows


def overrides_path(catalogue: Catalogue, style: str) -> Path:
    """Return the CSV of a style's overrides, whether or not it is there.

    Raises:
        StyleFileError: If the style file names none, or does not use it.
    """
    settings = catalogue.style(style).captions
    if settings.overrides is None or "override" not in settings.sources:
        raise StyleFileError(
            f"style {style!r} reads no captions of yours: in its file, write `overrides: "
            f"data/styles/{style}.captions.csv` under captions, and override first in "
            "captions.sources if that is there"
        )
    return catalogue.path(settings.overrides)


def review(
    catalogue: Catalogue,
    style: str,
    rows: Sequence[CaptionedImage],
    compute: GetCompute,
    progress: Progress,
) -> list[ReviewedCaption]:
    """Return captions, those first that agree least with their image by the style's scorer.

    What was compared once is not compared again.

    Raises:
        ModelError: If the scorer is not available.
    """
    from styledag.scoring.embedding_scorer import EmbeddingScorer, batches_of

    settings, store = catalogue.style(style).scores, catalogue.store
    model = catalogue.model(settings.scorer)
    keys = {
        row.key: item_key(sha256=row.key, caption=row.caption, scorer=model.version) for row in rows
    }
    known = store.items.get_many_json(_ITEMS, list(keys.values()))
    found = {sha256: float(known[key]) for sha256, key in keys.items() if key in known}
    missing = [row for row in rows if row.key not in found]
    with progress.task("comparisons", len(rows)) as advance:
        advance(len(found))
        if missing:
            scorer = EmbeddingScorer(model.folder, model.version, compute(), settings.batch_size)
            for batch in batches_of(missing, settings.batch_size):
                for sha256, similarity in _compared(catalogue, scorer, batch).items():
                    store.items.put_json(_ITEMS, keys[sha256], similarity)
                    found[sha256] = similarity
                advance(len(batch))
    return worst_first(rows, found)


def _compared(
    catalogue: Catalogue, scorer: "EmbeddingScorer", rows: Sequence[CaptionedImage]
) -> Mapping[str, float]:
    images = [read_jpeg(catalogue.store.blobs, row.key) for row in rows]
    cosines = (scorer(images) * scorer.embed_texts([row.caption for row in rows], cut=True)).sum(1)
    return {row.key: float(cosine) for row, cosine in zip(rows, cosines, strict=True)}
