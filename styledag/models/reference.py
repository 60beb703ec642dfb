"""A model by Hub id or folder, resolved to local files and the version of their content."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from styledag.errors import ModelError
from styledag.settings import STRICT, setting
from styledag.store.artifact import Input
from styledag.store.digest import content_version, file_digest
from styledag.store.items import Items, item_key

_ALL = ("*.json", "*.txt", "*.safetensors", "*/*.json", "*/*.txt", "*/*.safetensors")
_CONFIGURATIONS = ("config.json", "*/config.json", "*/scheduler_config.json")


@dataclass(frozen=True, kw_only=True)
class ModelReference:
    """A model on the Hugging Face Hub, or in a folder of the same layout."""

    __pydantic_config__ = STRICT

    model: str = setting(
        identity=False,
        min_length=1,
        help="A folder, relative to the project, or a Hub id such as org/name.",
    )
    revision: str | None = setting(
        None,
        identity=False,
        help="Commit, tag or branch on the Hub; required for a Hub id, refused for a folder.",
    )


@dataclass(frozen=True)
class ResolvedModel:
    """A model's local folder and the version of its content.

    Attributes:
        reference: As the style file names it.
        folder: Where its files lie.
        version: sha256 over all of its files.
    """

    reference: ModelReference
    folder: Path
    version: str

    def as_input(self, name: str) -> Input:
        """Return the model as a build's input called ``name``."""
        revision = f"@{self.reference.revision}" if self.reference.revision else ""
        return Input(name=name, partition=f"{self.reference.model}{revision}", version=self.version)


def resolve_model(
    reference: ModelReference, *, project: Path, items: Items, parts: Sequence[str] = ("",)
) -> ResolvedModel:
    """Return where a model's files lie and the version of their content.

    Args:
        reference: Hub id with a revision, or a folder.
        project: Folder that relative folders are relative to.
        items: Remembers digests by path, size and time, so that gigabytes are read once.
        parts: Subfolders to take; ``""`` is the model's own folder with all in it.

    Raises:
        ModelError: If neither a folder nor a Hub repository of that name can be had.
    """
    folder = project / reference.model
    if folder.is_dir():
        if reference.revision is not None:
            raise ModelError(
                f"model {reference.model!r} is a folder, which has no revision: "
                f"remove revision {reference.revision!r}"
            )
    else:
        folder = _from_hub(reference)
    files = sorted(
        path
        for part in parts
        for path in (folder / part).rglob("*")
        if path.is_file() and not _is_hidden(path.relative_to(folder))
    )
    if not files:
        raise ModelError(f"model {reference.model!r}: {folder} holds no files of a model")
    digests = {path.relative_to(folder).as_posix(): _digest(path, items) for path in files}
    return ResolvedModel(reference, folder, content_version(digests))


def configuration_folder(reference: ModelReference, *, project: Path) -> Path:
    """Return a folder with a model's configurations, whether or not its weights are there.

    Args:
        reference: Hub id with a revision, or a folder.
        project: Folder that relative folders are relative to.

    Raises:
        ModelError: If neither a folder nor a Hub repository of that name can be had.
    """
    folder = project / reference.model
    return folder if folder.is_dir() else _from_hub(reference, _CONFIGURATIONS)


def _from_hub(reference: ModelReference, wanted: Sequence[str] = _ALL) -> Path:
    if reference.revision is None or reference.model.count("/") != 1:
        raise ModelError(
            f"model {reference.model!r} is no folder of the project; name an existing folder "
            "(data/starter comes with styledag's repository), or a Hub id with its revision"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                reference.model, revision=reference.revision, allow_patterns=list(wanted)
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as exc:
        raise ModelError(
            f"model {reference.model!r} at revision {reference.revision!r} cannot be had from the "
            f"Hugging Face Hub ({type(exc).__name__}): check its name, the network and the token, "
            "or name a folder that holds it"
        ) from exc


def _digest(path: Path, items: Items) -> str:
    stat = path.stat()
    key = item_key(path=str(path), size=stat.st_size, mtime_ns=stat.st_mtime_ns)
    known: Any = items.get_json("file_digests", key)
    if isinstance(known, str) and len(known) == hashlib.sha256().digest_size * 2:
        return known
    digest = file_digest(path)
    items.put_json("file_digests", key, digest)
    return digest


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
