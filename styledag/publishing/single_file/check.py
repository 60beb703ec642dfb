"""Check new tensor names by diffusers' own converter, the one that will read the file."""

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from styledag.errors import ModelError
from styledag.models.single_file.names import (
    OPEN_CLIP_PREFIX,
    SD3_PREFIXES,
    XL_OPEN_CLIP_PREFIX,
    OriginalTensor,
    has_open_clip,
    is_xl,
)

if TYPE_CHECKING:
    import torch


def check_names(
    tensors: Iterable[OriginalTensor], configs: Mapping[str, Mapping[str, Any]]
) -> None:
    """Check that diffusers' converter gives each tensor the name that it came from.

    The converter runs on tensors whose elements are all their source's number, and which occupy
    almost no memory, so it proves the names and the order of stacked parts, not only their set.

    Args:
        tensors: As the file will contain them.
        configs: ``config.json`` of ``unet``, ``vae`` and each text encoder; of a pipeline with a
            transformer, which is checked by itself, that of ``transformer``.

    Raises:
        ModelError: If a name comes back as another one, or does not come back.
    """
    tensors = tuple(tensors)
    sources = [source for tensor in tensors for source in tensor.sources]
    numbers = {source: number for number, source in enumerate(sources)}
    tagged = {tensor.name: _tagged(tensor, numbers) for tensor in tensors}
    try:
        converted = _converted(tagged, configs)
    except (KeyError, IndexError, AttributeError, TypeError) as exc:
        raise ModelError(
            "diffusers' converter cannot read the names of the single file "
            f"({type(exc).__name__}: {exc}): export in diffusers' format instead"
        ) from exc
    for source, number in numbers.items():
        tensor = converted.pop(source, None)
        if tensor is None or not bool((tensor == number).all()):
            raise ModelError(
                f"tensor {source[1]!r} of the {source[0]} does not come back from the single file "
                "under its own name: export in diffusers' format instead"
            )
    if converted:
        part, name = min(converted)
        raise ModelError(f"diffusers' converter makes a tensor {name!r} that the {part} lacks")


def _tagged(tensor: OriginalTensor, numbers: Mapping[tuple[str, str], int]) -> "torch.Tensor":
    import torch

    rows = tensor.shape[0] // len(tensor.sources)
    # One element a row is enough, since all stacking is along the first dimension.
    shape = (rows,) + (1,) * (len(tensor.shape) - 1)
    pieces = [
        torch.full((), numbers[source], dtype=torch.int32).expand(shape)
        for source in tensor.sources
    ]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _converted(
    tagged: "dict[str, torch.Tensor]", configs: Mapping[str, Mapping[str, Any]]
) -> "dict[tuple[str, str], torch.Tensor]":
    from diffusers.loaders import single_file_utils

    if "transformer" in configs:
        return _converted_sd3(tagged, configs)
    parts = {
        "unet": single_file_utils.convert_ldm_unet_checkpoint(tagged, configs["unet"]),
        "vae": single_file_utils.convert_ldm_vae_checkpoint(tagged, configs["vae"]),
    }
    open_clips = {"text_encoder_2": XL_OPEN_CLIP_PREFIX} if is_xl(configs) else {}
    if not open_clips and has_open_clip(configs):
        open_clips = {"text_encoder": OPEN_CLIP_PREFIX}
    if "text_encoder" not in open_clips:
        parts["text_encoder"] = single_file_utils.convert_ldm_clip_checkpoint(tagged)
    for part, prefix in open_clips.items():
        width = configs[part]["hidden_size"]
        model = SimpleNamespace(config=SimpleNamespace(hidden_size=width))
        parts[part] = single_file_utils.convert_open_clip_checkpoint(model, tagged, prefix)
    return _by_source(parts)


def _converted_sd3(
    tagged: "dict[str, torch.Tensor]", configs: Mapping[str, Mapping[str, Any]]
) -> "dict[tuple[str, str], torch.Tensor]":
    from diffusers.loaders import single_file_utils

    parts = {"vae": single_file_utils.convert_ldm_vae_checkpoint(tagged, configs["vae"])}
    for part in ("text_encoder", "text_encoder_2"):
        prefix = SD3_PREFIXES[part]
        parts[part] = single_file_utils.convert_ldm_clip_checkpoint(tagged, prefix)
    if "text_encoder_3" in configs:
        t5 = single_file_utils.convert_sd3_t5_checkpoint_to_diffusers(tagged)
        parts["text_encoder_3"] = t5
    return _by_source(parts)


def _by_source(
    parts: "Mapping[str, Mapping[str, torch.Tensor]]",
) -> "dict[tuple[str, str], torch.Tensor]":
    return {(part, name): tensor for part, state in parts.items() for name, tensor in state.items()}
