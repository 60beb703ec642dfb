"""The parts of a pipeline's folder, and their tensors in the original layout."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styledag.errors import ModelError
from styledag.models.config import read_config
from styledag.models.single_file import names
from styledag.models.single_file.names import OriginalTensor, Source
from styledag.publishing.single_file.check import check_names

if TYPE_CHECKING:
    import torch

    from styledag.tensors.reader import TensorReader

_PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")
_CLIP_L = (768, 12)
"""Width and layers of CLIP's text encoder in Stable Diffusion 1.x and XL."""
PIECE_ELEMENTS = 1 << 22
"""Elements that are read at a time."""


@dataclass
class PipelineParts:
    """The weights of a pipeline, open for reading in pieces.

    Attributes:
        configs: ``config.json`` by part: ``unet`` or ``transformer``, ``vae``, ``text_encoder``,
            ``text_encoder_2``, ``text_encoder_3``, ``scheduler``.
        readers: File and name in the file, of each tensor.
    """

    configs: dict[str, Mapping[str, Any]]
    readers: "dict[Source, tuple[TensorReader, str]]" = field(default_factory=dict)

    def tensors(self) -> list[OriginalTensor]:
        """Return the file's tensors, sorted by name.

        Raises:
            ModelError: If the original layout has no place for a tensor, or diffusers' converter
                would not read it back under its name.
        """
        stacked: dict[str, list[Source]] = {}
        for source in sorted(self.readers, key=_stacking_order):
            stacked.setdefault(self._original_name(source), []).append(source)
        tensors = [
            OriginalTensor(name, self._shape(sources, name), tuple(sources))
            for name, sources in sorted(stacked.items())
        ]
        check_names(tensors, self.configs)
        return [*tensors, *(OriginalTensor(name, (0,), ()) for name in self._markers())]

    def pieces(self, tensor: OriginalTensor) -> "Iterator[torch.Tensor]":
        """Yield a tensor's elements in order, flattened, a few megabytes at a time."""
        for source in tensor.sources:
            reader, name = self.readers[source]
            if _is_transposed(source, tensor.name):
                yield reader.read(name).T.contiguous().flatten()
                continue
            for start, stop in reader.specs[name].pieces(PIECE_ELEMENTS):
                yield reader.read(name, start, stop)

    def technical(self) -> dict[str, str]:
        """Return what a header states beside title and description.

        That of XL says where its autoencoder overflows in float16, which draws black images.
        """
        unet, vae = self.configs["unet"], self.configs["vae"]
        size = unet.get("sample_size") or (128 if names.is_xl(self.configs) else 64)
        height, width = (size, size) if isinstance(size, int) else size
        factor = 1 << (len(vae["block_out_channels"]) - 1)
        # As diffusers has it where a configuration, such as a single file's, does not state it.
        is_wide = names.is_xl(self.configs) and bool(vae.get("force_upcast", True))
        return {
            **({"modelspec.vae_dtype": "bf16,fp32"} if is_wide else {}),
            "modelspec.architecture": architecture_of(self.configs),
            "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
            "modelspec.resolution": f"{width * factor}x{height * factor}",
            "modelspec.prediction_type": "v" if predicts_v(self.configs) else "epsilon",
        }

    def _markers(self) -> Iterator[str]:
        """Yield the names of the empty tensors without which readers suppose the usual training."""
        if predicts_v(self.configs) and names.is_xl(self.configs):
            yield names.V_PREDICTION  # a 2.x is known to predict v by its weights
        if has_zero_snr(self.configs):
            yield names.ZERO_SNR

    def _original_name(self, source: Source) -> str:
        part, name = source
        try:
            return names.original_name(part, name, self.configs)
        except (KeyError, ValueError, IndexError, TypeError) as exc:
            raise ModelError(
                f"the original layout of Stable Diffusion has no place for tensor {name!r} of the "
                f"{part}: export in diffusers' format instead"
            ) from exc

    def _shape(self, sources: list[Source], original: str) -> tuple[int, ...]:
        reader, name = self.readers[sources[0]]
        rows, *rest = reader.specs[name].shape
        if _is_transposed(sources[0], original):
            return (*rest, rows)
        if sources[0][0] == "vae" and ".attentions." in sources[0][1] and len(rest) == 1:
            rest = [*rest, 1, 1]  # a convolution over single pixels in the original
        return (rows * len(sources), *rest)


def read_configs(pipeline: Path) -> dict[str, Mapping[str, Any]]:
    """Return the configurations of a pipeline's parts by name, as :class:`PipelineParts` has them.

    Raises:
        ModelError: If one is missing or no JSON object.
    """
    configs = {
        part: read_config(pipeline / part / "config.json")
        for part in _PARTS
        if part != "text_encoder_2" or (pipeline / part).is_dir()
    }
    return configs | {"scheduler": read_config(pipeline / "scheduler" / "scheduler_config.json")}


def predicts_v(configs: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether the UNet predicts v, and not the noise."""
    return bool(configs["scheduler"].get("prediction_type") == "v_prediction")


def has_zero_snr(configs: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether nothing of the image is left at the last timestep of the schedule."""
    return bool(configs["scheduler"].get("rescale_betas_zero_snr"))


def architecture_of(configs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return ModelSpec's name of an architecture, such as ``stable-diffusion-v1``."""
    if names.is_xl(configs):
        return "stable-diffusion-xl-v1-base"
    if not names.has_open_clip(configs):
        return "stable-diffusion-v1"
    return f"stable-diffusion-v2-{'768-v' if predicts_v(configs) else '512'}"


def open_parts(
    pipeline: Path, stack: ExitStack, *, denoiser: Path | None = None, vae: Path | None = None
) -> PipelineParts:
    """Return a pipeline's weights, open until ``stack`` is closed.

    Raises:
        ModelError: If a part is missing, or no Stable Diffusion 1.x, 2.x or XL.
    """
    parts = PipelineParts(read_configs(pipeline))
    replaced = {"unet": denoiser, "vae": vae}
    for part in (each for each in _PARTS if each in parts.configs):
        open_part(parts, part, replaced.get(part) or pipeline / part, stack)
    _check_family(pipeline, parts.configs)
    check_layers(pipeline, parts.configs["text_encoder"])
    return parts


def open_part(parts: PipelineParts, part: str, folder: Path, stack: ExitStack) -> None:
    """Add the weights in a folder to a pipeline's, open until ``stack`` is closed.

    Raises:
        ModelError: If they are missing or cannot be read.
    """
    from styledag.tensors.reader import open_tensors

    parts.configs[part] = read_config(folder / "config.json")
    reader = stack.enter_context(open_tensors(folder))
    for file_name in reader.specs:
        name = names.model_name(part, file_name)
        if name is not None:
            parts.readers[part, name] = reader, file_name


def _check_family(pipeline: Path, configs: Mapping[str, Mapping[str, Any]]) -> None:
    classes = {part: configs[part].get("_class_name") for part in ("unet", "vae")}
    embeds = configs["unet"].get("addition_embed_type")
    if (
        classes != {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL"}
        or embeds not in (None, "text_time")
        or names.is_xl(configs) != ("text_encoder_2" in configs)
    ):
        raise ModelError(
            f"{pipeline} is no Stable Diffusion 1.x, 2.x or XL (its UNet is a {classes['unet']}, "
            f"its autoencoder a {classes['vae']}): export it in diffusers' format instead"
        )


def check_layers(pipeline: Path, config: Mapping[str, Any]) -> None:
    """Check that a first text encoder has all layers that programs make of it.

    Without the last one, as diffusers' users skip it, they would read weights that are in no file.

    Raises:
        ModelError: If it has not.
    """
    size, layers = config.get("hidden_size", 0), config.get("num_hidden_layers", _CLIP_L[1])
    if size == _CLIP_L[0] and layers < _CLIP_L[1]:
        raise ModelError(
            f"the text encoder of {pipeline} has {layers} layers (CLIP skip), and that of single "
            f"files {_CLIP_L[1]}: export in diffusers' format instead, or name a base that has all"
        )


def _is_transposed(source: Source, original: str) -> bool:
    return source[1] == names.TEXT_PROJECTION and original.startswith(names.XL_OPEN_CLIP_PREFIX)


def _stacking_order(source: Source) -> tuple[str, str, int]:
    part, name = source
    order = next((i for i, each in enumerate(names.IN_PROJECTIONS) if each in name), 0)
    return part, name.replace(names.IN_PROJECTIONS[order], ""), order
