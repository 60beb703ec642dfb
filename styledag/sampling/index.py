"""Which file shows which prompt, seed, epoch: the index beside images and GIFs."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
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


def prompt_folders(prompts: Sequence[str]) -> Mapping[str, str]:
    """Return a folder's name for each prompt: its words, and its place for uniqueness."""
    return {prompt: f"{_slug(prompt)}-{place:02d}" for place, prompt in enumerate(prompts, start=1)}


def write_shown(
    folder: Path, index: str, files: Iterable[tuple[Mapping[str, Any], str, bytes]], **about: Any
) -> int:
    """Write files and an index of what each shows; return how many there are.

    Args:
        folder: Where they go.
        index: Name of the index.
        files: What each shows, such as prompt and seed; its name, folders included; its content.
        **about: JSON values that hold for all of them.
    """
    entries = []
    for shown, name, content in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        entries.append({**shown, "file": name})
    text = json.dumps({**about, "files": entries}, indent=1, ensure_ascii=False) + "\n"
    (folder / index).write_text(text, encoding="utf-8")
    return len(entries)


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
