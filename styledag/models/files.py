"""Which files of a model are read: the parts that are asked for, and one set of weights of each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from styledag.errors import ModelError
from styledag.tensors.layout import CONFIG_FILE, WeightFiles, choose_weights, is_weights, variants

PIPELINE_FILE = "model_index.json"
"""Names the parts of a pipeline of diffusers, each in a folder of its own."""
SMALL_FILES = (".json", ".jinja", ".txt", ".model")
"""Ends of the names of configurations and of tokenizers' files; cards and logs are not read."""


@dataclass(frozen=True)
class Listing:
    """The files of a model, in a folder or on the Hub.

    Attributes:
        names: POSIX paths below the model's own folder.
        where: The folder or Hub id, for errors.
        read: Returns the content of a small file by its path.
    """

    names: frozenset[str]
    where: str
    read: Callable[[str], bytes]

    @classmethod
    def of_folder(cls, folder: Path) -> "Listing":
        """Return the files below a folder, without hidden ones."""
        paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return cls.of_names(
            (path.as_posix() for path in paths),
            str(folder),
            lambda name: (folder / name).read_bytes(),
        )

    @classmethod
    def of_names(cls, names: Iterable[str], where: str, read: Callable[[str], bytes]) -> "Listing":
        """Return the files of these names, without hidden ones."""
        seen = {name for name in names if not any(each[0] == "." for each in name.split("/"))}
        return cls(frozenset(seen), where, read)

    def inside(self, part: str) -> set[str]:
        """Return the paths below a part; all of them below ``""``."""
        return {name for name in self.names if not part or name.startswith(f"{part}/")}

    def beside(self, part: str) -> set[str]:
        """Return the names of the files that lie directly in a part's folder."""
        prefix = f"{part}/" if part else ""
        names = (name.removeprefix(prefix) for name in self.inside(part))
        return {name for name in names if "/" not in name}


def files_read(
    listing: Listing,
    parts: Sequence[str],
    *,
    variant: str | None = None,
    without: str | None = None,
) -> dict[str, str]:
    """Return the files that make up some parts of a model, each with its name without a variant.

    Weights in other formats, of other variants, or in a single file beside a pipeline are left
    out. A part that has no weights of the variant is read without one, as diffusers reads it.

    Args:
        listing: All files of the model.
        parts: Folders of a pipeline's parts, or single files; ``""`` for all of a model or
            pipeline.
        variant: Such as ``fp16``.
        without: Folder whose weights are not read.

    Raises:
        ModelError: If a part is not there or its weights cannot be read; see
            :func:`~styledag.tensors.layout.choose_weights`.
    """
    if variant is not None and not _parts_with(listing, variant):
        raise ModelError(
            f"{listing.where} has no safetensors of variant {variant!r}: remove variant, or name "
            "a model that has them"
        )
    found: dict[str, str] = {}
    for part in parts:
        if part in listing.names:
            found[part] = part
            continue
        inside = listing.inside(part)
        if part and not inside:
            there = ", ".join(sorted({name.split("/")[0] for name in listing.names if "/" in name}))
            kind = "file" if is_weights(part) else "folder"
            raise ModelError(
                f"{listing.where} has no {kind} {part!r} (there: {there or 'no folders'}): name a "
                "model in diffusers' layout"
            )
        small = (name for name in inside if name.endswith(SMALL_FILES))
        found |= {name: name for name in small if not is_weights(name)}
        for folder in model_folders(listing, part):
            if folder == without:
                continue
            weights = part_weights(listing, folder, variant=variant)
            prefix = f"{folder}/" if folder else ""
            found |= {prefix + name: prefix + name for name in weights.all_names}
            found[prefix + (weights.index or weights.files[0])] = prefix + weights.plain_name
    return found


def model_folders(listing: Listing, part: str) -> list[str]:
    """Return the folders of a part that need weights: those of models, not of tokenizers.

    Args:
        listing: All files of the model.
        part: A part's folder; ``""`` for all parts of a pipeline, or for a model by itself.
    """
    if part or PIPELINE_FILE not in listing.names:
        folders = [part]
    else:
        folders = sorted({name.split("/")[0] for name in listing.names if "/" in name})
    return [
        folder
        for folder in folders
        if CONFIG_FILE in listing.beside(folder)
        and not PurePosixPath(folder).name.startswith("tokenizer")
    ]


def part_weights(listing: Listing, folder: str, *, variant: str | None = None) -> WeightFiles:
    """Return the weights in one folder of a model, of the variant where the folder has it.

    Raises:
        ModelError: As :func:`~styledag.tensors.layout.choose_weights`.
    """
    prefix = f"{folder}/" if folder else ""
    names = listing.beside(folder)
    return choose_weights(
        names,
        f"{listing.where}/{folder}".rstrip("/"),
        read_index=lambda name: listing.read(prefix + name),
        variant=variant if variant in variants(names) else None,
    )


def _parts_with(listing: Listing, variant: str) -> list[str]:
    folders = {name.rpartition("/")[0] for name in listing.names}
    return [folder for folder in folders if variant in variants(listing.beside(folder))]


def denoiser_part(listing: Listing) -> str | None:
    """Return the folder of a base's denoiser, by its usual names; ``None`` if it has none."""
    parts = ("transformer", "unet")
    return next((part for part in parts if f"{part}/{CONFIG_FILE}" in listing.names), None)


def assets_folder(kind: str, key: str) -> Path:
    """Return a folder in the assets of the Hub's cache, made if it is not there.

    Args:
        kind: What it holds.
        key: Its name.

    Raises:
        StorageError: If it cannot be made.
    """
    from huggingface_hub import cached_assets_path, constants

    from styledag.store.files import storage_errors

    cache = constants.HF_ASSETS_CACHE
    where = f"the Hub's cache, {cache} (HF_HOME names another)"
    with storage_errors(where):
        try:
            folder: Path = cached_assets_path(
                "styledag", namespace=kind, subfolder=key, assets_dir=cache
            )
        except ValueError as exc:  # a file lies in its place
            raise NotADirectoryError(str(exc)) from exc
    return folder


def linked_folder(files: Mapping[str, Path], version: str) -> Path:
    """Return a folder of links in which all files of a model have their plain names.

    So no reader of a model needs to know of variants, or of a denoiser from elsewhere. It lies in
    the assets of the Hub's cache.

    Args:
        files: Files by the path of their link.
        version: Version of these files, which names the folder of links.

    Raises:
        StorageError: If the links cannot be made.
    """
    from styledag.store.files import storage_errors

    view = assets_folder("models", version)
    with storage_errors(str(view)):
        for name, path in files.items():
            link, target = view / name, path.resolve()
            if link.is_symlink() and link.resolve() == target:
                continue
            link.parent.mkdir(parents=True, exist_ok=True)
            partial = link.with_name(f"{link.name}.partial")
            partial.unlink(missing_ok=True)
            partial.symlink_to(target)
            partial.replace(link)
    return view
