"""A UNet as its difference to the base: the same file bit for bit again, in fewer bytes.

The container is a safetensors file with one tensor of bytes for each of the UNet's, and in its
header the digest of the base, that of the whole file, and that file's own header. So nothing of
it is a pickle, and the file that comes back is byte for byte the one that was written.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from styledag.errors import ModelError
from styledag.tensors.delta_coding import decode_difference, encode_difference
from styledag.tensors.file import TensorReader, TensorSpec, TensorWriter, specs_in_header
from styledag.training.disk import write_errors
from styledag.training.snapshots.write import UNET_FILE

DELTA_FILE = "diffusion_pytorch_model.delta.safetensors"
FORMAT = "styledag.delta.1"
_CONFIG = "config.json"
_HALVES = (torch.float16, torch.bfloat16)
_LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, little-endian."""
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


def write_delta(tuned: Path, base: Path, folder: Path) -> StoredBytes:
    """Write a UNet as its difference to the base; the folder appears at once.

    One tensor is in memory at a time. Tensors that were not trained take a few bytes each. The
    bytes follow from the two UNets and the version of zstd.

    Args:
        tuned: Folder of the UNet in diffusers' layout, in float16 or bfloat16.
        base: Folder of the base's UNet, in any dtype: it is first rounded to the other's.
        folder: Where ``config.json`` and the difference go; replaced if it is there.

    Raises:
        ModelError: If one of the two cannot be read, or the base lacks a tensor or has it in
            another shape; the message names the tensor.
        StorageError: If the disk is full or cannot be written.
    """
    with (
        _appearing(folder) as partial,
        TensorReader(tuned / UNET_FILE) as tuned_tensors,
        TensorReader(base / UNET_FILE) as base_tensors,
    ):
        whole = hashlib.sha256(tuned_tensors.header)
        base_digest = hashlib.sha256()
        frames = []
        data = partial / "frames"
        with data.open("wb") as file:
            for spec in specs_in_header(tuned_tensors.header):
                ours = tuned_tensors.read(spec.name, 0, spec.numel)
                theirs = _base_numbers(base_tensors, spec, base_digest)
                whole.update(_bytes(ours))
                frame = encode_difference(ours, theirs)
                frames.append(TensorSpec(spec.name, torch.uint8, (len(frame),)))
                file.write(frame)
        metadata = {
            "format": FORMAT,
            "styledag.base_sha256": base_digest.hexdigest(),
            "styledag.full_sha256": whole.hexdigest(),
            "styledag.full_header": tuned_tensors.header[_LENGTH_BYTES:].decode(),
        }
        with (partial / DELTA_FILE).open("wb") as file, data.open("rb") as compressed:
            TensorWriter(file, frames, metadata)
            shutil.copyfileobj(compressed, file, _COPY_BYTES)
            stored = file.tell()
        data.unlink()
        shutil.copyfile(tuned / _CONFIG, partial / _CONFIG)
    return StoredBytes(stored=stored, full=(tuned / UNET_FILE).stat().st_size)


def restore_delta(delta: Path, base: Path, folder: Path) -> None:
    """Write the UNet that a difference was made of; the folder appears at once, or not at all.

    Args:
        delta: What :func:`write_delta` wrote.
        base: Folder of the same base's UNet, in whatever dtype it is kept.
        folder: Where the UNet goes in diffusers' layout; replaced if it is there.

    Raises:
        ModelError: If the base is another, a tensor is missing, or something is damaged; the
            message says which.
        StorageError: If the disk is full or cannot be written.
    """
    with (
        _appearing(folder) as partial,
        TensorReader(delta / DELTA_FILE) as differences,
        TensorReader(base / UNET_FILE) as base_tensors,
    ):
        header = _full_header(differences)
        whole, base_digest = hashlib.sha256(header), hashlib.sha256()
        with (partial / UNET_FILE).open("wb") as file:
            file.write(header)
            for spec in specs_in_header(header):
                theirs = _base_numbers(base_tensors, spec, base_digest)
                numbers = _bytes(_restored(differences, spec, theirs))
                whole.update(numbers)
                file.write(numbers)
        _check(differences, "styledag.base_sha256", base_digest.hexdigest(), _WRONG_BASE, base)
        _check(differences, "styledag.full_sha256", whole.hexdigest(), _DAMAGED, base)
        shutil.copyfile(delta / _CONFIG, partial / _CONFIG)


_WRONG_BASE = (
    "{delta} is a difference to another base than {base}: its numbers have the digest {found}, "
    "expected {expected}; name the base that the checkpoint was trained from"
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


def _full_header(differences: TensorReader) -> bytes:
    found = differences.metadata.get("format")
    if found != FORMAT:
        raise ModelError(
            f"{differences.path} has the format {found!r}, but this version of styledag reads "
            f"{FORMAT!r} only"
        )
    try:
        content = differences.metadata["styledag.full_header"].encode()
        header = len(content).to_bytes(_LENGTH_BYTES, "little") + content
        specs_in_header(header)
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ModelError(
            f"{differences.path} is damaged: it does not say which tensors it restores ({exc}); "
            "materialise the checkpoint's model again"
        ) from exc
    return header


def _restored(differences: TensorReader, spec: TensorSpec, base: Tensor) -> Tensor:
    if spec.name not in differences.specs:
        raise ModelError(
            f"{differences.path} lacks tensor {spec.name!r}: materialise the checkpoint's model "
            "again"
        )
    frame = differences.read(spec.name, 0, differences.specs[spec.name].numel)
    try:
        return decode_difference(bytes(_bytes(frame)), base)
    except ValueError as exc:
        raise ModelError(
            f"{differences.path}: tensor {spec.name!r} is damaged ({exc}); materialise the "
            "checkpoint's model again"
        ) from exc


def _base_numbers(base: TensorReader, spec: TensorSpec, digest: "hashlib._Hash") -> Tensor:
    """Return the base's numbers of a tensor, rounded as a snapshot's are; the digest sees them."""
    if spec.dtype not in _HALVES:
        raise ModelError(
            f"tensor {spec.name!r} is {spec.dtype}, but a difference is taken of float16 or "
            "bfloat16 alone"
        )
    found = base.specs.get(spec.name)
    if found is None or found.shape != spec.shape:
        has = "is missing" if found is None else f"is {list(found.shape)}"
        raise ModelError(
            f"tensor {spec.name!r} {has} in {base.path}, but is {list(spec.shape)} in the "
            "checkpoint; name the base that it was trained from"
        )
    numbers = base.read(spec.name, 0, spec.numel).to(spec.dtype)
    digest.update(spec.name.encode())
    digest.update(_bytes(numbers))
    return numbers


def _bytes(numbers: Tensor) -> memoryview:
    return numbers.view(torch.uint8).numpy().data


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Lend a folder beside the final one, which takes its place when the block ends well."""
    partial = folder.with_name(f"{folder.name}.partial")
    with write_errors(folder):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            yield partial
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
