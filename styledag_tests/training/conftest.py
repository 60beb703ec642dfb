"""A base smaller still than the starter, images, and an encoded dataset of them."""

import hashlib
import io
import shutil
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
from styledag.training.encoding.encode import EncodeSample, encode_dataset
from styledag_tests.bases.loading import write_index

SIZE_PX = 16
TEXT_WIDTH = 32
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


@pytest.fixture(scope="session")
def base(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter's tokenizer with models of a few thousand weights."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("base")
    write_index(folder)
    shutil.copytree(starter / "stable-diffusion" / "tokenizer", folder / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    text_config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    ).save_pretrained(folder / "scheduler")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        CLIPTextModel(text_config).save_pretrained(folder / "text_encoder")
        AutoencoderKL(
            sample_size=SIZE_PX,
            latent_channels=4,
            block_out_channels=(8, 16),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
            scaling_factor=0.5,
        ).save_pretrained(folder / "vae")
        UNet2DConditionModel(
            sample_size=SIZE_PX // 2,
            block_out_channels=(16, 32),
            layers_per_block=1,
            norm_num_groups=8,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=4,
            cross_attention_dim=TEXT_WIDTH,
        ).save_pretrained(folder / "unet")
    return folder


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
