"""The images to train on, one row an image.

Copies are dropped, families of near-duplicates capped, poor quality left out.
`contact_sheet.html` shows the families.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from styledag.graph.checks import nothing_lost
from styledag.graph.previews import image_of
from styledag.graph.stage import Declaration, Inputs, Reads, Settings, Stage, Uses
from styledag.images import curate
from styledag.images.records import JpegImage
from styledag.images.review import read_review
from styledag.images.settings import CurationSettings
from styledag.manifest import Manifest
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace

if TYPE_CHECKING:
    from styledag.images.embedding import Embedder
    from styledag.models.reference import ModelReference


_REVIEW = "curation.review"


def curate_jpegs(inputs: Inputs, workspace: Workspace) -> Facts:
    """Choose among the JPEGs."""
    jpegs = Manifest.read(inputs.folder("jpeg_images"), JpegImage)
    settings = inputs.settings.of(CurationSettings)
    review = read_review(inputs.files[_REVIEW]) if _REVIEW in inputs.files else None
    curated = curate.curate_images(
        jpegs, settings, workspace, embed=_embedder(inputs), review=review
    )
    return curate.curation_facts(curated, jpegs, settings, review)


def _embedder(inputs: Inputs) -> "Embedder":
    from styledag.images.embedding import PixelEmbedder
    from styledag.scoring.embedding_scorer import EmbeddingScorer

    if "scorer" not in inputs.models:
        return PixelEmbedder()
    scorer = inputs.models["scorer"]
    batch_size = inputs.settings["batch_size"]
    return EmbeddingScorer(scorer.folder, scorer.version, inputs.compute(), batch_size=batch_size)


def _settings(declared: Declaration) -> Settings:
    return Settings(declared.style.curation).beside(batch_size=declared.style.scores.batch_size)


def _files(declared: Declaration) -> Mapping[str, str]:
    path = declared.style.curation.review
    return {} if path is None else {_REVIEW: path}


def _scorer(declared: Declaration) -> "ModelReference | None":
    style = declared.style
    return style.scores.scorer if style.curation.embedding == "scorer" else None


STAGE = Stage(
    name="curated_images",
    grain="style",
    description=__doc__,
    group="images",
    kinds=frozenset({"pillow", "numpy"}),
    code_version=curate.CODE_VERSION,
    run=curate_jpegs,
    settings=_settings,
    reads=(Reads("jpeg_images"),),
    uses=(Uses("scorer", _scorer),),
    files=_files,
    pool="gpu",
    preview=image_of("families.jpg"),
    checks=(nothing_lost,),
)
