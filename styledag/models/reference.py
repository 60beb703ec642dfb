"""A model by Hub id, folder or single file, resolved to a folder and its content's version."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from styledag.errors import ModelError
from styledag.models.files import (
    PIPELINE_FILE,
    SMALL_FILES,
    Listing,
    denoiser_part,
    files_read,
    linked_folder,
)
from styledag.models.hub import cached_folder, hub_file, hub_folder, hub_listing
from styledag.models.single_file.denoiser import (
    check_denoiser,
    check_denoiser_file,
    check_denoiser_training,
    denoiser_folder,
)
from styledag.models.single_file.load import single_file_folder
from styledag.models.soundness import check_weights
from styledag.settings import StrictSettings, setting
from styledag.store.artifact import Input
from styledag.store.digest import content_version, file_digest
from styledag.store.items import Items, item_key
from styledag.tensors.layout import CONFIG_FILE, WEIGHTS_FILE

_SCHEDULER = "scheduler/scheduler_config.json"
_CONFIGURATIONS = (
    PIPELINE_FILE,
    CONFIG_FILE,
    f"*/{CONFIG_FILE}",
    _SCHEDULER,
    *(f"tokenizer*/*{end}" for end in SMALL_FILES),
)
_DESCRIPTION = re.compile(
    rf"{re.escape(PIPELINE_FILE)}|(text_encoder\w*|transformer|unet|vae)/{re.escape(CONFIG_FILE)}"
)
_NAMED = re.compile(
    r"(?P<model>.+?)(?:@(?P<revision>.+?))?(?:\+(?P<file>.+\.(?:safetensors|sft)))?", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class ModelReference(StrictSettings):
    """A model on the Hugging Face Hub, in a folder of the same layout, or a base in one file.

    A base's denoiser may come from a file of its own, as people share transformers.
    """

    model: str = setting(
        identity=False,
        min_length=1,
        help="A folder, relative to the project, or a Hub id such as org/name. A base may also be "
        "a single .safetensors file of Stable Diffusion 1.x, 2.x, XL or 3.x.",
    )
    revision: str | None = setting(
        None,
        identity=False,
        help="Commit, tag or branch on the Hub; required for a Hub id, refused for a folder.",
    )
    variant: str | None = setting(
        None,
        identity=False,
        pattern=r"^[A-Za-z0-9_]+$",
        help="Variant of the weights, such as fp16, where files named so are to be read.",
    )
    denoiser: str | None = setting(
        None,
        identity=False,
        min_length=1,
        help="A base: a .safetensors file, relative to the project, whose UNet or transformer "
        "replaces the base's own, which is not fetched then. Named as in ComfyUI's files or in "
        "diffusers; of a file with a whole model the rest is not read.",
    )
    config: str | None = setting(
        None,
        identity=False,
        min_length=1,
        help="For a single file, what it is where it does not show it: stable-diffusion-v1, "
        "stable-diffusion-v2-512, stable-diffusion-v2-768-v, stable-diffusion-xl-v1-base, "
        "stable-diffusion-v3-medium, stable-diffusion-v3.5-medium, stable-diffusion-v3.5-large, or "
        "a folder in diffusers' layout whose configurations and tokenizers fit it.",
    )

    @property
    def parts(self) -> tuple[str, ...]:
        """Subfolders and files of the model that are read; ``""`` is all of it."""
        return ("",)

    @property
    def is_pinned(self) -> bool:
        """Whether a revision alone decides the content, and no file of the project."""
        return self.revision is not None and self.denoiser is None


@dataclass(frozen=True)
class ResolvedModel:
    """A model's local folder and the version of its content.

    Attributes:
        reference: As the style file names it.
        folder: Where its files are, those of a variant by their plain names.
        version: sha256 over the files that are read.
    """

    reference: ModelReference
    folder: Path
    version: str

    def as_input(self, name: str) -> Input:
        """Return the model as a build's input called ``name``."""
        revision = f"@{self.reference.revision}" if self.reference.revision else ""
        file = f"+{self.reference.denoiser}" if self.reference.denoiser else ""
        partition = f"{self.reference.model}{revision}{file}"
        return Input(name=name, partition=partition, version=self.version)


def named_in(partition: str, project: Path) -> tuple[str, str, str]:
    """Return model, revision and denoiser of a build's input; empty what it does not name.

    Args:
        partition: As :meth:`ResolvedModel.as_input` writes it.
        project: What paths in it are relative to.
    """
    if (project / partition).exists():  # A path may contain what parts the three.
        return partition, "", ""
    named = _NAMED.fullmatch(partition)
    if named is None:
        return partition, "", ""
    return named["model"], named["revision"] or "", named["file"] or ""


def resolve_model(
    reference: ModelReference,
    *,
    project: Path,
    items: Items,
    parts: Sequence[str] = ("",),
    fetch: bool = True,
) -> ResolvedModel:
    """Return where a model's files are and the version of their content.

    Of a model on the Hub, only the files that are read are downloaded: configurations and
    tokenizers of the parts, and one set of weights of each.

    Args:
        reference: Hub id with a revision, a folder, or a single file.
        project: Folder that relative folders are relative to.
        items: Caches digests by path, size and time, so that gigabytes are read once.
        parts: Subfolders to read; ``""`` is the model's own folder with all in it.
        fetch: Whether the Hub may be asked; otherwise its cache alone counts.

    Raises:
        ModelNotFetchedError: If a file is not in the Hub's cache, and the Hub is not to be asked.
        ModelError: If there is neither a folder nor a Hub repository of that name, or its weights
            cannot be read; the message includes the remedy.
    """
    folder = _local_folder(reference, project)
    listing = (
        hub_listing(*_on_hub(reference), fetch=fetch)
        if folder is None
        else Listing.of_folder(folder)
    )
    replaced = _replaced_part(reference, listing)
    files = files_read(listing, parts, variant=reference.variant, without=replaced)
    if not files:
        raise ModelError(f"model {reference.model!r}: {listing.where} holds no files of a model")
    if folder is None and not fetch:
        folder = cached_folder(*_on_hub(reference), files)
    descriptions = _descriptions(listing)
    folder = folder or hub_folder(*_on_hub(reference), [*files, *descriptions])
    paths = {plain_name: folder / name for name, plain_name in files.items()}
    is_linked = reference.variant is not None
    if replaced is not None and f"{replaced}/{CONFIG_FILE}" in paths:
        denoiser = denoiser_folder(project / str(reference.denoiser), folder / replaced)
        paths[f"{replaced}/{WEIGHTS_FILE}"] = denoiser / WEIGHTS_FILE
        is_linked = True
    version = content_version({name: _digest(path, items) for name, path in paths.items()})
    if is_linked:
        described = {name: folder / name for name in descriptions}
        paths |= {name: path for name, path in described.items() if path.is_file()}
        folder = linked_folder(paths, version)
    return ResolvedModel(reference, folder, version)


def _descriptions(listing: Listing) -> list[str]:
    """Return the files that tell what a pipeline's parts are, whichever of them are read.

    A base is asked for the shape of its latents also where its autoencoder is not read.
    """
    return sorted(name for name in listing.names if _DESCRIPTION.fullmatch(name))


def configuration_folder(reference: ModelReference, *, project: Path) -> Path:
    """Return a folder with a model's configurations and tokenizers, with or without its weights.

    Raises:
        ModelError: If neither a folder nor a Hub repository of that name is available.
    """
    from huggingface_hub.utils import filter_repo_objects

    folder = _local_folder(reference, project)
    if folder is None:
        names = filter_repo_objects(
            hub_listing(*_on_hub(reference)).names, allow_patterns=_CONFIGURATIONS
        )
        folder = hub_folder(*_on_hub(reference), list(names))
    return folder


def index_folder(reference: ModelReference, *, project: Path, fetch: bool = True) -> Path:
    """Return a folder with a pipeline's index, whether or not anything else of it is there.

    Raises:
        ModelNotFetchedError: If it is not in the Hub's cache, and the Hub is not to be asked.
        ModelError: If neither a folder nor a Hub repository of that name is available.
    """
    folder = _local_folder(reference, project)
    if folder is None and not fetch:
        folder = cached_folder(*_on_hub(reference), [PIPELINE_FILE])
    return folder or hub_file(*_on_hub(reference), PIPELINE_FILE).parent


def denoiser_version(path: Path, items: Items) -> str:
    """Return the sha256 of a file that replaces a base's denoiser.

    Raises:
        ModelError: If it is missing, or no denoiser by its header.
    """
    check_denoiser_file(path)
    return _digest(path, items)


def check_model(
    reference: ModelReference, *, project: Path, parts: Sequence[str] = ("",), values: bool = False
) -> None:
    """Check that a model's weights can be read; of one on the Hub, by its list of files alone.

    Args:
        reference: Hub id with a revision, a folder, or a single file.
        project: Folder that relative folders are relative to.
        parts: Subfolders that are read; ``""`` is the model's own folder with all in it.
        values: Whether the weights of a folder are all read and searched for NaN and infinity.

    Raises:
        ModelError: One line for each fault, with the file or tensor and what to do.
    """
    folder = _local_folder(reference, project)
    listing = hub_listing(*_on_hub(reference)) if folder is None else Listing.of_folder(folder)
    replaced = _replaced_part(reference, listing)
    if replaced is not None:
        config = f"{replaced}/{CONFIG_FILE}"
        path = hub_file(*_on_hub(reference), config) if folder is None else folder / config
        denoiser = project / str(reference.denoiser)
        check_denoiser(denoiser, path.parent)
        if _SCHEDULER in listing.names:
            path = (
                hub_file(*_on_hub(reference), _SCHEDULER) if folder is None else folder / _SCHEDULER
            )
            check_denoiser_training(denoiser, path)
    if folder is not None:
        check_weights(folder, parts, variant=reference.variant, values=values, without=replaced)
    files_read(listing, parts, variant=reference.variant, without=replaced)


def _replaced_part(reference: ModelReference, listing: Listing) -> str | None:
    """Return the folder of the denoiser that a file replaces; ``None`` if there is no such file."""
    if reference.denoiser is None:
        return None
    part = denoiser_part(listing)
    if part is None:
        raise ModelError(
            f"{listing.where} has no denoiser that {reference.denoiser!r} could replace: name a "
            "base in diffusers' layout, or remove denoiser"
        )
    return part


def _local_folder(reference: ModelReference, project: Path) -> Path | None:
    """Return a model's folder, that of a single file converted; ``None`` if it is on the Hub."""
    path = project / reference.model
    is_file = path.is_file()
    refused = {"config": None if is_file else reference.config}
    if path.exists():
        refused["revision"] = reference.revision
    if is_file:
        refused |= {"variant": reference.variant, "denoiser": reference.denoiser}
    elif reference.denoiser is not None:
        check_denoiser_file(project / reference.denoiser)
    for name, value in refused.items():
        if value is not None:
            kind = "a single file" if is_file else "a folder" if path.exists() else "on the Hub"
            raise ModelError(
                f"model {reference.model!r} is {kind}, which has no {name}: remove {name} {value!r}"
            )
    if is_file:
        return single_file_folder(path, config=reference.config, project=project)
    return path if path.exists() else None


def _on_hub(reference: ModelReference) -> tuple[str, str]:
    """Return the id and revision of a model that is no folder or file."""
    if reference.revision is None or reference.model.count("/") != 1:
        raise ModelError(
            f"model {reference.model!r} is no folder or file of the project; name an existing one "
            "(data/starter comes with styledag's repository), or a Hub id with its revision"
        )
    return reference.model, reference.revision


def _digest(path: Path, items: Items) -> str:
    stat = path.stat()
    key = item_key(path=str(path), size=stat.st_size, mtime_ns=stat.st_mtime_ns)
    known: Any = items.get_json("file_digests", key)
    if isinstance(known, str) and len(known) == hashlib.sha256().digest_size * 2:
        return known
    digest = file_digest(path)
    items.put_json("file_digests", key, digest)
    return digest
