"""The stage ``curated_images``: copies dropped, families capped, poor quality left out."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from styledag.collector import many_objects
from styledag.errors import DataError
from styledag.images.contact_sheet import SheetFamily, write_contact_sheet
from styledag.images.copies import Seen, find_copies, near_by_hash
from styledag.images.embedding import Embedder
from styledag.images.families import Counts, Family, find_families
from styledag.images.looks import Look, embed_jpegs, measure_looks, open_jpeg, shape_cells
from styledag.images.names import find_named
from styledag.images.overlaid_text import count_letters
from styledag.images.records import CuratedImage, JpegImage
from styledag.images.review import Review
from styledag.images.settings import CurationSettings
from styledag.images.similarity import Float32, comparable, remembered_neighbours
from styledag.manifest import Manifest, Rejection, StoredRows, row_schema
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace

CODE_VERSION = "6"

_LOSSLESS = frozenset(("PNG", "TIFF", "BMP"))
"""Formats of originals that no coding has blurred, which are kept before others of their size."""


@dataclass(frozen=True)
class _Kept:
    """An image to train on, and the family that it is of."""

    image: JpegImage
    family: str
    family_size: int


@dataclass
class _Curation:
    """The images that are still in, and everything that was left out."""

    left: list[JpegImage]
    protected: frozenset[str] = frozenset()
    rejected: list[Rejection] = field(default_factory=list)
    copies: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    captions: dict[str, str] = field(default_factory=dict)
    kept: list[_Kept] = field(default_factory=list)
    families: list[SheetFamily] = field(default_factory=list)

    def is_kept(self, image: JpegImage) -> bool:
        """Return whether a person wants the image, whatever else is known of it."""
        return bool(self.protected) and image.origin.url in self.protected

    def leave_out(self, judge: Callable[[JpegImage], tuple[str, str] | None]) -> None:
        """Reject the images for which a reason and a detail are returned, unless they are kept."""
        images, self.left = self.left, []
        for image in images:
            judged = None if self.is_kept(image) else judge(image)
            if judged is None:
                self.left.append(image)
            else:
                self.reject(image, *judged)

    def reject(self, image: JpegImage, reason: str, detail: str) -> None:
        self.rejected.append(Rejection(subject=image.origin.url, reason=reason, detail=detail))

    def reject_copy(self, copy: JpegImage, of: JpegImage, detail: str) -> None:
        """Reject a copy; what it stands for, and its caption if there is no other, goes on."""
        if not of.origin.caption and of.sha256 not in self.captions:
            caption = copy.origin.caption or self.captions.get(copy.sha256, "")
            if caption:
                self.captions[of.sha256] = caption
                detail = f"{detail}; its caption is used"
        others = self.copies.pop(copy.sha256, []) if copy.sha256 != of.sha256 else []
        self.copies[of.sha256].extend([copy.origin.url, *others])
        self.reject(copy, "copy", detail)


@many_objects()
def curate_images(
    jpegs: Manifest[JpegImage],
    settings: CurationSettings,
    workspace: Workspace,
    *,
    embed: Embedder,
    review: Review | None = None,
) -> Manifest[CuratedImage]:
    """Return, and write into the workspace with a contact sheet, the images to train on.

    Images that a person drops, or that are too small, too narrow, blank, blurred, grey or under
    text, are left out, then copies, then what exceeds ``family_cap`` of a family of
    near-duplicates. An image without a caption gets that of a copy. What a person keeps is never
    left out. Each JPEG is hashed, embedded and read once, however many runs it appears in
    (``work["hashes"]``, ``work["embeddings"]``, ``work["texts"]``). The order of the rows changes
    nothing.

    Args:
        jpegs: What ``normalise_images`` gave; the bytes are blobs.
        settings: What is left out.
        workspace: Where manifest, contact sheet and what is known of each image are kept.
        embed: Turns images into vectors of likeness.
        review: What a person decided about single images; wins over ``keep`` and ``drop``.

    Raises:
        DataError: If not one image is kept; the message names the reasons.
        StorageError: If a JPEG's blob is missing.
    """
    kept, dropped = _by_hand(settings, review or Review(), jpegs.rows)
    curation = _Curation(_in_order(jpegs.rows, kept), kept)
    curation.leave_out(
        lambda image: (
            ("dropped_by_hand", "a person dropped it") if image.origin.url in dropped else None
        )
    )
    curation.leave_out(partial(_judge_size, settings))
    looks = measure_looks(_sha256s(curation), CODE_VERSION, workspace)
    curation.leave_out(lambda image: _judge_look(settings, looks[image.sha256]))
    if settings.max_letters is not None:
        letters = count_letters(_sha256s(curation), workspace)
        curation.leave_out(partial(_judge_text, settings.max_letters, letters))
    _drop_exact_copies(curation)
    vectors = _embedded(curation.left, embed, workspace)
    images = Seen(
        [looks[image.sha256] for image in curation.left], comparable(vectors, out=vectors)
    )
    mirrors = _mirrors(curation, settings, embed, workspace, images)
    kept_at = _drop_near_copies(curation, settings, workspace, images, mirrors)
    in_order = sorted(range(len(kept_at)), key=lambda at: curation.left[at].sha256)
    curation.left = [curation.left[at] for at in in_order]
    vectors = images.vectors[[kept_at[at] for at in in_order]]
    del images, mirrors
    count = _neighbours(curation.left, embed, workspace)
    _cap_families(curation, settings, find_families(vectors, settings.family_similarity, count))
    if not curation.kept:
        raise DataError(_nothing_kept(curation.rejected))
    manifest = Manifest(_kept_rows(jpegs, curation), tuple(curation.rejected))
    manifest.write(workspace.folder)
    write_contact_sheet(manifest, curation.families, jpegs, workspace)
    return manifest


def curation_facts(
    curated: Manifest[CuratedImage],
    jpegs: Manifest[JpegImage],
    settings: CurationSettings,
    review: Review | None = None,
) -> Facts:
    """Return the manifest's counts, and which names that a person wrote mean no image."""
    given = review or Review()
    names = dict.fromkeys((*settings.keep, *settings.drop, *given.keep, *given.drop))
    found = find_named(names, jpegs.rows)
    unknown = [name for name, named in found.items() if not named]
    if not unknown:
        return curated.facts
    return {**curated.facts, "names_unmatched": len(unknown), "names_unmatched_first": unknown[:5]}


def _by_hand(
    settings: CurationSettings, review: Review, images: Sequence[JpegImage]
) -> tuple[frozenset[str], frozenset[str]]:
    """Return the addresses of the images that a person keeps and drops."""
    kept, dropped = _urls(review.keep, images), _urls(review.drop, images)
    return (
        kept | (_urls(settings.keep, images) - dropped),
        dropped | (_urls(settings.drop, images) - kept),
    )


def _in_order(images: Sequence[JpegImage], kept: frozenset[str]) -> list[JpegImage]:
    """Return the images so that of copies the one a person keeps, or the best, comes first.

    That is the largest, and of equals one from a lossless file.
    """

    def worth(image: JpegImage) -> tuple[bool, int, bool, str, str]:
        url, pixels = image.origin.url, image.raw_width_px * image.raw_height_px
        is_lossy = image.raw_format not in _LOSSLESS
        return (url not in kept, -pixels, is_lossy, image.sha256, url)

    return sorted(images, key=worth)


def _urls(names: Sequence[str], images: Sequence[JpegImage]) -> frozenset[str]:
    found = find_named(names, images)
    return frozenset(image.origin.url for named in found.values() for image in named)


def _sha256s(curation: _Curation) -> list[str]:
    return [image.sha256 for image in curation.left]


def _judge_size(settings: CurationSettings, image: JpegImage) -> tuple[str, str] | None:
    shorter, longer = sorted((image.raw_width_px, image.raw_height_px))
    size = f"{image.raw_width_px}x{image.raw_height_px}"
    if shorter < settings.min_side_px:
        return "too_small", f"{size}, less than {settings.min_side_px}"
    if longer > settings.max_aspect * shorter:
        return "too_narrow", f"{size}, beyond {settings.max_aspect:g} to 1"
    return None


def _judge_look(settings: CurationSettings, look: Look) -> tuple[str, str] | None:
    for reason, measure, least in (
        ("blank", "contrast", settings.min_contrast),
        ("blurred", "sharpness", settings.min_sharpness),
        ("greyscale", "saturation", settings.min_saturation),
    ):
        value = float(getattr(look, measure))
        if value < least:
            return reason, f"{measure} {value:.2f}, less than {least:g}"
    return None


def _judge_text(most: int, letters: Mapping[str, int], image: JpegImage) -> tuple[str, str] | None:
    count = letters[image.sha256]
    return ("text_overlay", f"{count} letters, more than {most}") if count > most else None


def _embedded(
    images: Sequence[JpegImage], embed: Embedder, workspace: Workspace, *, mirrored: bool = False
) -> Float32:
    originals = {image.sha256: (image.raw_width_px, image.raw_height_px) for image in images}
    sha256s = [image.sha256 for image in images]
    return embed_jpegs(sha256s, embed, workspace, mirrored=mirrored, originals=originals)


def _mirrors(
    curation: _Curation,
    settings: CurationSettings,
    embed: Embedder,
    workspace: Workspace,
    images: Seen,
) -> Seen | None:
    """Return what is known of the mirror images, with the vectors of those that are near one."""
    if not settings.mirrored_copies:
        return None
    measured = measure_looks(_sha256s(curation), CODE_VERSION, workspace, mirrored=True)
    looks = [measured[image.sha256] for image in curation.left]
    near = near_by_hash(images.looks, looks, settings.copy_hash_distance)
    # Not zeros_like, which writes them: the rows that are never written take no memory.
    vectors = np.zeros(images.vectors.shape, images.vectors.dtype)
    if near.size:
        nearby = [curation.left[at] for at in near]
        vectors[near] = comparable(_embedded(nearby, embed, workspace, mirrored=True))
    return Seen(looks, vectors)


def _drop_exact_copies(curation: _Curation) -> None:
    images, curation.left = curation.left, []
    first: dict[str, JpegImage] = {}
    for image in images:
        keeper = first.setdefault(image.sha256, image)
        if keeper is image:
            curation.left.append(image)
        else:
            # One JPEG is one row, also where a person keeps both: their pixels are the same.
            curation.reject_copy(image, keeper, f"same pixels as {keeper.origin.url}")


def _drop_near_copies(
    curation: _Curation,
    settings: CurationSettings,
    workspace: Workspace,
    seen: Seen,
    mirrors: Seen | None,
) -> list[int]:
    """Leave out copies that were encoded anew or mirrored; return where those left were."""
    images = curation.left
    found = find_copies(
        seen,
        lambda at: shape_cells(open_jpeg(images[at].sha256, workspace)),
        most_distance=settings.copy_hash_distance,
        least_similarity=settings.copy_similarity,
        mirrors=mirrors,
    )
    copies = {at: copy for at, copy in found.items() if not curation.is_kept(images[at])}
    for at, copy in copies.items():
        keeper = images[copy.kept]
        curation.reject_copy(
            images[at],
            keeper,
            f"{'mirror image' if copy.mirrored else 'copy'} of {keeper.origin.url}: hash distance "
            f"{copy.hash_distance}, similarity {copy.similarity:.3f}",
        )
    kept_at = [at for at in range(len(images)) if at not in copies]
    curation.left = [images[at] for at in kept_at]
    return kept_at


def _neighbours(
    images: Sequence[JpegImage], embed: Embedder, workspace: Workspace
) -> Callable[[Float32, float], Counts]:
    """Return a way to count the neighbours of images that remembers what it counted."""
    return partial(
        remembered_neighbours,
        [f"{each.sha256} {each.raw_width_px}x{each.raw_height_px}" for each in images],
        embedder=embed.version,
        file=workspace.kept and workspace.kept / "neighbours.npz",
    )


def _cap_families(
    curation: _Curation, settings: CurationSettings, families: Iterable[Family]
) -> None:
    """Keep of each family as many as the settings allow; its members are places in ``left``."""
    images = curation.left
    for family in families:
        centre, size = images[family.medoid], len(family.members)
        cap = min(settings.family_cap or size, size)
        members = list(zip(family.members, family.similarities, strict=True))
        wanted = [pair for pair in members[cap:] if curation.is_kept(images[pair[0]])]
        over = [pair for pair in members[cap:] if pair not in wanted]
        kept = [at for at, _ in (*members[:cap], *wanted)]
        shown = tuple(images[at] for at in (*kept, *(at for at, _ in over)))
        curation.families.append(SheetFamily(shown, len(kept)))
        curation.kept.extend(_Kept(images[at], centre.sha256, size) for at in kept)
        for at, similarity in over:
            curation.reject(
                images[at],
                "family_cap",
                f"one of {size} like {centre.origin.url}, of which {len(kept)} are kept; "
                f"similarity {similarity:.3f}",
            )


def _kept_rows(jpegs: Manifest[JpegImage], curation: _Curation) -> StoredRows[CuratedImage]:
    """Return the rows of what is kept: the JPEGs' columns, families, copies, their captions."""
    kept = curation.kept
    place_of = {url: at for at, url in enumerate(jpegs.column("origin.url"))}
    images = jpegs.table.take(pa.array([place_of[each.image.origin.url] for each in kept]))
    found: dict[str, Any] = {
        "family": [each.family for each in kept],
        "family_size": [each.family_size for each in kept],
        "copies": [sorted(curation.copies.get(each.image.sha256, ())) for each in kept],
    }
    if curation.captions:
        captions = [curation.captions.get(each.image.sha256) for each in kept]
        found["origin"] = _with_captions(images["origin"].combine_chunks(), captions)
    schema = row_schema(CuratedImage)
    columns = {name: found[name] if name in found else images[name] for name in schema.names}
    return StoredRows.by_key(pa.table(columns, schema=schema), CuratedImage, "sha256")


def _with_captions(origins: pa.StructArray, captions: Sequence[str | None]) -> pa.StructArray:
    """Return origins with other captions where there are any."""
    names = [each.name for each in origins.type]
    columns = dict(zip(names, origins.flatten(), strict=True))
    columns["caption"] = pc.coalesce(pa.array(captions, pa.string()), columns["caption"])
    return pa.StructArray.from_arrays(list(columns.values()), fields=list(origins.type))


def _nothing_kept(rejected: Sequence[Rejection]) -> str:
    if not rejected:
        return "there are no images to curate: check the style file's sources"
    counts = Counter(rejection.reason for rejection in rejected).most_common()
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts)
    return (
        f"curation keeps none of {len(rejected)} images ({reasons}): "
        "loosen the style file's curation"
    )
