"""A whole Stable Diffusion 3.x under the names of its original checkpoints."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from styledag.errors import ModelError
from styledag.models.config import read_config
from styledag.models.files import PIPELINE_FILE
from styledag.models.single_file import names
from styledag.models.single_file.names import OriginalTensor
from styledag.publishing.single_file.parts import PipelineParts, check_layers, open_part
from styledag.publishing.single_file.transformer import PART, Transformer, open_transformer

if TYPE_CHECKING:
    import torch

_FIRST, _SECOND, _T5 = "text_encoder", "text_encoder_2", "text_encoder_3"


@dataclass(frozen=True)
class WholeTransformer:
    """The weights of a pipeline whose denoiser is a transformer, open for reading in pieces.

    Attributes:
        transformer: The denoiser.
        parts: The others.
    """

    transformer: Transformer
    parts: PipelineParts

    def tensors(self) -> list[OriginalTensor]:
        """Return the file's tensors, sorted by name.

        Raises:
            ModelError: If diffusers' converter would not read one back as it was.
        """
        denoiser = [
            replace(tensor, name=names.UNET_PREFIX + tensor.name)
            for tensor in self.transformer.tensors()
        ]
        return sorted([*denoiser, *self.parts.tensors()], key=lambda tensor: tensor.name)

    def pieces(self, tensor: OriginalTensor) -> "Iterator[torch.Tensor]":
        """Yield a tensor's elements in order, flattened, a few megabytes at a time."""
        owner = self.transformer if tensor.sources[0][0] == PART else self.parts
        return owner.pieces(tensor)

    def technical(self) -> dict[str, str]:
        """Return what a header states beside title and description."""
        return self.transformer.technical()


def is_whole(pipeline: Path) -> bool:
    """Return whether a single file of a pipeline holds all of it, and not its transformer alone."""
    kind = read_config(pipeline / PIPELINE_FILE).get("_class_name")
    return not (pipeline / PART).is_dir() or kind == "StableDiffusion3Pipeline"


def open_stable_diffusion_3(
    pipeline: Path, stack: ExitStack, *, denoiser: Path | None = None, vae: Path | None = None
) -> WholeTransformer:
    """Return a pipeline's weights, open until ``stack`` is closed.

    Raises:
        ModelError: If a part is missing, or a text encoder is not what programs that read single
            files make of it.
    """
    transformer = open_transformer(pipeline, stack, denoiser=denoiser, vae=None)
    parts = PipelineParts({PART: transformer.config, "scheduler": {}})
    index = read_config(pipeline / PIPELINE_FILE)
    for part in names.SD3_PREFIXES:
        if part != PART and (index.get(part) or (None, None))[-1] is not None:
            folder = vae if part == "vae" and vae is not None else pipeline / part
            open_part(parts, part, folder, stack)
    if _T5 in parts.configs:
        # Some programs read the one embedding by this name, and some by that.
        _check_there(pipeline, parts, _T5, names.T5_EMBEDDING)
        parts.readers[_T5, names.T5_EMBEDDING_AGAIN] = parts.readers[_T5, names.T5_EMBEDDING]
    for part in (_FIRST, _SECOND):
        _check_there(pipeline, parts, part, names.TEXT_PROJECTION)
    check_layers(pipeline, parts.configs[_FIRST])
    _check_projection(pipeline, parts)
    return WholeTransformer(transformer, parts)


def _check_there(pipeline: Path, parts: PipelineParts, part: str, name: str) -> None:
    """Check that a part has a tensor without which programs make one up."""
    if (part, name) not in parts.readers:
        raise ModelError(
            f"{pipeline / part} lacks {name!r}, so it is no whole {part} of Stable Diffusion 3.x: "
            "fetch the model again, or name another one"
        )


def _check_projection(pipeline: Path, parts: PipelineParts) -> None:
    """Check that the first CLIP's projection is 1, and leave it out.

    Original files have none, ComfyUI reads none and diffusers makes it.

    Raises:
        ModelError: If it is another one.
    """
    import torch

    reader, name = parts.readers.pop((_FIRST, names.TEXT_PROJECTION))
    projection = reader.read(name)
    if not torch.equal(projection, torch.eye(len(projection), dtype=projection.dtype)):
        raise ModelError(
            f"the text encoder of {pipeline} has a projection ({name!r}), and that of single files "
            "of Stable Diffusion 3.x none: export in diffusers' format instead"
        )
