"""Load one part of a base whole from its folder, or refuse it with what is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.errors import ModelError
from styledag.models.quiet import quiet_diffusers, quiet_transformers

if TYPE_CHECKING:
    import torch


def load_diffusers(
    kind: Any, folder: Path, *, device: "torch.device | str", dtype: "torch.dtype | None"
) -> Any:
    """Return a model of diffusers', in evaluation mode.

    Args:
        kind: Its class.
        folder: With ``config.json`` and safetensors.
        device: Where its weights go; on ``meta`` only the configuration is read.
        dtype: Dtype of its weights; float32 when ``None``.

    Raises:
        ModelError: If it is missing, damaged, or its weights are not those that its configuration
            asks for.
    """
    import torch

    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} holds no {kind.__name__} (config.json is missing): "
            "name a base in diffusers' layout"
        )
    with model_errors(folder), quiet_diffusers():
        if torch.device(device).type == "meta":
            config = kind.load_config(folder, local_files_only=True)
            with torch.device("meta"):
                model = kind.from_config(config)
            # Not by diffusers' own method, which warns of float32 modules even if there are none.
            return (model if dtype is None else torch.nn.Module.to(model, dtype)).eval()
        model, loading = kind.from_pretrained(
            folder,
            torch_dtype=dtype or torch.float32,
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=False,
            ignore_mismatched_sizes=True,  # refused below, by name
            output_loading_info=True,
        )
    _check_complete(folder, loading, alone=True)
    _cast_parameters(model, dtype or torch.float32)
    return model.to(device).eval()


def _cast_parameters(model: Any, dtype: "torch.dtype") -> None:
    """Cast what diffusers has left in the file's dtype: all, if the first tensor's is as asked."""
    import torch

    # Too small numbers for float16, of which diffusers keeps account by class.
    exact = (model._keep_in_fp32_modules or ()) if dtype == torch.float16 else ()
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() and not any(each in name for each in exact):
            parameter.data = parameter.data.to(dtype)


def load_transformers(
    kind: Any, folder: Path, *, device: "torch.device | str", dtype: "torch.dtype | None"
) -> Any:
    """Return a model of transformers', in evaluation mode; see :func:`load_diffusers`.

    Raises:
        ModelError: If it is missing, damaged or incomplete.
    """
    import torch

    with model_errors(folder), quiet_transformers():
        if torch.device(device).type == "meta":
            config = kind.config_class.from_pretrained(folder, local_files_only=True)
            with torch.device("meta"):
                model = kind(config)
            return (model if dtype is None else model.to(dtype)).eval()
        model, loading = kind.from_pretrained(
            folder,
            dtype=dtype or torch.float32,
            use_safetensors=True,
            local_files_only=True,
            ignore_mismatched_sizes=True,  # refused below, by name
            output_loading_info=True,
        )
    _check_complete(folder, loading)
    return model.to(device).eval()


def check_stored(model: Any, folder: Path, *, variant: str | None = None) -> None:
    """Check that a folder's weights are all that a model's configuration asks for.

    As the library that loads it sees them, under older names too, and without memory for them.

    Args:
        model: On the meta device, of diffusers or transformers.
        folder: With ``config.json`` and safetensors.
        variant: Of the files, such as ``fp16``.

    Raises:
        ModelError: If they are missing, damaged, lack a tensor or have one of another shape, or, of
            a model of diffusers', one too many.
    """
    from diffusers import ModelMixin

    with model_errors(folder), quiet_transformers(), quiet_diffusers():
        _, loading = type(model).from_pretrained(
            folder,
            device_map={"": "meta"},
            variant=variant,
            use_safetensors=True,
            local_files_only=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    _check_complete(folder, loading, alone=isinstance(model, ModelMixin))


def load_tokenizer(kind: Any, folder: Path) -> Any:
    """Return a tokenizer of transformers'.

    Raises:
        ModelError: If it is missing or damaged.
    """
    # transformers makes a tokenizer without words of an empty folder.
    if not any((folder / name).is_file() for name in ("vocab.json", "tokenizer.json")):
        raise ModelError(
            f"{folder} holds no tokenizer (vocab.json or tokenizer.json): "
            "name a base in diffusers' layout"
        )
    with model_errors(folder):
        return kind.from_pretrained(folder, local_files_only=True)


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


def _check_complete(folder: Path, loading: dict[str, Any], *, alone: bool = False) -> None:
    """Check that weights are those of a model.

    Args:
        folder: Of the model.
        loading: What the library that loaded it found.
        alone: Whether there may be no others, which libraries leave out without an error. What a
            text encoder has besides is of the model that it was a part of. What a denoiser has
            decides what it predicts, and its checkpoints, which lack it, are blended with no base
            that has it.
    """
    faults = [f"tensor {name!r} is missing" for name in sorted(loading["missing_keys"])]
    faults += [
        f"tensor {name!r} has the shape {list(found)} in place of {list(wanted)}"
        for name, found, wanted in sorted(loading["mismatched_keys"])
    ]
    further = sorted(loading["unexpected_keys"]) if alone else []
    faults += [f"tensor {name!r} is none of its model's" for name in further]
    if faults:
        remedy = "restore the folder, or name another base"
        if any(".lora_" in name for name in further):
            remedy = "it was saved with a LoRA beside its weights: fuse_lora, and save it again"
        raise ModelError(
            f"{folder} does not fit its config.json: {', '.join(faults[:3])} ({len(faults)} in "
            f"all): {remedy}"
        )
