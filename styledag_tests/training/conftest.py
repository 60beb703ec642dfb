"""Images of the tiny base's size, and an encoded dataset of them."""

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from styledag.models.compute import Compute
from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag.training.encoding.dataset import EncodedDataset
from styledag.training.encoding.encode import encode_dataset
from styledag.training.encoding.samples import EncodeSample
from styledag_tests.tiny_base import SIZE_PX

CPU = Compute(torch.device("cpu"), torch.float32)

Encode = Callable[..., EncodedDataset]


def image(seed: int, *, size_px: int = SIZE_PX) -> bytes:
    """Return a JPEG of coloured blocks."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.randint(0, 256, (4, 4, 3), generator=generator, dtype=torch.uint8)
    image = Image.fromarray(blocks.numpy()).resize((size_px, size_px), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=95)
    return file.getvalue()


def make_samples(store: Store, count: int, *, validation: int = 0) -> list[EncodeSample]:
    """Store images and return them as samples; the last ones are held out."""
    samples = []
    for number in range(count):
        sha256 = store.blobs.put(image(number))
        samples.append(
            EncodeSample(
                id=hashlib.sha256(f"sample {number}".encode()).hexdigest(),
                caption=f"a drawing of thing {number % 3}",
                split="validation" if number >= count - validation else "train",
                name=f"image-{number}.jpg",
                image_sha256=sha256,
            )
        )
    return samples


def ragged_samples(store: Store, counts: Mapping[tuple[int, int], int]) -> list[EncodeSample]:
    """Return so many samples of each width and height."""
    sizes = [size for size, count in counts.items() for _ in range(count)]
    samples = []
    for number, (sample, size) in enumerate(
        zip(make_samples(store, len(sizes)), sizes, strict=True)
    ):
        with Image.open(io.BytesIO(image(number, size_px=32))) as opened:
            file = io.BytesIO()
            opened.resize(size).save(file, format="JPEG", quality=95)
        samples.append(replace(sample, image_sha256=store.blobs.put(file.getvalue())))
    return samples


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def encode(base: Path, store: Store, workspace: Workspace) -> Encode:
    """Encode so many images, some held out, and open the result."""

    def encoded(count: int, *, validation: int = 0, flip: bool = True) -> EncodedDataset:
        samples = make_samples(store, count, validation=validation)
        encode_samples(samples, base, workspace, flip=flip)
        return EncodedDataset.open(workspace.folder)

    return encoded


def encode_samples(
    samples: Sequence[EncodeSample], base: Path, workspace: Workspace, *, flip: bool = True
) -> None:
    """Encode with the fixtures' base."""
    encode_dataset(
        samples, base, base_version="base-1", compute=CPU, workspace=workspace, flip=flip
    )
