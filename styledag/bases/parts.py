"""The parts of a base: each loaded whole from its folder, or refused with what is wrong."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.errors import ModelError
from styledag.models.quiet import quiet_transformers

if TYPE_CHECKING:
    import torch
    from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer


def load_unet(
    base: Path,
    *,
    device: "torch.device | str" = "cpu",
    dtype: "torch.dtype | None" = None,
    subfolder: str = "unet",
) -> "UNet2DConditionModel":
    """Return the UNet of a base, in evaluation mode.

    Args:
        base: Folder in diffusers' layout.
        device: Where its weights go.
        dtype: Dtype of its weights; float32 when left out.
        subfolder: Folder of the UNet; ``""`` if ``base`` is that folder itself.

    Raises:
        ModelError: If it is missing, damaged, or lacks weights that its configuration asks for.
    """
    from diffusers import UNet2DConditionModel

    return _diffusers_model(UNet2DConditionModel, base, subfolder, device, dtype)


def load_vae(
    base: Path,
    *,
    device: "torch.device | str" = "cpu",
    dtype: "torch.dtype | None" = None,
    subfolder: str = "vae",
) -> "AutoencoderKL":
    """Return the autoencoder of a base, in evaluation mode; see :func:`load_unet`.

    Raises:
        ModelError: If it is missing, damaged or incomplete.
    """
    from diffusers import AutoencoderKL

    return _diffusers_model(AutoencoderKL, base, subfolder, device, dtype)


def load_text_encoder(
    base: Path, *, device: "torch.device | str" = "cpu", dtype: "torch.dtype | None" = None
) -> "CLIPTextModel":
    """Return the text encoder of a base, in evaluation mode; see :func:`load_unet`.

    Raises:
        ModelError: If it is missing, damaged or incomplete.
    """
    import torch
    from transformers import CLIPTextModel

    folder = base / "text_encoder"
    with model_errors(folder), quiet_transformers():
        model, loading = CLIPTextModel.from_pretrained(
            folder,
            dtype=dtype or torch.float32,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    _check_complete(folder, loading)
    return model.to(device).eval()


def load_tokenizer(base: Path) -> "CLIPTokenizer":
    """Return the tokenizer of a base.

    Raises:
        ModelError: If it is missing or damaged.
    """
    from transformers import CLIPTokenizer

    folder = base / "tokenizer"
    # transformers takes an empty folder for a tokenizer without words.
    if not any((folder / name).is_file() for name in ("vocab.json", "tokenizer.json")):
        raise ModelError(
            f"{folder} holds no tokenizer (vocab.json or tokenizer.json): "
            "name a base in diffusers' layout"
        )
    with model_errors(folder):
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def load_scheduler(base: Path) -> "DDPMScheduler":
    """Return the noise schedule that a base was trained with, whichever sampler it names.

    Raises:
        ModelError: If it is missing or damaged.
    """
    from diffusers import DDPMScheduler

    folder = base / "scheduler"
    with model_errors(folder):
        config = DDPMScheduler.load_config(folder, local_files_only=True)
        known = {name for name in DDPMScheduler().config if not name.startswith("_")}
        return DDPMScheduler(**{name: config[name] for name in known if name in config})


def vae_scaling_factor(base: Path) -> float:
    """Return what the VAE's latents are multiplied by before the UNet sees them.

    Raises:
        ModelError: If the VAE's configuration is missing or damaged.
    """
    path = base / "vae" / "config.json"
    with model_errors(path):
        config = json.loads(path.read_text(encoding="utf-8"))
        # Stable Diffusion's own, which configurations of its first versions leave out.
        return float(config.get("scaling_factor", 0.18215))


def _diffusers_model(
    kind: Any,
    base: Path,
    subfolder: str,
    device: "torch.device | str",
    dtype: "torch.dtype | None",
) -> Any:
    import torch

    folder = base / subfolder
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} holds no {kind.__name__} (config.json is missing): "
            "name a base in diffusers' layout"
        )
    with model_errors(folder):
        model, loading = kind.from_pretrained(
            folder,
            torch_dtype=dtype or torch.float32,
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
    _check_complete(folder, loading)
    return model.to(device).eval()


def _check_complete(folder: Path, loading: dict[str, Any]) -> None:
    for trouble in ("missing_keys", "mismatched_keys"):
        names = sorted(str(name) for name in loading.get(trouble, ()))
        if names:
            raise ModelError(
                f"{folder} does not fit its config.json: {trouble.replace('_', ' ')} "
                f"{', '.join(names[:3])} ({len(names)} in all): restore the folder, "
                "or name another base"
            )


@contextmanager
def model_errors(folder: Path) -> Iterator[None]:
    """Turn what loading a model may raise into an error that names its folder.

    Raises:
        ModelError: In place of any of it.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as exc:
        raise ModelError(
            f"{folder} cannot be loaded ({type(exc).__name__}: {exc}): restore the folder, "
            "or name another base in diffusers' layout"
        ) from exc
