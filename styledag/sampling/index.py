"""Which file shows which prompt, seed, epoch: the index beside images and GIFs."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from styledag.errors import StorageError

SAMPLES = "samples.json"
FRAMES = "frames.json"
GIFS = "gifs.json"
SWEPT = "swept.json"

_SLUG_CHARACTERS = 40

Pair = tuple[str, int]
"""A prompt and a seed."""


@dataclass(frozen=True, kw_only=True)
class SampleFile:
    """One image's file, relative to its index."""

    prompt: str
    seed: int
    file: str


@dataclass(frozen=True, kw_only=True)
class FrameFile:
    """One image of an evolution; epoch 0 is the base."""

    epoch: int
    prompt: str
    seed: int
    file: str


@dataclass(frozen=True, kw_only=True)
class SweptFile:
    """One image of a sweep, by the weight of the blend that drew it."""

    weight: float
    prompt: str
    seed: int
    file: str


@dataclass(frozen=True, kw_only=True)
class GifFile:
    """One GIF; without a seed it shows all seeds side by side."""

    prompt: str
    seed: int | None
    file: str


def prompt_folders(prompts: Sequence[str]) -> Mapping[str, str]:
    """Return a folder's name for each prompt: its words, and its place for uniqueness."""
    return {prompt: f"{_slug(prompt)}-{place:02d}" for place, prompt in enumerate(prompts, start=1)}


def write_index(
    path: Path, entries: Sequence[SampleFile | FrameFile | SweptFile | GifFile], **about: Any
) -> None:
    """Write files with what they show.

    Args:
        path: JSON file to write.
        entries: The files.
        **about: JSON values that hold for all of them.
    """
    content = {**about, "files": [asdict(entry) for entry in entries]}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_samples(folder: Path) -> Mapping[Pair, Path]:
    """Return the images of a sample grid by prompt and seed.

    Raises:
        StorageError: If the folder holds no index of samples.
    """
    return {
        (entry["prompt"], entry["seed"]): folder / entry["file"]
        for entry in _entries(folder / SAMPLES)
    }


def read_frames(folder: Path) -> Mapping[int, Mapping[Pair, Path]]:
    """Return the images of an evolution by epoch, prompt and seed; epoch 0 is the base.

    Raises:
        StorageError: If the folder holds no index of frames.
    """
    return _by(folder, FRAMES, "epoch")


def read_swept(folder: Path) -> Mapping[float, Mapping[Pair, Path]]:
    """Return the images of a sweep by weight, prompt and seed.

    Raises:
        StorageError: If the folder holds no index of a sweep.
    """
    return _by(folder, SWEPT, "weight")


def read_gifs(folder: Path) -> Mapping[tuple[str, int | None], Path]:
    """Return GIFs by prompt and seed; seed ``None`` is the one with all seeds side by side.

    Raises:
        StorageError: If the folder holds no index of GIFs.
    """
    return {
        (entry["prompt"], entry["seed"]): folder / entry["file"]
        for entry in _entries(folder / GIFS)
    }


def _by(folder: Path, index: str, name: str) -> dict[Any, dict[Pair, Path]]:
    images: dict[Any, dict[Pair, Path]] = {}
    for entry in _entries(folder / index):
        by_pair = images.setdefault(entry[name], {})
        by_pair[entry["prompt"], entry["seed"]] = folder / entry["file"]
    return images


def _entries(path: Path) -> Sequence[Mapping[str, Any]]:
    try:
        entries: Sequence[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError) as exc:
        raise StorageError(f"{path} is no index of images: make them anew") from exc
    return entries


def _slug(prompt: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", prompt.lower())[:_SLUG_CHARACTERS].strip("-")
    return words or "prompt"
