"""The stage ``curated_images``: copies dropped, families capped, poor quality left out."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from styledag.errors import DataError
from styledag.images.contact_sheet import SheetFamily, write_contact_sheet
from styledag.images.copies import find_copies, hash_distance
from styledag.images.embedding import Embedder
from styledag.images.families import find_families
from styledag.images.looks import Look, embed_jpegs, measure_looks
from styledag.images.records import CuratedImage, JpegImage
from styledag.images.settings import CurationSettings
from styledag.images.similarity import Float32, comparable
from styledag.manifest import Manifest, Rejection
from styledag.store.workspace import Workspace

CODE_VERSION = "2"


@dataclass
class _Curation:
    """The images that are still in, and everything that was left out."""

    left: list[JpegImage]
    rejected: list[Rejection] = field(default_factory=list)
    copies: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    kept: list[CuratedImage] = field(default_factory=list)
    families: list[SheetFamily] = field(default_factory=list)

    def reject(self, image: JpegImage, reason: str, detail: str) -> None:
        self.rejected.append(Rejection(subject=image.origin.url, reason=reason, detail=detail))


def curate_images(
    jpegs: Manifest[JpegImage],
    settings: CurationSettings,
    workspace: Workspace,
    *,
    embed: Embedder,
) -> Manifest[CuratedImage]:
    """Return, and write into the workspace with a contact sheet, the images to train on.

    Images that are too small, too narrow or blank are left out, then copies, then what exceeds
    ``family_cap`` of a family of near-duplicates. Each JPEG is hashed and embedded once, however
    many runs it appears in (``work["hashes"]``, ``work["embeddings"]``). The order of the rows
    changes nothing.

    Args:
        jpegs: What ``normalise_images`` gave; the bytes are blobs.
        settings: What is left out.
        workspace: Where manifest, contact sheet and what is known of each image are kept.
        embed: Turns images into vectors of likeness.

    Raises:
        DataError: If not one image is kept; the message names the reasons.
        StorageError: If a JPEG's blob is missing.
    """
    curation = _Curation(left=sorted(jpegs.rows, key=_worth))
    _drop_small(curation, settings)
    looks = measure_looks(_sha256s(curation), CODE_VERSION, workspace)
    _drop_blank(curation, settings, looks)
    _drop_exact_copies(curation)
    vectors = comparable(embed_jpegs(_sha256s(curation), embed, workspace))
    vectors = _drop_near_copies(curation, settings, looks, vectors)
    _cap_families(curation, settings, vectors)
    if not curation.kept:
        raise DataError(_nothing_kept(curation.rejected))
    manifest = Manifest(tuple(curation.kept), tuple(curation.rejected))
    manifest.write(workspace.folder)
    write_contact_sheet(manifest, curation.families, jpegs, workspace)
    return manifest


def _worth(image: JpegImage) -> tuple[int, str, str]:
    """Return what an image is sorted by, so that of copies the largest original comes first."""
    return (-image.raw_width_px * image.raw_height_px, image.sha256, image.origin.url)


def _sha256s(curation: _Curation) -> list[str]:
    return list(dict.fromkeys(image.sha256 for image in curation.left))


def _drop_small(curation: _Curation, settings: CurationSettings) -> None:
    images, curation.left = curation.left, []
    for image in images:
        shorter, longer = sorted((image.raw_width_px, image.raw_height_px))
        size = f"{image.raw_width_px}x{image.raw_height_px}"
        if shorter < settings.min_side_px:
            curation.reject(image, "too_small", f"{size}, less than {settings.min_side_px}")
        elif longer > settings.max_aspect * shorter:
            curation.reject(image, "too_narrow", f"{size}, beyond {settings.max_aspect:g} to 1")
        else:
            curation.left.append(image)


def _drop_blank(curation: _Curation, settings: CurationSettings, looks: Mapping[str, Look]) -> None:
    images, curation.left = curation.left, []
    for image in images:
        contrast = looks[image.sha256].contrast
        if contrast < settings.min_contrast:
            curation.reject(
                image, "blank", f"contrast {contrast:.2f}, less than {settings.min_contrast:g}"
            )
        else:
            curation.left.append(image)


def _drop_exact_copies(curation: _Curation) -> None:
    images, curation.left = curation.left, []
    first: dict[str, JpegImage] = {}
    for image in images:
        keeper = first.setdefault(image.sha256, image)
        if keeper is image:
            curation.left.append(image)
        else:
            curation.reject(image, "copy", f"same pixels as {keeper.origin.url}")
            curation.copies[keeper.sha256].append(image.origin.url)


def _drop_near_copies(
    curation: _Curation,
    settings: CurationSettings,
    looks: Mapping[str, Look],
    vectors: Float32,
) -> Float32:
    """Leave out copies that were encoded anew, and return the vectors of those left."""
    images = curation.left
    in_order = [looks[image.sha256] for image in images]
    kept_by = find_copies(
        in_order,
        vectors,
        most_distance=settings.copy_hash_distance,
        least_similarity=settings.copy_similarity,
    )
    for copy, kept in sorted(kept_by.items()):
        keeper = images[kept]
        curation.reject(
            images[copy],
            "copy",
            f"copy of {keeper.origin.url}: hash distance "
            f"{hash_distance(in_order[copy].phash, in_order[kept].phash)}, "
            f"similarity {float(vectors[copy] @ vectors[kept]):.3f}",
        )
        copies = curation.copies[keeper.sha256]
        copies.extend([images[copy].origin.url, *curation.copies.pop(images[copy].sha256, [])])
    kept_at = [at for at in range(len(images)) if at not in kept_by]
    curation.left = [images[at] for at in kept_at]
    return vectors[kept_at]


def _cap_families(curation: _Curation, settings: CurationSettings, vectors: Float32) -> None:
    in_order = np.argsort([image.sha256 for image in curation.left])
    images = [curation.left[at] for at in in_order]
    for family in find_families(vectors[in_order], settings.family_similarity):
        centre, size = images[family.medoid], len(family.members)
        cap = min(settings.family_cap or size, size)
        curation.families.append(SheetFamily(tuple(images[at] for at in family.members), cap))
        curation.kept.extend(
            CuratedImage(
                origin=images[at].origin,
                raw_sha256=images[at].raw_sha256,
                sha256=images[at].sha256,
                width_px=images[at].width_px,
                height_px=images[at].height_px,
                family=centre.sha256,
                family_size=size,
                copies=tuple(sorted(curation.copies.get(images[at].sha256, []))),
            )
            for at in family.members[:cap]
        )
        for at, similarity in list(zip(family.members, family.similarities, strict=True))[cap:]:
            curation.reject(
                images[at],
                "family_cap",
                f"one of {size} like {centre.origin.url}, of which {cap} are kept; "
                f"similarity {similarity:.3f}",
            )


def _nothing_kept(rejected: Sequence[Rejection]) -> str:
    if not rejected:
        return "there are no images to curate: check the style file's sources"
    counts = Counter(rejection.reason for rejection in rejected).most_common()
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts)
    return (
        f"curation keeps none of {len(rejected)} images ({reasons}): "
        "loosen the style file's curation"
    )
