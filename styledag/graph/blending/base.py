"""A base whose text encoders or autoencoder are blended too, as the style's `blends.parts` says."""

from styledag.graph.stage import Declaration, Reads
from styledag.models.files import linked_folder
from styledag.models.reference import ResolvedModel
from styledag.settings import json_digest
from styledag.store.artifact import Artifact

MERGED_PARTS = "merged_parts"


def has_parts(declared: Declaration) -> bool:
    """Return whether a style blends more than denoisers."""
    return bool(declared.style.blends.parts)


READS_PARTS = Reads(MERGED_PARTS, when=has_parts)
"""Of a stage that draws or judges blends, or hands them out."""


def blended_base(base: ResolvedModel, merged: Artifact | None) -> ResolvedModel:
    """Return the base that a blend is drawn with.

    Args:
        base: The style's own base, whole.
        merged: The blend's ``merged_parts``, if the style has such.

    Returns:
        A folder of links to the base's files, but for the parts that are blended, under a version
        of its own; the base itself where none is.

    Raises:
        StorageError: If the links cannot be made.
    """
    parts = [] if merged is None else [each for each in merged.folder.iterdir() if each.is_dir()]
    if merged is None or not parts:
        return base
    replaced = {part.name for part in parts}
    files = {
        each.relative_to(base.folder).as_posix(): each
        for each in base.folder.rglob("*")
        if each.is_file() and each.relative_to(base.folder).parts[0] not in replaced
    }
    files |= {
        each.relative_to(merged.folder).as_posix(): each
        for part in parts
        for each in part.iterdir()
    }
    version = json_digest([base.version, merged.version])
    return ResolvedModel(base.reference, linked_folder(files, version), version)
