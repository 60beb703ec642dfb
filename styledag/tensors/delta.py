"""A UNet as its difference to the base: the same file bit for bit again, in fewer bytes.

The container is a safetensors file with one tensor of bytes for each of the UNet's, and in its
header the digest of the base, that of the whole file, and that file's own header. So nothing of
it is a pickle, and the file that comes back is byte for byte the one that was written.

Of a UNet that low-rank adapters were folded into, the difference is to the base with the same
adapters added, and almost nothing is left of it: see :mod:`styledag.tensors.adapted`.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from styledag.errors import ModelError
from styledag.store.files import replaced_folder, storage_errors
from styledag.tensors.adapted import AdaptedTensors
from styledag.tensors.delta_coding import decode_difference, encode_difference
from styledag.tensors.header import header_bytes, header_from_json, header_json, specs_in_json
from styledag.tensors.layout import CONFIG_FILE, WEIGHTS_FILE
from styledag.tensors.reader import TensorReader, TensorSpec, open_tensors
from styledag.tensors.writer import writing

DELTA_FILE = "diffusion_pytorch_model.delta.safetensors"
FORMAT = "styledag.delta.1"
_HALVES = (torch.float16, torch.bfloat16)
_ADAPTERS = "styledag.adapters"
_FRAMES = "frames"
_COPY_BYTES = 1 << 22


@dataclass(frozen=True)
class StoredBytes:
    """How many bytes the weights of one UNet take, or those of several together.

    Attributes:
        stored: As they are stored.
        full: As a whole safetensors file.
    """

    stored: int
    full: int

    def __add__(self, other: "StoredBytes") -> "StoredBytes":
        return StoredBytes(self.stored + other.stored, self.full + other.full)


def write_delta(
    tuned: Path, base: Path, folder: Path, *, adapters: Path | None = None
) -> StoredBytes:
    """Write a UNet as its difference to the base; the folder appears at once.

    One tensor is in memory at a time. Tensors that were not trained take a few bytes each. The
    bytes follow from what is read and the version of zstd.

    Args:
        tuned: Folder of the UNet in diffusers' layout, in float16 or bfloat16.
        base: Folder of the base's UNet, in any dtype: it is first rounded to the other's.
        folder: Where ``config.json`` and the difference go; replaced if it is there.
        adapters: Low-rank adapters that the UNet was made with, as diffusers names them. They do
            not have to give it exactly, and are needed to restore it.

    Raises:
        ModelError: If one of them cannot be read, or the base lacks a tensor or has it in
            another shape; the message names the tensor.
        StorageError: If the disk is full or cannot be written.
    """
    header = header_from_json(header_json(tuned / WEIGHTS_FILE))
    whole, base_digest = hashlib.sha256(header), hashlib.sha256()
    frames = []
    with (
        replaced_folder(folder) as partial,
        open_tensors(tuned / WEIGHTS_FILE) as tuned_tensors,
        _opened(base, adapters) as base_tensors,
    ):
        with writing(partial / _FRAMES) as compressed:
            for spec in tuned_tensors.specs.values():
                ours = tuned_tensors.read(spec.name).flatten()
                theirs = _base_elements(base_tensors, spec, base_digest)
                whole.update(_bytes(ours))
                frame = encode_difference(ours, theirs)
                frames.append(TensorSpec(spec.name, torch.uint8, (len(frame),)))
                compressed.write(frame)
        metadata = {
            "format": FORMAT,
            "styledag.base_sha256": base_digest.hexdigest(),
            "styledag.full_sha256": whole.hexdigest(),
            "styledag.full_header": header_json(tuned / WEIGHTS_FILE).decode(),
        }
        if adapters is not None:
            metadata[_ADAPTERS] = adapters.name
        with writing(partial / DELTA_FILE) as file, storage_errors(str(partial)):
            file.write(header_bytes(frames, metadata))
            with (partial / _FRAMES).open("rb") as compressed_file:
                while chunk := compressed_file.read(_COPY_BYTES):
                    file.write(chunk)
            (partial / _FRAMES).unlink()
            shutil.copyfile(tuned / CONFIG_FILE, partial / CONFIG_FILE)
    return StoredBytes(
        stored=(folder / DELTA_FILE).stat().st_size, full=(tuned / WEIGHTS_FILE).stat().st_size
    )


def restore_delta(delta: Path, base: Path, folder: Path, *, adapters: Path | None = None) -> None:
    """Write the UNet that a difference was made of; the folder appears at once, or not at all.

    Args:
        delta: What :func:`write_delta` wrote.
        base: Folder of the same base's UNet, in whatever dtype it is kept.
        folder: Where the UNet goes in diffusers' layout; replaced if it is there.
        adapters: Those that :func:`write_delta` was given; not read if it was given none.

    Raises:
        ModelError: If the base is another, a tensor is missing, or something is damaged; the
            message says which.
        StorageError: If the disk is full or cannot be written.
    """
    with (
        replaced_folder(folder) as partial,
        open_tensors(delta / DELTA_FILE) as differences,
        _opened(base, adapters if _ADAPTERS in differences.metadata else None) as base_tensors,
    ):
        header, specs = _full_header(differences)
        whole, base_digest = hashlib.sha256(header), hashlib.sha256()
        with writing(partial / WEIGHTS_FILE) as file:
            file.write(header)
            for spec in specs:
                theirs = _base_elements(base_tensors, spec, base_digest)
                elements = _bytes(_restored(differences, spec, theirs))
                whole.update(elements)
                file.write(elements)
        _check(differences, "styledag.base_sha256", base_digest.hexdigest(), _WRONG_BASE, base)
        _check(differences, "styledag.full_sha256", whole.hexdigest(), _DAMAGED, base)
        with storage_errors(str(folder)):
            shutil.copyfile(delta / CONFIG_FILE, partial / CONFIG_FILE)


_WRONG_BASE = (
    "{delta} is a difference to another base than {base}, or to it with other adapters: its "
    "elements have the digest {found}, expected {expected}; name the base that the checkpoint was "
    "trained from"
)
_DAMAGED = (
    "{delta} is damaged: what it restores has the digest {found}, expected {expected}; "
    "materialise the checkpoint's model again"
)


def _check(differences: TensorReader, name: str, found: str, message: str, base: Path) -> None:
    expected = differences.metadata.get(name, "none")
    if found != expected:
        raise ModelError(
            message.format(
                delta=differences.path, base=base, found=found[:12], expected=expected[:12]
            )
        )


def _full_header(differences: TensorReader) -> tuple[bytes, list[TensorSpec]]:
    found = differences.metadata.get("format")
    if found != FORMAT:
        raise ModelError(
            f"{differences.path} has the format {found!r}, but this version of styledag reads "
            f"{FORMAT!r} only"
        )
    try:
        content = differences.metadata["styledag.full_header"].encode()
        return header_from_json(content), specs_in_json(content)
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ModelError(
            f"{differences.path} is damaged: it does not list the tensors that it restores "
            f"({exc}); materialise the checkpoint's model again"
        ) from exc


def _restored(differences: TensorReader, spec: TensorSpec, base: Tensor) -> Tensor:
    if spec.name not in differences.specs:
        raise ModelError(
            f"{differences.path} lacks tensor {spec.name!r}: materialise the checkpoint's model "
            "again"
        )
    try:
        return decode_difference(bytes(_bytes(differences.read(spec.name))), base)
    except ValueError as exc:
        raise ModelError(
            f"{differences.path}: tensor {spec.name!r} is damaged ({exc}); materialise the "
            "checkpoint's model again"
        ) from exc


@contextmanager
def _opened(base: Path, adapters: Path | None) -> Iterator[AdaptedTensors]:
    """Yield the weights of a base, with adapters added where there are any."""
    with ExitStack() as opened:
        yield AdaptedTensors(
            opened.enter_context(open_tensors(base)),
            None if adapters is None else opened.enter_context(open_tensors(adapters)),
        )


def _base_elements(base: AdaptedTensors, spec: TensorSpec, digest: "hashlib._Hash") -> Tensor:
    """Return the base's elements of a tensor, rounded as a snapshot's are; the digest gets them."""
    if spec.dtype not in _HALVES:
        raise ModelError(
            f"tensor {spec.name!r} is {spec.dtype}, but a difference is taken of float16 or "
            "bfloat16 alone"
        )
    found = base.plain.specs.get(spec.name)
    if found is None or found.shape != spec.shape:
        has = "is missing" if found is None else f"is {list(found.shape)}"
        raise ModelError(
            f"tensor {spec.name!r} {has} in {base.plain.path}, but is {list(spec.shape)} in the "
            "checkpoint; name the base that it was trained from"
        )
    elements = base.rounded(spec)
    digest.update(spec.name.encode())
    digest.update(_bytes(elements))
    return elements


def _bytes(elements: Tensor) -> memoryview:
    return elements.view(torch.uint8).numpy().data
