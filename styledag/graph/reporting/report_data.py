"""What a model was trained on, read out of the artifacts that it came from."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from styledag.captions.agreement import read_agreement
from styledag.captions.records import CaptionedImage
from styledag.collect.records import RawImage
from styledag.dataset.read import DatasetRow, read_dataset
from styledag.graph.lineage import Ancestor
from styledag.images.records import CuratedImage, JpegImage
from styledag.manifest import Manifest
from styledag.report.data import CaptionSample, DataSection, Family, SourceCount, StageCount
from styledag.store.artifact import Artifact

_ROWS = {
    "raw_images": RawImage,
    "jpeg_images": JpegImage,
    "curated_images": CuratedImage,
    "captions": CaptionedImage,
}
"""Stages whose manifests are counted, in order."""
_FAMILIES, _CAPTIONS = 12, 16


def data_section(ancestors: Sequence[Ancestor]) -> DataSection:
    """Return counts, families, captions, licences and sources of a model's images."""
    artifacts = {
        ancestor.input.name: ancestor.artifact
        for ancestor in ancestors
        if ancestor.artifact is not None
    }
    rows = {row.id: row for row in read_dataset(artifacts["image_dataset"].folder)}
    agreement = read_agreement(artifacts["captions"].folder)
    splits = Counter(row.split for row in rows.values())
    licences = Counter(row.origin.licence for row in rows.values())
    return DataSection(
        stages=tuple(_stage_count(name, artifacts[name]) for name in _ROWS),
        families=_families(artifacts["captions"], rows),
        captions=_captions(list(rows.values())),
        caption_sources=dict(Counter(row.caption_source for row in rows.values()).most_common()),
        compared_captions=agreement.compared if agreement else 0,
        agreeing_captions=agreement.agree if agreement else 0,
        licences=dict(licences.most_common()),
        sources=image_sources(rows.values()),
        training_images=splits["train"],
        validation_images=splits["validation"],
    )


def _stage_count(stage: str, artifact: Artifact) -> StageCount:
    facts = Manifest.read(artifact.folder, _ROWS[stage]).facts
    prefix = "rejected_"
    rejected = {
        name.removeprefix(prefix): count for name, count in facts.items() if name.startswith(prefix)
    }
    return StageCount(stage=stage, found=facts["found"], kept=facts["kept"], rejected=rejected)


def _families(captions: Artifact, rows: Mapping[str, DatasetRow]) -> tuple[Family, ...]:
    sizes = {
        row.image.family: row.image.family_size
        for row in Manifest.read(captions.folder, CaptionedImage).rows
        if row.image.family_size > 1 and row.image.family in rows
    }
    largest = sorted(sizes, key=lambda family: (-sizes[family], family))[:_FAMILIES]
    return tuple(
        Family(
            medoid_jpeg=rows[family].jpeg,
            size=sizes[family],
            title=rows[family].origin.title,
        )
        for family in largest
    )


def _captions(rows: Sequence[DatasetRow]) -> tuple[CaptionSample, ...]:
    # Sorted by sha256, so the first ones are a fair and stable draw.
    return tuple(
        CaptionSample(
            jpeg=row.jpeg,
            caption=row.text,
            source=row.caption_source,
            url=row.origin.url,
            title=row.origin.title,
        )
        for row in sorted(rows, key=lambda row: row.id)[:_CAPTIONS]
    )


def image_sources(rows: Iterable[DatasetRow]) -> tuple[SourceCount, ...]:
    """Return where images come from, by site, the most frequent first."""
    counts = Counter(_place(row.origin.page_url or row.origin.url) for row in rows)
    return tuple(
        SourceCount(address=address, kind=kind, images=count)
        for (address, kind), count in counts.most_common()
    )


def _place(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read", "web"
    if parts.scheme and parts.netloc:
        return f"{parts.scheme}://{parts.netloc}/", "web"
    return "images on the disk", "folder"
