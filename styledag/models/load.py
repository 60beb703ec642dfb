"""A transformers model out of its folder, or an error that says which folder and what to do."""

from pathlib import Path
from typing import Any

from styledag.errors import ModelError
from styledag.models.config import read_config
from styledag.models.quiet import quiet_transformers
from styledag.tensors.layout import CONFIG_FILE

_UNREADABLE = (OSError, ValueError, TypeError, KeyError, RuntimeError)
_MISSING = "Missing optional dependencies"
"""In the ValueError of an image processor none of whose classes can be imported."""


def load_transformers(kind: Any, folder: Path, *, role: str, wanted: str, **options: Any) -> Any:
    """Return what a class of transformers reads from a folder, without a network.

    Code of the folder's own is never run: left to itself, transformers asks at a terminal.

    Args:
        kind: Class with ``from_pretrained``.
        folder: A model as transformers saves it.
        role: What it is used as, such as ``scorer``.
        wanted: What the folder has to hold, such as ``CLIPModel``.
        options: For ``from_pretrained``.

    Raises:
        ModelError: If it cannot be read.
    """
    from safetensors import SafetensorError

    if not (folder / CONFIG_FILE).is_file():
        raise ModelError(
            f"{folder} holds no {wanted} (config.json is missing): name a {role} as transformers "
            "saves it"
        )
    try:
        with quiet_transformers():
            return kind.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, **options
            )
    except (ImportError, *_UNREADABLE, SafetensorError) as exc:
        if isinstance(exc, ImportError) or _MISSING in str(exc):
            raise ModelError(
                f"{folder} needs a package that is not installed: {' '.join(str(exc).split())}"
            ) from exc
        if "auto_map" in read_config(folder / CONFIG_FILE) and "trust_remote_code" in str(exc):
            raise ModelError(
                f"{folder} runs code of its own repository, which styledag does not: name a {role} "
                f"that transformers itself has ({wanted})"
            ) from exc
        raise ModelError(
            f"{folder} cannot be loaded as a {role} ({type(exc).__name__}: {exc}): restore the "
            f"folder, or name another {role}"
        ) from exc


def load_whole_model(kind: Any, folder: Path, *, role: str, wanted: str) -> Any:
    """Return a model in float32, ready to be asked, none of whose weights are made up.

    Raises:
        ModelError: If it cannot be read, or lacks weights.
    """
    import torch

    model, loading = load_transformers(
        kind,
        folder,
        role=role,
        wanted=wanted,
        dtype=torch.float32,
        use_safetensors=True,
        output_loading_info=True,
    )
    missing = sorted(loading["missing_keys"])
    if missing:
        raise ModelError(
            f"{folder} lacks {missing[0]!r} and {len(missing) - 1} further weights of the "
            f"{wanted}: name a {role} that has them"
        )
    return model.eval()
