"""Pages and images of artifacts that a browser may open: where each is, and its content."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

from styledag.errors import LineageError, StorageError
from styledag.graph.lineage import find_ancestor
from styledag.graph.names import Partition
from styledag.store.artifact import Artifact
from styledag.store.store import Store

CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".png": "image/png",
    ".gif": "image/gif",
}
"""Content types by suffix; files of other kinds are not opened."""
_CURRENT = "current"
_REPORT, _CONTACT_SHEET = "model_report", "curated_images"


@dataclass(frozen=True)
class Page:
    """A published file for a browser."""

    content: bytes
    content_type: str


def read_page(store: Store, path: str) -> Page | None:
    """Return what is at a path that :func:`page_paths` gives, or ``None``.

    A file is found by the list in its artifact's record and by no other way, so that a path leads
    to nothing but published HTML, PNG and GIF.

    Args:
        store: Where the artifacts are.
        path: ``/asset/partition/version/file``, escaped; the version may be ``current``.
    """
    # Escaped signs are those of a name: `%2F` is no separator.
    names = [unquote(each) for each in path.removeprefix("/").split("/")]
    if len(names) < 4 or any(
        not each or each in (".", "..") or set(each) & set("/\\\0") for each in names
    ):
        return None
    asset, key, version, *inside = names
    partition, name = Partition.parse(key).stored_as, "/".join(inside)
    content_type = CONTENT_TYPES.get(PurePosixPath(name).suffix)
    try:
        if version == _CURRENT:
            artifact = store.require(asset, partition)
        else:
            artifact = store.by_version(asset, partition, version)
        if content_type is None or name not in artifact.build.files:
            return None
        content = store.files.read(f"{artifact.name}/{name}")
    except StorageError:  # there is no such artifact, or no such name can be
        return None
    return None if content is None else Page(content, content_type)


def page_paths(store: Store, artifact: Artifact) -> Mapping[str, str]:
    """Return the paths of an artifact's own pages and images, and of those it belongs with.

    Returns:
        Paths by name: the contact sheet of the very images that it came from, and the current
        report of its model, which may not be there yet.
    """
    paths = {
        PurePosixPath(name).stem: _path(artifact.asset, artifact.partition, artifact.version, name)
        for name in artifact.build.files
        if "/" not in name and PurePosixPath(name).suffix in CONTENT_TYPES
    }
    try:
        curated = find_ancestor(store, artifact, _CONTACT_SHEET)
    except LineageError:
        return paths
    sheet = _path(curated.asset, curated.partition, curated.version, "contact_sheet.html")
    paths["contact_sheet"] = sheet
    partition = Partition.from_store(artifact.partition)
    if partition.recipe:
        paths.setdefault("report", _path(_REPORT, partition.model_key, _CURRENT, "report.html"))
    return paths


def _path(asset: str, partition: str, version: str, name: str) -> str:
    key = Partition.from_store(partition).key
    return "/" + "/".join(quote(each, safe="@") for each in (asset, key, version, name))
